-- migrate:up

-- Where a person is reached beside their e-mail, channel by channel: today browsers that take push messages.
-- address_sealed: what the channel sends to; address_hash: keyed, so that one address is kept once. Rows end, they are
-- not deleted.
create table staff_address (
  clinic_id uuid not null,
  staff_address_id uuid not null,
  staff_id uuid not null,
  channel text not null,
  label text not null,
  address_sealed bytea not null,
  address_hash bytea not null,
  created_at timestamptz not null,
  ended_at timestamptz,
  ended_why text,
  constraint staff_address_pkey primary key (clinic_id, staff_address_id),
  constraint staff_address_hash_length check (length(address_hash) = 32),
  constraint staff_address_label_length check (char_length(label) between 1 and 100)
);
create unique index staff_address_once_key on staff_address (clinic_id, channel, address_hash) where ended_at is null;
create index staff_address_of_staff on staff_address (clinic_id, staff_id) where ended_at is null;
alter table staff_address add constraint staff_address_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);

alter table staff_address enable row level security;
alter table staff_address force row level security;
create policy staff_address_of_clinic on staff_address using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select, insert, update on staff_address to neap_web;
grant select, update on staff_address to neap_jobs;

-- The language in which a person is written to.
alter table staff add column language text not null default 'en';
alter table staff add constraint staff_language_shape check (language ~ '^[a-z]{2}$');

-- While a secret takes another's place both sign, so that no message is lost on the receiver's side.
alter table webhook_endpoint add column previous_secret_sealed bytea;
alter table webhook_endpoint add column previous_until timestamptz;
alter table webhook_endpoint add constraint webhook_endpoint_previous check (
  (previous_secret_sealed is null) = (previous_until is null)
);

-- When a receiver said that a message has arrived, and when its recipient followed it.
alter table delivery add column delivered_at timestamptz;
alter table delivery add column opened_at timestamptz;

-- migrate:down

alter table delivery drop column opened_at;
alter table delivery drop column delivered_at;
alter table webhook_endpoint drop constraint webhook_endpoint_previous;
alter table webhook_endpoint drop column previous_until;
alter table webhook_endpoint drop column previous_secret_sealed;
alter table staff drop constraint staff_language_shape;
alter table staff drop column language;
drop table staff_address;
