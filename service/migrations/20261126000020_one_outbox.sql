-- migrate:up

-- One outbox: what is about an alert and what is about none wait, are sent and end in the same table.
-- kind: what it is; alert_id: for alerts alone. subject_id and planned_at name what else it is about: the therapy session
-- and the slot it had (a session that moves is told of anew), or the local morning of a digest.
alter table delivery alter column alert_id drop not null;
alter table delivery add column kind text not null default 'alert';
alter table delivery alter column kind drop default;
alter table delivery add column subject_id uuid;
alter table delivery add column planned_at timestamptz;
alter table delivery add constraint delivery_kind_known check (kind in ('alert', 'brief', 'digest', 'audit_head'));
alter table delivery add constraint delivery_about check ((kind = 'alert') = (alert_id is not null));
-- Which channels there are, the code says: a further one is no migration.
alter table delivery drop constraint delivery_channel_known;
drop index delivery_once_key;
create unique index delivery_once_key
  on delivery (clinic_id, alert_id, kind, round, step, channel, staff_id, webhook_endpoint_id, subject_id, planned_at)
  nulls not distinct;

-- The owner's rows are held back by FORCE, too: it is lifted for the move, and the move counts what it moved.
alter table notice no force row level security;
alter table notice disable row level security;
alter table delivery no force row level security;
alter table delivery disable row level security;
-- Nobody counts along: a division by zero ends the transaction where a row was lost.
with moved as (
  insert into delivery (
    clinic_id, delivery_id, kind, channel, staff_id, subject_id, planned_at, round, step, state, due_at, attempts,
    leased_until, problem, created_at, settled_at
  )
  select clinic_id, notice_id, kind, channel, staff_id, subject_id, planned_at, 0, 0, state, due_at, attempts,
    leased_until, problem, created_at, settled_at
  from notice
  returning 1
)
select 1 / (case when (select count(*) from moved) = (select count(*) from notice) then 1 else 0 end);
alter table delivery enable row level security;
alter table delivery force row level security;
drop table notice;

create index delivery_of_staff on delivery (clinic_id, staff_id, kind, planned_at) where alert_id is null;
grant select (kind, channel, subject_id, planned_at) on delivery to neap_sweep;

-- migrate:down

revoke select (kind, channel, subject_id, planned_at) on delivery from neap_sweep;
drop index delivery_of_staff;
create table notice (
  clinic_id uuid not null,
  notice_id uuid not null,
  kind text not null,
  staff_id uuid not null,
  subject_id uuid not null,
  planned_at timestamptz not null,
  channel text not null,
  state text not null,
  due_at timestamptz not null,
  attempts smallint not null default 0,
  leased_until timestamptz,
  problem text,
  created_at timestamptz not null,
  settled_at timestamptz,
  constraint notice_pkey primary key (clinic_id, notice_id),
  constraint notice_kind_known check (kind in ('brief')),
  constraint notice_channel_known check (channel in ('email')),
  constraint notice_state_known check (state in ('queued', 'sent', 'failed', 'dead', 'blocked'))
);
create unique index notice_once_key on notice (clinic_id, kind, staff_id, subject_id, planned_at, channel);
create index notice_due on notice (clinic_id, due_at) where state in ('queued', 'failed');
alter table notice add constraint notice_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table notice enable row level security;
alter table notice force row level security;
create policy notice_of_clinic on notice using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select on notice to neap_web;
grant select, insert, update on notice to neap_jobs;
grant select (clinic_id, notice_id, kind, staff_id, subject_id, planned_at, state, due_at, leased_until) on notice to neap_sweep;
create policy notice_of_sweep on notice for select to neap_sweep using (true);
alter table delivery no force row level security;
alter table delivery disable row level security;
delete from delivery where kind <> 'alert';
alter table delivery enable row level security;
alter table delivery force row level security;
drop index delivery_once_key;
create unique index delivery_once_key on delivery (clinic_id, alert_id, round, step, channel, staff_id, webhook_endpoint_id)
  nulls not distinct;
alter table delivery add constraint delivery_channel_known check (channel in ('email', 'webhook', 'push'));
alter table delivery drop constraint delivery_about;
alter table delivery drop constraint delivery_kind_known;
alter table delivery drop column planned_at;
alter table delivery drop column subject_id;
alter table delivery drop column kind;
alter table delivery alter column alert_id set not null;
