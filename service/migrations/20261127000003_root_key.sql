-- migrate:up

-- The key under which everything is sealed, itself sealed under the master key of the settings; no row while that one
-- was never rotated, and both are the same. One row for the whole deployment.
create table root_key (
  the_only boolean not null default true,
  sealed bytea not null,
  rotated_at timestamptz not null,
  constraint root_key_pkey primary key (the_only),
  constraint root_key_one check (the_only),
  constraint root_key_length check (octet_length(sealed) = 61)
);
grant select on root_key to neap_web, neap_jobs;

-- migrate:down

drop table root_key;
