-- migrate:up

-- One policy a tenant table, for every role: a transaction sees the clinic it named, and nothing when it named none.
-- (After a transaction the setting reads '', and a bare cast of that raises: hence nullif.)
do $$
declare
  tenant_table text;
begin
  foreach tenant_table in array array[
    'clinic_setting', 'staff', 'staff_session', 'sign_in_throttle', 'recovery_code', 'one_time_link', 'client', 'client_key',
    'care_team_member', 'enrolment_code', 'device', 'device_token', 'device_nonce', 'course', 'course_substance',
    'infusion', 'infusion_event', 'therapy_session', 'check_in', 'fold_due', 'rule_set', 'trend', 'trend_checkpoint',
    'alert', 'finding', 'finding_withdrawal', 'alert_event', 'webhook_endpoint', 'delivery', 'audit_event', 'job_run'
  ] loop
    execute format('alter table %I enable row level security', tenant_table);
    execute format('alter table %I force row level security', tenant_table);
    execute format(
      'create policy %I on %I using (clinic_id = nullif(current_setting(''neap.clinic_id'', true), '''')::uuid)',
      tenant_table || '_of_clinic', tenant_table
    );
  end loop;
end
$$;

grant usage on schema public to neap_web, neap_jobs, neap_sweep;
grant select on schema_migrations to neap_web, neap_jobs, neap_sweep;
grant select on clinic to neap_web, neap_jobs, neap_sweep;
grant select on population_prior to neap_web, neap_jobs;
grant insert on population_prior to neap_jobs;
grant select on deployment_job_run to neap_web, neap_sweep;
grant select, insert, update, delete on deployment_job_run to neap_jobs;

-- Facts are append-only for the processes that run: no update, no delete.
grant select, insert on check_in, infusion_event, finding, finding_withdrawal, alert_event, audit_event, rule_set to neap_web, neap_jobs;

grant select, insert, update on clinic_setting, staff, client, client_key, care_team_member, device, enrolment_code,
  one_time_link, recovery_code, course, course_substance, infusion, therapy_session, alert, delivery, webhook_endpoint to neap_web;
grant select, insert, update, delete on staff_session, sign_in_throttle, device_token, device_nonce, fold_due to neap_web;
grant delete on recovery_code to neap_web;
grant select on trend to neap_web;

grant select on clinic_setting, staff, client, client_key, care_team_member, course, course_substance, infusion, therapy_session to neap_jobs;
grant select, insert, update, delete on trend, trend_checkpoint, fold_due to neap_jobs;
grant select, insert, update on alert, delivery, job_run, webhook_endpoint to neap_jobs;
grant delete on job_run to neap_jobs;
grant select, delete on staff_session, sign_in_throttle, device_nonce, device_token, one_time_link to neap_jobs;
grant select, update on device to neap_jobs;

-- The sweep learns which clinics have work: ids, states and times, over all clinics, and nothing else.
grant select (clinic_id, client_id, from_day, since, retry_at) on fold_due to neap_sweep;
grant select (clinic_id, delivery_id, state, due_at, leased_until) on delivery to neap_sweep;
grant select (clinic_id, job, local_date, local_time, state, claimed_at, finished_at) on job_run to neap_sweep;
grant select (clinic_id, alert_id, state, opened_at, lease_until) on alert to neap_sweep;
create policy fold_due_of_sweep on fold_due for select to neap_sweep using (true);
create policy delivery_of_sweep on delivery for select to neap_sweep using (true);
create policy job_run_of_sweep on job_run for select to neap_sweep using (true);
create policy alert_of_sweep on alert for select to neap_sweep using (true);

-- migrate:down

drop policy alert_of_sweep on alert;
drop policy job_run_of_sweep on job_run;
drop policy delivery_of_sweep on delivery;
drop policy fold_due_of_sweep on fold_due;
revoke all on all tables in schema public from neap_web, neap_jobs, neap_sweep;
revoke usage on schema public from neap_web, neap_jobs, neap_sweep;
