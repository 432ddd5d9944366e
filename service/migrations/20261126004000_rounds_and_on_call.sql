-- migrate:up

-- When the present round of an alert began: what begins one says so here, and nobody has to know what that may be.
alter table alert add column round_began_at timestamptz;
alter table alert no force row level security;
alter table alert disable row level security;
alter table alert_event no force row level security;
alter table alert_event disable row level security;
update alert a
set round_began_at = coalesce((
  select max(e.happened_at)
  from alert_event e
  where e.clinic_id = a.clinic_id
    and e.alert_id = a.alert_id
    and e.kind in ('opened', 'raised', 'reopened', 'lease_lapsed', 'snooze_ended')
), a.opened_at);
alter table alert_event enable row level security;
alter table alert_event force row level security;
alter table alert enable row level security;
alter table alert force row level security;
alter table alert alter column round_began_at set not null;
grant select (round_began_at, step) on alert to neap_sweep;

-- That an alert came to the step of whoever is on call, and they were told, is watched: who is, and who is away.
grant select (clinic_id, staff_id, from_at, until_at) on shift to neap_sweep;
create policy shift_of_sweep on shift for select to neap_sweep using (true);
grant select (clinic_id, staff_id, from_at, until_at) on cover to neap_sweep;
create policy cover_of_sweep on cover for select to neap_sweep using (true);

-- migrate:down

drop policy cover_of_sweep on cover;
revoke select (clinic_id, staff_id, from_at, until_at) on cover from neap_sweep;
drop policy shift_of_sweep on shift;
revoke select (clinic_id, staff_id, from_at, until_at) on shift from neap_sweep;
revoke select (round_began_at, step) on alert from neap_sweep;
alter table alert drop column round_began_at;
