-- migrate:up

create table rule_set (
  clinic_id uuid not null,
  rule_set_id uuid not null,
  version integer not null,
  valid_from date not null,
  rules jsonb not null,
  created_by uuid,
  created_at timestamptz not null,
  constraint rule_set_pkey primary key (clinic_id, rule_set_id)
);
create unique index rule_set_version_key on rule_set (clinic_id, version);

-- Derived: one row a client day, rebuilt from facts at will.
create table trend (
  clinic_id uuid not null,
  client_id uuid not null,
  client_day date not null,
  status text not null,
  answered boolean not null,
  partly boolean not null,
  craving smallint,
  mood smallint,
  anxiety smallint,
  baseline real[] not null,
  sd real[] not null,
  level real[] not null,
  band_low real[] not null,
  band_high real[] not null,
  statistic real not null,
  limit_value real not null,
  crossing boolean not null,
  resting boolean not null,
  silent_days integer not null,
  days_since_infusion integer,
  origin text not null,
  rule_set_version integer not null,
  constraint trend_pkey primary key (clinic_id, client_id, client_day),
  constraint trend_status_known check (status in ('not_on_track', 'no_data', 'watch', 'learning', 'on_track')),
  constraint trend_origin_known check (origin in ('live', 'import'))
);

-- The detector's state after a client day: the newest, and one a month to start again from after a late answer.
create table trend_checkpoint (
  clinic_id uuid not null,
  client_id uuid not null,
  client_day date not null,
  state bytea not null,
  rule_set_version integer not null,
  constraint trend_checkpoint_pkey primary key (clinic_id, client_id, client_day)
);

create table alert (
  clinic_id uuid not null,
  alert_id uuid not null,
  client_id uuid not null,
  tier smallint not null,
  state text not null,
  origin text not null,
  opened_at timestamptz not null,
  round smallint not null default 1,
  acknowledged_by uuid,
  acknowledged_at timestamptz,
  lease_until timestamptz,
  snoozed_until timestamptz,
  recalculated_at timestamptz,
  closed_at timestamptz,
  outcome text,
  constraint alert_pkey primary key (clinic_id, alert_id),
  constraint alert_tier_range check (tier between 1 and 3),
  constraint alert_state_known check (
    state in ('open', 'dispatched', 'acknowledged', 'snoozed', 'resolved', 'auto_resolved')
  ),
  constraint alert_origin_known check (origin in ('live', 'import')),
  constraint alert_outcome_known check (
    outcome in ('called', 'session_moved', 'safety_plan', 'infusion_reviewed', 'new_usual', 'no_action_needed', 'false_alarm')
  ),
  constraint alert_closed_has_time check ((state in ('resolved', 'auto_resolved')) = (closed_at is not null)),
  constraint alert_resolved_has_outcome check (state <> 'resolved' or outcome is not null),
  constraint alert_urgent_never_snoozed check (tier > 1 or state <> 'snoozed')
);
-- One open alert a client for tiers 2 and 3, and one for tier 1.
create unique index alert_open_key on alert (clinic_id, client_id, (tier = 1))
  where state not in ('resolved', 'auto_resolved');
create index alert_client on alert (clinic_id, client_id, opened_at);
create index alert_opened on alert (clinic_id, opened_at);

-- What was known when a rule fired; never changed. A re-fold may append a row to finding_withdrawal.
create table finding (
  clinic_id uuid not null,
  finding_id uuid not null,
  client_id uuid not null,
  client_day date not null,
  rule text not null,
  tier smallint,
  check_in_id uuid,
  alert_id uuid,
  revision smallint not null default 1,
  found_at timestamptz not null,
  found_late boolean not null,
  origin text not null,
  numbers jsonb not null,
  rule_set_version integer not null,
  constraint finding_pkey primary key (clinic_id, finding_id),
  constraint finding_tier_range check (tier between 1 and 3),
  constraint finding_origin_known check (origin in ('live', 'import')),
  constraint finding_tier_has_alert check ((tier is null) = (alert_id is null))
);
create unique index finding_once_key on finding (clinic_id, client_id, rule, client_day, check_in_id, revision) nulls not distinct;
create index finding_alert on finding (clinic_id, alert_id);

create table finding_withdrawal (
  clinic_id uuid not null,
  finding_id uuid not null,
  why text not null,
  withdrawn_at timestamptz not null,
  constraint finding_withdrawal_pkey primary key (clinic_id, finding_id)
);

create table alert_event (
  clinic_id uuid not null,
  alert_event_id uuid not null,
  alert_id uuid not null,
  kind text not null,
  staff_id uuid,
  finding_id uuid,
  detail jsonb not null default '{}',
  note_sealed bytea,
  happened_at timestamptz not null,
  constraint alert_event_pkey primary key (clinic_id, alert_event_id),
  constraint alert_event_kind_known check (
    kind in ('opened', 'joined', 'raised', 'dispatched', 'acknowledged', 'noted', 'snoozed', 'resolved', 'auto_resolved',
             'reopened', 'lease_lapsed', 'recalculated', 'unroutable')
  )
);
create index alert_event_alert on alert_event (clinic_id, alert_id, happened_at);

