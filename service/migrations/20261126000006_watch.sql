-- migrate:up

-- What the reconciler looks at as neap_sweep: ids, states and times.
grant select (tier, round, acknowledged_at, origin) on alert to neap_sweep;
grant select (clinic_id, alert_id, kind, happened_at) on alert_event to neap_sweep;
grant select (alert_id, round, staff_id, created_at) on delivery to neap_sweep;
grant select (happened_at) on audit_event to neap_sweep;
create policy alert_event_of_sweep on alert_event for select to neap_sweep using (true);

-- migrate:down

drop policy alert_event_of_sweep on alert_event;
revoke select (happened_at) on audit_event from neap_sweep;
revoke select (alert_id, round, staff_id, created_at) on delivery from neap_sweep;
revoke select (clinic_id, alert_id, kind, happened_at) on alert_event from neap_sweep;
revoke select (tier, round, acknowledged_at, origin) on alert from neap_sweep;
