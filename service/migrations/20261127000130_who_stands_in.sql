-- migrate:up

-- While somebody is away and covered by somebody who works here: then they are told of nothing. A cover who does not work
-- here any more is no dead end.
create view cover_in_force with (security_invoker = true) as
select c.clinic_id, c.cover_id, c.staff_id, c.covered_by, c.from_at, c.until_at
from cover c
join staff stands_in
  on stands_in.clinic_id = c.clinic_id
  and stands_in.staff_id = c.covered_by
  and stands_in.disabled_at is null;
grant select on cover_in_force to neap_web, neap_jobs;

-- When somebody on call is told: a shift of somebody who works here, without the times at which they are away and covered.
-- `shift_until_at` is the shift's own end, by which an index finds it.
create view on_call with (security_invoker = true) as
select shift.clinic_id, shift.shift_id, shift.staff_id, lower(told.span) as from_at, upper(told.span) as until_at,
  shift.until_at as shift_until_at
from shift
join staff s
  on s.clinic_id = shift.clinic_id
  and s.staff_id = shift.staff_id
  and s.disabled_at is null
cross join lateral (
  select unnest(tstzmultirange(tstzrange(shift.from_at, shift.until_at)) - coalesce(
    (
      select range_agg(tstzrange(c.from_at, c.until_at))
      from cover_in_force c
      where c.clinic_id = shift.clinic_id
        and c.staff_id = shift.staff_id
        and c.until_at > shift.from_at
    ),
    '{}'
  )) as span
) told;
grant select on on_call to neap_web, neap_jobs;

-- migrate:down

drop view on_call;
drop view cover_in_force;
