-- migrate:up

-- A client leaves monitoring on their phone: a pause like the others, with a reason that is theirs alone to give.
alter table pause drop constraint pause_reason_known;
alter table pause add constraint pause_reason_known check (
  reason in ('travel', 'inpatient', 'own_wish', 'left_monitoring', 'discharged', 'other')
);

-- migrate:down

alter table pause drop constraint pause_reason_known;
alter table pause add constraint pause_reason_known check (
  reason in ('travel', 'inpatient', 'own_wish', 'discharged', 'other')
);
