-- migrate:up

-- What a client chose on their own phone: the page's language, and the hour of a reminder, off unless they ask for it.
-- next_at: the instant of the next reminder, moved on in the transaction that claims it.
create table phone_setting (
  clinic_id uuid not null,
  client_id uuid not null,
  language text,
  remind_time time,
  time_zone text,
  email_sealed bytea,
  next_at timestamptz,
  changed_at timestamptz not null,
  constraint phone_setting_pkey primary key (clinic_id, client_id),
  constraint phone_setting_language_shape check (language ~ '^[a-z]{2}$'),
  constraint phone_setting_reminder_whole check (
    (remind_time is null) = (next_at is null)
    and (remind_time is null or time_zone is not null)
  )
);
create index phone_setting_due on phone_setting (clinic_id, next_at) where next_at is not null;

-- A phone's browser that takes messages, sealed with the client's key: the address of a push service is an address.
create table phone_push (
  clinic_id uuid not null,
  device_id uuid not null,
  client_id uuid not null,
  subscription_sealed bytea not null,
  created_at timestamptz not null,
  constraint phone_push_pkey primary key (clinic_id, device_id)
);
create index phone_push_client on phone_push (clinic_id, client_id);

-- One reminder a client day at most, whatever runs twice: the key says so.
create table reminder (
  clinic_id uuid not null,
  client_id uuid not null,
  client_day date not null,
  due_at timestamptz not null,
  state text not null,
  claimed_at timestamptz not null,
  settled_at timestamptz,
  constraint reminder_pkey primary key (clinic_id, client_id, client_day),
  constraint reminder_state_known check (state in ('claimed', 'sent', 'failed', 'not_needed', 'late'))
);

alter table phone_setting add constraint phone_setting_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table phone_push add constraint phone_push_device_fkey foreign key (clinic_id, device_id) references device (clinic_id, device_id);
alter table phone_push add constraint phone_push_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table reminder add constraint reminder_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);

alter table phone_setting enable row level security;
alter table phone_setting force row level security;
create policy phone_setting_of_clinic on phone_setting using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
alter table phone_push enable row level security;
alter table phone_push force row level security;
create policy phone_push_of_clinic on phone_push using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
alter table reminder enable row level security;
alter table reminder force row level security;
create policy reminder_of_clinic on reminder using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);

grant select, insert, update on phone_setting to neap_web;
grant select, insert, update on phone_push to neap_web;
grant select, update (next_at) on phone_setting to neap_jobs;
grant select, delete on phone_push to neap_jobs;
grant select, insert, update on reminder to neap_jobs;
-- What a questionnaire's being due follows from; of the answers only that there are some.
grant select on instrument, instrument_schedule to neap_jobs;
grant select (clinic_id, client_id, instrument_response_id, code, client_day, counted_at) on instrument_response to neap_jobs;
grant select (clinic_id, next_at) on phone_setting to neap_sweep;
create policy phone_setting_of_sweep on phone_setting for select to neap_sweep using (true);

-- migrate:down

revoke select (clinic_id, client_id, instrument_response_id, code, client_day, counted_at) on instrument_response from neap_jobs;
revoke select on instrument, instrument_schedule from neap_jobs;
drop table reminder, phone_push, phone_setting;
