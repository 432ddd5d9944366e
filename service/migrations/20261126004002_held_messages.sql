-- migrate:up

-- A message that waits because its recipient chose so goes out together with their others, as one: sent_with names it.
alter table delivery add column held boolean not null default false;
alter table delivery add column sent_with uuid;
create index delivery_sent_with on delivery (clinic_id, sent_with) where sent_with is not null;

-- migrate:down

drop index delivery_sent_with;
alter table delivery drop column sent_with;
alter table delivery drop column held;
