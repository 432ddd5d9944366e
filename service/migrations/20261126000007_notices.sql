-- migrate:up

-- A message that is about no alert, to one person on one channel: that there is something to read before an appointment.
-- subject_id: the therapy session, planned_at: the slot it had; a session that moves is told of anew.
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
create index therapy_session_planned on therapy_session (clinic_id, planned_at) where state = 'planned';

alter table notice add constraint notice_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);

alter table notice enable row level security;
alter table notice force row level security;
create policy notice_of_clinic on notice using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);

grant select on notice to neap_web;
grant select, insert, update on notice to neap_jobs;
grant select (clinic_id, notice_id, kind, staff_id, subject_id, planned_at, state, due_at, leased_until) on notice to neap_sweep;
grant select (clinic_id, therapy_session_id, staff_id, state, planned_at) on therapy_session to neap_sweep;
create policy notice_of_sweep on notice for select to neap_sweep using (true);
create policy therapy_session_of_sweep on therapy_session for select to neap_sweep using (true);

-- migrate:down

drop policy therapy_session_of_sweep on therapy_session;
revoke select (clinic_id, therapy_session_id, staff_id, state, planned_at) on therapy_session from neap_sweep;
drop index therapy_session_planned;
drop table notice;
