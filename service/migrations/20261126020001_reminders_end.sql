-- migrate:up

-- That somebody was reminded long ago helps nobody.
grant delete on reminder to neap_jobs;

-- migrate:down

revoke delete on reminder from neap_jobs;
