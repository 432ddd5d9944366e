-- migrate:up

-- Whether clients read on their phone that somebody has taken on what their answers gave rise to. A clinic chooses it.
alter table clinic_setting add column tell_seen boolean not null default false;

-- migrate:down

alter table clinic_setting drop column tell_seen;
