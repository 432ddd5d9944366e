-- migrate:up

-- Runs that are not done are few, and looked for each minute over all clinics.
create index job_run_not_done on job_run (clinic_id, job, local_date) where state in ('running', 'failed');

-- migrate:down

drop index job_run_not_done;