create table webhook_endpoint (
  clinic_id uuid not null,
  webhook_endpoint_id uuid not null,
  url text not null,
  secret_sealed bytea not null,
  created_at timestamptz not null,
  disabled_at timestamptz,
  disabled_why text,
  constraint webhook_endpoint_pkey primary key (clinic_id, webhook_endpoint_id)
);

-- The outbox: one message of one alert to one recipient on one channel.
create table delivery (
  clinic_id uuid not null,
  delivery_id uuid not null,
  alert_id uuid not null,
  channel text not null,
  staff_id uuid,
  webhook_endpoint_id uuid,
  round smallint not null,
  step smallint not null,
  state text not null,
  due_at timestamptz not null,
  attempts smallint not null default 0,
  leased_until timestamptz,
  problem text,
  created_at timestamptz not null,
  settled_at timestamptz,
  constraint delivery_pkey primary key (clinic_id, delivery_id),
  constraint delivery_channel_known check (channel in ('email', 'webhook', 'push')),
  constraint delivery_state_known check (
    state in ('queued', 'sent', 'delivered', 'opened', 'failed', 'dead', 'blocked')
  ),
  constraint delivery_recipient check ((staff_id is null) <> (webhook_endpoint_id is null))
);
create unique index delivery_once_key on delivery (clinic_id, alert_id, round, step, channel, staff_id, webhook_endpoint_id)
  nulls not distinct;
create index delivery_due on delivery (clinic_id, due_at) where state in ('queued', 'failed');

create table audit_event (
  clinic_id uuid not null,
  audit_event_id uuid not null,
  happened_at timestamptz not null,
  actor_kind text not null,
  actor_id uuid,
  action text not null,
  client_id uuid,
  object_id uuid,
  allowed boolean not null,
  reason text,
  transaction_id xid8 not null default pg_current_xact_id(),
  constraint audit_event_pkey primary key (clinic_id, audit_event_id),
  constraint audit_event_actor_known check (actor_kind in ('device', 'staff', 'job', 'command', 'anonymous'))
);
create index audit_event_client on audit_event (clinic_id, client_id, happened_at);
create index audit_event_transaction on audit_event (clinic_id, transaction_id);

create table job_run (
  clinic_id uuid not null,
  job text not null,
  local_date date not null,
  local_time time not null,
  claimed_by text not null,
  claimed_at timestamptz not null,
  finished_at timestamptz,
  state text not null,
  counts jsonb not null default '{}',
  constraint job_run_pkey primary key (clinic_id, job, local_date, local_time),
  constraint job_run_state_known check (state in ('running', 'done', 'failed'))
);

-- Without a clinic: what a jobs process does for the whole deployment, and its heartbeat.
create table deployment_job_run (
  job text not null,
  process text not null,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  counts jsonb not null default '{}',
  constraint deployment_job_run_pkey primary key (job, process)
);

-- What is usual over all clients of the deployment, refitted by a job; only sums leave a clinic.
create table population_prior (
  version integer not null,
  rules jsonb not null,
  clients integer not null,
  client_days integer not null,
  created_at timestamptz not null,
  constraint population_prior_pkey primary key (version)
);

alter table rule_set add constraint rule_set_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table trend add constraint trend_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table trend_checkpoint add constraint trend_checkpoint_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table alert add constraint alert_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table finding add constraint finding_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table finding add constraint finding_alert_fkey foreign key (clinic_id, alert_id) references alert (clinic_id, alert_id);
alter table finding add constraint finding_check_in_fkey foreign key (clinic_id, check_in_id) references check_in (clinic_id, check_in_id);
alter table finding_withdrawal add constraint finding_withdrawal_finding_fkey foreign key (clinic_id, finding_id) references finding (clinic_id, finding_id);
alter table alert_event add constraint alert_event_alert_fkey foreign key (clinic_id, alert_id) references alert (clinic_id, alert_id);
alter table webhook_endpoint add constraint webhook_endpoint_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table delivery add constraint delivery_alert_fkey foreign key (clinic_id, alert_id) references alert (clinic_id, alert_id);
alter table delivery add constraint delivery_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table delivery add constraint delivery_webhook_endpoint_fkey foreign key (clinic_id, webhook_endpoint_id) references webhook_endpoint (clinic_id, webhook_endpoint_id);
alter table job_run add constraint job_run_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);

-- migrate:down

drop table population_prior, deployment_job_run, job_run, audit_event, delivery, webhook_endpoint, alert_event,
  finding_withdrawal, finding, alert, trend_checkpoint, trend, rule_set;
