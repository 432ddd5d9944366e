-- migrate:up

alter table clinic_setting
  add column gate_opens_hours smallint not null default 72,
  add column gate_clear_hours smallint not null default 48,
  add column gate_warning_hours smallint not null default 24,
  add column systolic_limit smallint not null default 140,
  add column diastolic_limit smallint not null default 90,
  add constraint clinic_setting_gate_opens_range check (gate_opens_hours between 1 and 336),
  add constraint clinic_setting_gate_clear_range check (gate_clear_hours between 1 and 336),
  add constraint clinic_setting_gate_warning_range check (gate_warning_hours between 0 and gate_opens_hours),
  add constraint clinic_setting_systolic_limit_range check (systolic_limit between 80 and 250),
  add constraint clinic_setting_diastolic_limit_range check (diastolic_limit between 40 and 150);

-- What is recorded at the gate is never changed: a correction is a further row that supersedes, and a row that was
-- entered in error is superseded by one that says so.
create table drug_screen (
  clinic_id uuid not null,
  drug_screen_id uuid not null,
  client_id uuid not null,
  infusion_id uuid,
  panel text[] not null,
  positive text[] not null,
  result text not null,
  confirmation text not null,
  collected_at timestamptz not null,
  recorded_by uuid not null,
  recorded_at timestamptz not null,
  supersedes uuid,
  entered_in_error boolean not null,
  constraint drug_screen_pkey primary key (clinic_id, drug_screen_id),
  constraint drug_screen_panel_known check (
    cardinality(panel) > 0
    and panel <@ array['alcohol', 'alcohol_marker', 'cocaine', 'opioid', 'benzodiazepine', 'amphetamine', 'cannabis', 'other']
  ),
  constraint drug_screen_positive_in_panel check (positive <@ panel),
  constraint drug_screen_result_known check (result in ('negative', 'positive', 'invalid')),
  constraint drug_screen_result_fits check ((result = 'positive') = (cardinality(positive) > 0)),
  constraint drug_screen_confirmation_known check (confirmation in ('presumptive', 'confirmed')),
  constraint drug_screen_error_supersedes check (supersedes is not null or not entered_in_error)
);
create index drug_screen_client on drug_screen (clinic_id, client_id, collected_at);
create index drug_screen_infusion on drug_screen (clinic_id, infusion_id);
create unique index drug_screen_supersedes_key on drug_screen (clinic_id, supersedes) where supersedes is not null;

create table vital_reading (
  clinic_id uuid not null,
  vital_reading_id uuid not null,
  client_id uuid not null,
  infusion_id uuid,
  systolic smallint not null,
  diastolic smallint not null,
  pulse smallint,
  -- The clinic's limits when it was recorded: a later setting judges later readings.
  systolic_limit smallint not null,
  diastolic_limit smallint not null,
  measured_at timestamptz not null,
  recorded_by uuid not null,
  recorded_at timestamptz not null,
  supersedes uuid,
  entered_in_error boolean not null,
  constraint vital_reading_pkey primary key (clinic_id, vital_reading_id),
  constraint vital_reading_systolic_range check (systolic between 40 and 300),
  constraint vital_reading_diastolic_range check (diastolic between 20 and 200 and diastolic < systolic),
  constraint vital_reading_pulse_range check (pulse between 20 and 250),
  constraint vital_reading_error_supersedes check (supersedes is not null or not entered_in_error)
);
create index vital_reading_client on vital_reading (clinic_id, client_id, measured_at);
create index vital_reading_infusion on vital_reading (clinic_id, infusion_id);
create unique index vital_reading_supersedes_key on vital_reading (clinic_id, supersedes) where supersedes is not null;

create table contraindication_check (
  clinic_id uuid not null,
  contraindication_check_id uuid not null,
  client_id uuid not null,
  infusion_id uuid,
  unstable_cardiovascular_disease text not null,
  hypertension text not null,
  pregnancy text not null,
  ketamine_allergy text not null,
  raised_intracranial_pressure text not null,
  checked_at timestamptz not null,
  recorded_by uuid not null,
  recorded_at timestamptz not null,
  supersedes uuid,
  entered_in_error boolean not null,
  constraint contraindication_check_pkey primary key (clinic_id, contraindication_check_id),
  constraint contraindication_check_answers_known check (
    array[unstable_cardiovascular_disease, hypertension, ketamine_allergy, raised_intracranial_pressure]
      <@ array['absent', 'present', 'unknown']
    and pregnancy in ('absent', 'present', 'unknown', 'not_applicable')
  ),
  constraint contraindication_check_error_supersedes check (supersedes is not null or not entered_in_error)
);
create index contraindication_check_client on contraindication_check (clinic_id, client_id, checked_at);
create index contraindication_check_infusion on contraindication_check (clinic_id, infusion_id);
create unique index contraindication_check_supersedes_key on contraindication_check (clinic_id, supersedes)
  where supersedes is not null;

