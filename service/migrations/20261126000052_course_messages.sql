-- migrate:up

-- That a client pauses or was discharged: subject_id names the client, planned_at the instant it was said.
alter table delivery drop constraint delivery_kind_known;
alter table delivery add constraint delivery_kind_known
  check (kind in ('alert', 'brief', 'course', 'digest', 'audit_head'));

-- migrate:down

alter table delivery no force row level security;
alter table delivery disable row level security;
delete from delivery where kind = 'course';
alter table delivery enable row level security;
alter table delivery force row level security;
alter table delivery drop constraint delivery_kind_known;
alter table delivery add constraint delivery_kind_known check (kind in ('alert', 'brief', 'digest', 'audit_head'));
