-- migrate:up

-- When whoever took an alert on reaches it: as `service/people/access.py:TABLE` has it for taking alerts on, until they
-- are disabled. Whoever reaches it no longer has it no longer.
create view alert_holder_reach with (security_invoker = true) as
select a.clinic_id, a.alert_id, reach.from_at, least(reach.until_at, s.disabled_at) as until_at
from alert a
join staff s
  on s.clinic_id = a.clinic_id
  and s.staff_id = a.acknowledged_by
cross join lateral (
  select m.from_at, m.until_at
  from care_team_reach m
  where m.clinic_id = a.clinic_id
    and m.client_id = a.client_id
    and m.staff_id = a.acknowledged_by
    and s.roles && array['therapist', 'prescriber', 'nurse']
  union all
  select on_call.from_at, on_call.until_at
  from shift on_call
  where on_call.clinic_id = a.clinic_id
    and on_call.staff_id = a.acknowledged_by
  union all
  select '-infinity', null
  where 'coordinator' = any (s.roles)
  union all
  select '-infinity', null
  from delivery d
  where d.clinic_id = a.clinic_id
    and d.alert_id = a.alert_id
    and d.staff_id = a.acknowledged_by
    and 'admin' = any (s.roles)
) reach
where a.state = 'acknowledged';
grant select on alert_holder_reach to neap_web, neap_jobs, neap_sweep;
grant select on care_team_reach to neap_sweep;
grant select (client_id) on alert to neap_sweep;
grant select (roles) on staff to neap_sweep;
grant select (client_id, role) on care_team_member to neap_sweep;
grant select (covered_by) on cover to neap_sweep;

-- migrate:down

revoke select (covered_by) on cover from neap_sweep;
revoke select (client_id, role) on care_team_member from neap_sweep;
revoke select (roles) on staff from neap_sweep;
revoke select (client_id) on alert from neap_sweep;
revoke select on care_team_reach from neap_sweep;
drop view alert_holder_reach;