-- What people decided about an infusion, for which slot, and all that was recorded when they did. The gate's state
-- follows from the newest row, the slot and the clock.
create table gate_check (
  clinic_id uuid not null,
  gate_check_id uuid not null,
  infusion_id uuid not null,
  client_id uuid not null,
  decision text not null,
  reason_sealed bytea,
  planned_at timestamptz not null,
  decided_by uuid not null,
  decided_at timestamptz not null,
  expires_at timestamptz,
  missing text[] not null,
  proposals text[] not null,
  record_ids uuid[] not null,
  constraint gate_check_pkey primary key (clinic_id, gate_check_id),
  constraint gate_check_decision_known check (decision in ('clear', 'hold', 'release', 'override')),
  constraint gate_check_reason_given check (decision not in ('hold', 'override') or reason_sealed is not null),
  constraint gate_check_expires check ((decision in ('clear', 'override')) = (expires_at is not null)),
  constraint gate_check_clear_is_complete check (
    decision <> 'clear' or (cardinality(missing) = 0 and cardinality(proposals) = 0)
  )
);
create index gate_check_infusion on gate_check (clinic_id, infusion_id);

alter table therapy_session
  add column modality text not null default 'other',
  add column minutes smallint not null default 50,
  add constraint therapy_session_modality_known check (
    modality in ('integration', 'cognitive_behavioural', 'motivational', 'relapse_prevention', 'group', 'family', 'other')
  ),
  add constraint therapy_session_minutes_range check (minutes between 5 and 480);
create index therapy_session_staff on therapy_session (clinic_id, staff_id, planned_at);

-- The session as it stood after every change, and who made it.
create table therapy_session_event (
  clinic_id uuid not null,
  therapy_session_event_id uuid not null,
  therapy_session_id uuid not null,
  state text not null,
  planned_at timestamptz not null,
  staff_id uuid,
  modality text not null,
  minutes smallint not null,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint therapy_session_event_pkey primary key (clinic_id, therapy_session_event_id),
  constraint therapy_session_event_state_known check (state in ('planned', 'attended', 'missed', 'cancelled'))
);
create index therapy_session_event_session on therapy_session_event (clinic_id, therapy_session_id);

-- A calendar's secret address, of one person on the staff or one client; the table holds only its digest.
create table calendar_feed (
  clinic_id uuid not null,
  calendar_feed_id uuid not null,
  feed_hash bytea not null,
  staff_id uuid,
  client_id uuid,
  created_by uuid not null,
  created_at timestamptz not null,
  revoked_at timestamptz,
  constraint calendar_feed_pkey primary key (clinic_id, calendar_feed_id),
  constraint calendar_feed_one_owner check ((staff_id is null) <> (client_id is null))
);
create unique index calendar_feed_hash_key on calendar_feed (clinic_id, feed_hash);
create unique index calendar_feed_owner_key on calendar_feed (clinic_id, staff_id, client_id) nulls not distinct
  where revoked_at is null;

alter table drug_screen add constraint drug_screen_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table drug_screen add constraint drug_screen_infusion_fkey foreign key (clinic_id, infusion_id) references infusion (clinic_id, infusion_id);
alter table vital_reading add constraint vital_reading_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table vital_reading add constraint vital_reading_infusion_fkey foreign key (clinic_id, infusion_id) references infusion (clinic_id, infusion_id);
alter table contraindication_check add constraint contraindication_check_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table contraindication_check add constraint contraindication_check_infusion_fkey foreign key (clinic_id, infusion_id) references infusion (clinic_id, infusion_id);
alter table gate_check add constraint gate_check_infusion_fkey foreign key (clinic_id, infusion_id) references infusion (clinic_id, infusion_id);
alter table gate_check add constraint gate_check_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table therapy_session_event add constraint therapy_session_event_session_fkey foreign key (clinic_id, therapy_session_id) references therapy_session (clinic_id, therapy_session_id);
alter table calendar_feed add constraint calendar_feed_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table calendar_feed add constraint calendar_feed_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);

do $$
declare
  tenant_table text;
begin
  foreach tenant_table in array array[
    'drug_screen', 'vital_reading', 'contraindication_check', 'gate_check', 'therapy_session_event', 'calendar_feed'
  ] loop
    execute format('alter table %I enable row level security', tenant_table);
    execute format('alter table %I force row level security', tenant_table);
    execute format(
      'create policy %I on %I using (clinic_id = nullif(current_setting(''neap.clinic_id'', true), '''')::uuid)',
      tenant_table || '_of_clinic', tenant_table
    );
  end loop;
end
$$;

grant select, insert on drug_screen, vital_reading, contraindication_check, gate_check, therapy_session_event to neap_web;
grant select on drug_screen, vital_reading, contraindication_check, gate_check to neap_jobs;
grant select on infusion_event to neap_jobs;
grant select, insert, update on calendar_feed to neap_web;

-- migrate:down

drop table calendar_feed, therapy_session_event, gate_check, contraindication_check, vital_reading, drug_screen;
drop index therapy_session_staff;
alter table therapy_session drop column minutes, drop column modality;
alter table clinic_setting drop column gate_warning_hours, drop column gate_opens_hours, drop column gate_clear_hours,
  drop column systolic_limit, drop column diastolic_limit;
