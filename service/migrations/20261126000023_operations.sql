-- migrate:up

-- What an admin sees of how things run: a clinic's own daily runs, and messages that reached nobody.
grant select on job_run to neap_web;
create index delivery_dead on delivery (clinic_id, settled_at) where state = 'dead';

-- migrate:down

drop index delivery_dead;
revoke select on job_run from neap_web;
