-- migrate:up

-- That a digest is absent is noticed as neap_sweep: who is on a care team, and since when; nothing of who they are.
grant select (clinic_id, staff_id, from_at, until_at) on care_team_member to neap_sweep;
grant select (clinic_id, staff_id, disabled_at) on staff to neap_sweep;
create policy care_team_member_of_sweep on care_team_member for select to neap_sweep using (true);
create policy staff_of_sweep on staff for select to neap_sweep using (true);

-- migrate:down

drop policy staff_of_sweep on staff;
drop policy care_team_member_of_sweep on care_team_member;
revoke select (clinic_id, staff_id, disabled_at) on staff from neap_sweep;
revoke select (clinic_id, staff_id, from_at, until_at) on care_team_member from neap_sweep;
