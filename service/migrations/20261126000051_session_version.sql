-- migrate:up

-- Whoever changes a session says which version they looked at; it counts the session's events.
alter table therapy_session add column version integer not null default 1;
update therapy_session s
set version = (
  select count(*)
  from therapy_session_event e
  where e.clinic_id = s.clinic_id
    and e.therapy_session_id = s.therapy_session_id
);
alter table therapy_session add constraint therapy_session_version_positive check (version >= 1);

-- migrate:down

alter table therapy_session drop column version;
