-- migrate:up

-- How soon a person wants to be told of what is not urgent, and when not: times on the clinic's clock.
alter table staff add column tempo text not null default 'now';
alter table staff add column quiet_from time;
alter table staff add column quiet_until time;
alter table staff add constraint staff_tempo_known check (tempo in ('now', 'within_3_hours', 'daily'));
alter table staff add constraint staff_quiet_whole check (
  (quiet_from is null) = (quiet_until is null) and coalesce(quiet_from <> quiet_until, true)
);

-- migrate:down

alter table staff drop column quiet_until;
alter table staff drop column quiet_from;
alter table staff drop column tempo;
