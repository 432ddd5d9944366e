-- migrate:up

-- A browser's address at its push service, as a keyed hash: two clients who used one phone are not both told there.
-- Null for what was kept before; a page that opens tells its browser again.
alter table phone_push add column endpoint_hash bytea;
alter table phone_push add constraint phone_push_endpoint_hash_length check (octet_length(endpoint_hash) = 32);
create unique index phone_push_endpoint_key on phone_push (clinic_id, endpoint_hash) where endpoint_hash is not null;
grant delete on phone_push to neap_web;

-- migrate:down

revoke delete on phone_push from neap_web;
alter table phone_push drop column endpoint_hash;
