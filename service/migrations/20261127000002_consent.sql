-- migrate:up

-- What a client said about recipients outside the clinic. The newest row counts; without one nothing is given.
create table consent (
  clinic_id uuid not null,
  consent_id uuid not null,
  client_id uuid not null,
  given boolean not null,
  recorded_at timestamptz not null,
  recorded_by uuid not null,
  constraint consent_pkey primary key (clinic_id, consent_id)
);
create index consent_newest on consent (clinic_id, client_id, recorded_at, consent_id);
create index consent_recorder on consent (clinic_id, recorded_by);

-- Whether the endpoint belongs to somebody outside the clinic, whom only those clients' alerts reach who consented.
alter table webhook_endpoint add column outside boolean not null default false;

alter table consent add constraint consent_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table consent add constraint consent_recorder_fkey foreign key (clinic_id, recorded_by) references staff (clinic_id, staff_id);

alter table consent enable row level security;
alter table consent force row level security;
create policy consent_of_clinic on consent using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select, insert on consent to neap_web;
grant select on consent to neap_jobs;

-- migrate:down

alter table webhook_endpoint drop column outside;
drop table consent;
