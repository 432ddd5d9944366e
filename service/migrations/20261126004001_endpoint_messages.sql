-- migrate:up

-- That an endpoint was disabled by itself: subject_id names the endpoint, planned_at when.
alter table delivery drop constraint delivery_kind_known;
alter table delivery add constraint delivery_kind_known
  check (kind in ('alert', 'brief', 'course', 'digest', 'audit_head', 'endpoint'));

-- migrate:down

alter table delivery no force row level security;
alter table delivery disable row level security;
delete from delivery where kind = 'endpoint';
alter table delivery enable row level security;
alter table delivery force row level security;
alter table delivery drop constraint delivery_kind_known;
alter table delivery add constraint delivery_kind_known
  check (kind in ('alert', 'brief', 'course', 'digest', 'audit_head'));
