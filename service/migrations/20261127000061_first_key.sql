-- migrate:up

-- The first process that starts keeps the root key under its master key: a later one under another key is refused.
grant insert on root_key to neap_web, neap_jobs;

-- migrate:down

revoke insert on root_key from neap_web, neap_jobs;
