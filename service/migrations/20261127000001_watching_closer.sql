-- migrate:up

-- Since when a message has failed, whichever try it is at.
alter table delivery add column failing_since timestamptz;
grant select (failing_since) on delivery to neap_sweep;

-- When a job of a process is to have reported again; until when what is waiting for it counts as in time.
alter table deployment_job_run add column due_at timestamptz;

-- Whoever works here again had no digest while they did not.
alter table staff add column enabled_at timestamptz;
grant select (enabled_at) on staff to neap_sweep;

-- Who took an alert on has to work here, and has it for a time.
grant select (acknowledged_by) on alert to neap_sweep;
alter table alert add constraint alert_acknowledged_has_lease check (
  state <> 'acknowledged' or (lease_until is not null and acknowledged_by is not null)
);
alter table alert add constraint alert_snoozed_has_end check (state <> 'snoozed' or snoozed_until is not null);

-- An urgent alert that nobody takes on is told again, round after round; those at the end of their ladder, too.
alter table alert no force row level security;
alter table alert disable row level security;
update alert
set next_step_at = now()
where tier = 1
  and origin = 'live'
  and state in ('open', 'dispatched')
  and next_step_at is null;
alter table alert enable row level security;
alter table alert force row level security;

-- That an answer is in no trend is seen in the facts as well, not by the queue alone.
create index check_in_received on check_in using brin (clinic_id, received_at);
grant select (clinic_id, client_id, client_day, received_at, kind, origin) on check_in to neap_sweep;
create policy check_in_of_sweep on check_in for select to neap_sweep using (true);
grant select (clinic_id, client_id, client_day) on trend to neap_sweep;
create policy trend_of_sweep on trend for select to neap_sweep using (true);

-- migrate:down

drop policy trend_of_sweep on trend;
revoke select (clinic_id, client_id, client_day) on trend from neap_sweep;
drop policy check_in_of_sweep on check_in;
revoke select (clinic_id, client_id, client_day, received_at, kind, origin) on check_in from neap_sweep;
drop index check_in_received;
alter table alert drop constraint alert_snoozed_has_end;
alter table alert drop constraint alert_acknowledged_has_lease;
revoke select (acknowledged_by) on alert from neap_sweep;
revoke select (enabled_at) on staff from neap_sweep;
alter table staff drop column enabled_at;
alter table deployment_job_run drop column due_at;
revoke select (failing_since) on delivery from neap_sweep;
alter table delivery drop column failing_since;
