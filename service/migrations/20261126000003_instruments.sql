-- migrate:up

-- A clinic's own instruments, each version as it was brought in; those that ship with Neap are files.
create table instrument (
  clinic_id uuid not null,
  code text not null,
  version smallint not null,
  definition jsonb not null,
  added_on date not null,
  added_by uuid,
  added_at timestamptz not null,
  constraint instrument_pkey primary key (clinic_id, code, version),
  constraint instrument_code_shape check (code ~ '^[a-z][a-z0-9_]{1,31}$'),
  constraint instrument_version_positive check (version > 0)
);

-- How often a clinic asks an instrument in a phase, from a day on; no days: never. The latest day wins, of one day the
-- last word.
create table instrument_schedule (
  clinic_id uuid not null,
  instrument_schedule_id uuid not null,
  code text not null,
  phase text not null,
  every_days smallint,
  open_days smallint,
  from_on date not null,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint instrument_schedule_pkey primary key (clinic_id, instrument_schedule_id),
  constraint instrument_schedule_phase_known check (phase in ('induction', 'maintenance')),
  constraint instrument_schedule_every_range check (every_days between 1 and 364),
  constraint instrument_schedule_open_range check (open_days between 1 and every_days),
  constraint instrument_schedule_both_days check ((every_days is null) = (open_days is null))
);
create index instrument_schedule_code on instrument_schedule (clinic_id, code, phase, from_on);

-- What a client answered, as it came, and what it added up to under the version it names.
create table instrument_response (
  clinic_id uuid not null,
  instrument_response_id uuid not null,
  client_id uuid not null,
  code text not null,
  version smallint not null,
  answers jsonb not null,
  total double precision,
  missing text[] not null,
  answered_at timestamptz not null,
  sent_at timestamptz not null,
  received_at timestamptz not null,
  counted_at timestamptz not null,
  time_zone text not null,
  zone_known boolean not null,
  client_day date not null,
  device_id uuid,
  content_hash bytea not null,
  constraint instrument_response_pkey primary key (clinic_id, instrument_response_id),
  constraint instrument_response_answers_object check (jsonb_typeof(answers) = 'object'),
  constraint instrument_response_counted_not_after_receipt check (counted_at <= received_at)
);
create index instrument_response_client on instrument_response (clinic_id, client_id, code, client_day);

-- A finding may rest on a response; a second urgent response of a day is a second finding.
alter table finding add column instrument_response_id uuid;
drop index finding_once_key;
create unique index finding_once_key on finding
  (clinic_id, client_id, rule, client_day, check_in_id, instrument_response_id, revision) nulls not distinct;

alter table instrument add constraint instrument_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table instrument add constraint instrument_adder_fkey foreign key (clinic_id, added_by) references staff (clinic_id, staff_id);
alter table instrument_schedule add constraint instrument_schedule_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table instrument_schedule add constraint instrument_schedule_recorder_fkey foreign key (clinic_id, recorded_by) references staff (clinic_id, staff_id);
alter table instrument_response add constraint instrument_response_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table finding add constraint finding_instrument_response_fkey foreign key (clinic_id, instrument_response_id) references instrument_response (clinic_id, instrument_response_id);

alter table instrument enable row level security;
alter table instrument force row level security;
create policy instrument_of_clinic on instrument using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
alter table instrument_schedule enable row level security;
alter table instrument_schedule force row level security;
create policy instrument_schedule_of_clinic on instrument_schedule using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
alter table instrument_response enable row level security;
alter table instrument_response force row level security;
create policy instrument_response_of_clinic on instrument_response using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);

grant select, insert on instrument, instrument_schedule, instrument_response to neap_web;

-- migrate:down

alter table finding drop constraint finding_instrument_response_fkey;
drop index finding_once_key;
create unique index finding_once_key on finding (clinic_id, client_id, rule, client_day, check_in_id, revision) nulls not distinct;
alter table finding drop column instrument_response_id;
drop table instrument_response, instrument_schedule, instrument;
