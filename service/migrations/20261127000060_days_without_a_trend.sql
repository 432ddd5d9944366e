-- migrate:up

-- Who looks whether every answer is in a trend knows on which days there is none: in a pause, and after a discharge.
grant select (clinic_id, client_id, started_on, ended_on) on course to neap_sweep;
create policy course_of_sweep on course for select to neap_sweep using (true);
grant select (clinic_id, client_id, from_on, until_on) on pause to neap_sweep;
create policy pause_of_sweep on pause for select to neap_sweep using (true);

-- migrate:down

drop policy pause_of_sweep on pause;
revoke select (clinic_id, client_id, from_on, until_on) on pause from neap_sweep;
drop policy course_of_sweep on course;
revoke select (clinic_id, client_id, started_on, ended_on) on course from neap_sweep;
