-- migrate:up

-- Who asked to be reminded and can be reached nowhere is not like who has answered: it can be mended.
alter table reminder drop constraint reminder_state_known;
alter table reminder add constraint reminder_state_known
  check (state in ('claimed', 'sent', 'failed', 'not_needed', 'unreachable', 'late'));

-- migrate:down

alter table reminder no force row level security;
alter table reminder disable row level security;
update reminder set state = 'not_needed' where state = 'unreachable';
alter table reminder enable row level security;
alter table reminder force row level security;
alter table reminder drop constraint reminder_state_known;
alter table reminder add constraint reminder_state_known
  check (state in ('claimed', 'sent', 'failed', 'not_needed', 'late'));
