-- migrate:up

-- Transaction ids start anew in another server. `moved` says how many times a row has moved to another one since it was
-- written: the trail's order is that of (moved, downwards, and transaction), and what is written here has moved never.
alter table audit_event add column moved smallint not null default 0;
alter table audit_event add constraint audit_event_moved_range check (moved >= 0);
alter table audit_seal add column moved smallint not null default 0;
alter table audit_seal add constraint audit_seal_moved_range check (moved >= 0);
drop index audit_event_transaction;
create index audit_event_order on audit_event (clinic_id, moved, transaction_id);
grant select (moved) on audit_event to neap_sweep;
grant select (moved) on audit_seal to neap_sweep;

-- migrate:down

drop index audit_event_order;
alter table audit_seal drop column moved;
alter table audit_event drop column moved;
create index audit_event_transaction on audit_event (clinic_id, transaction_id);
