-- migrate:up

-- A block of the audit trail, closed: [from_transaction, until_transaction). `marks` holds 32 bytes a row, id and digest,
-- so that what was edited, taken out or put in can be named. Append-only.
create table audit_seal (
  clinic_id uuid not null,
  number integer not null,
  from_transaction xid8 not null,
  until_transaction xid8 not null,
  row_count integer not null,
  marks bytea not null,
  previous_hash bytea not null,
  hash bytea not null,
  signature bytea not null,
  sealed_at timestamptz not null,
  constraint audit_seal_pkey primary key (clinic_id, number),
  constraint audit_seal_number_positive check (number > 0),
  constraint audit_seal_bounds check (from_transaction < until_transaction),
  constraint audit_seal_marks_length check (length(marks) = 32 * row_count),
  constraint audit_seal_hash_lengths check (length(previous_hash) = 32 and length(hash) = 32 and length(signature) = 64)
);
alter table audit_seal add constraint audit_seal_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);

alter table audit_seal enable row level security;
alter table audit_seal force row level security;
create policy audit_seal_of_clinic on audit_seal using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);

grant select on audit_seal to neap_web;
grant select, insert on audit_seal to neap_jobs;

-- The sweep learns which clinics have rows to seal, and sees nothing of the rows.
grant select (clinic_id, transaction_id) on audit_event to neap_sweep;
grant select (clinic_id, number, until_transaction, sealed_at) on audit_seal to neap_sweep;
create policy audit_event_of_sweep on audit_event for select to neap_sweep using (true);
create policy audit_seal_of_sweep on audit_seal for select to neap_sweep using (true);

-- migrate:down

drop policy audit_event_of_sweep on audit_event;
revoke select (clinic_id, transaction_id) on audit_event from neap_sweep;
drop table audit_seal;
