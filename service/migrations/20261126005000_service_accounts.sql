-- migrate:up

-- A program that writes for the clinic, such as a health record system: by a token that is kept as a digest only.
create table service_account (
  clinic_id uuid not null,
  service_account_id uuid not null,
  name text not null,
  scopes text[] not null,
  token_hash bytea not null,
  created_by uuid not null,
  created_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz,
  constraint service_account_pkey primary key (clinic_id, service_account_id),
  constraint service_account_name_length check (char_length(name) between 1 and 100),
  constraint service_account_scopes_known check (
    cardinality(scopes) > 0
    and scopes <@ array['infusions', 'sessions', 'screens']
  ),
  constraint service_account_token_length check (octet_length(token_hash) = 32)
);
create unique index service_account_token_key on service_account (clinic_id, token_hash);
create index service_account_creator on service_account (clinic_id, created_by);
alter table service_account add constraint service_account_creator_fkey foreign key (clinic_id, created_by) references staff (clinic_id, staff_id);

alter table service_account enable row level security;
alter table service_account force row level security;
create policy service_account_of_clinic on service_account using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select, insert, update (last_used_at, revoked_at) on service_account to neap_web;

-- What a program writes is recorded by nobody of the staff; the audit trail names the program.
alter table audit_event drop constraint audit_event_actor_known;
alter table audit_event add constraint audit_event_actor_known check (
  actor_kind in ('device', 'staff', 'service_account', 'job', 'command', 'anonymous')
);

-- migrate:down

alter table audit_event drop constraint audit_event_actor_known;
alter table audit_event add constraint audit_event_actor_known check (
  actor_kind in ('device', 'staff', 'job', 'command', 'anonymous')
) not valid;
drop table service_account;
