-- migrate:up

-- How far up the ladder the present round of an alert has come, and when it goes on; null: not by itself.
alter table alert add column step smallint not null default 0;
alter table alert add column next_step_at timestamptz;
create index alert_next_step on alert (clinic_id, next_step_at) where next_step_at is not null;
create index alert_snoozed on alert (clinic_id, snoozed_until) where state = 'snoozed';
grant select (next_step_at, snoozed_until) on alert to neap_sweep;

-- Which kinds of events there are, the code says.
alter table alert_event drop constraint alert_event_kind_known;

-- migrate:down

alter table alert_event add constraint alert_event_kind_known check (
  kind in ('opened', 'joined', 'raised', 'dispatched', 'acknowledged', 'noted', 'snoozed', 'resolved', 'auto_resolved',
           'reopened', 'lease_lapsed', 'recalculated', 'unroutable')
);
revoke select (next_step_at, snoozed_until) on alert from neap_sweep;
drop index alert_snoozed;
drop index alert_next_step;
alter table alert drop column next_step_at;
alter table alert drop column step;
