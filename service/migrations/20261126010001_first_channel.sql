-- migrate:up

-- By which channel a person is told first; null: the nearest one they have.
alter table staff add column first_channel text;
alter table staff add constraint staff_first_channel_known check (first_channel in ('push', 'email'));

-- migrate:down

alter table staff drop column first_channel;
