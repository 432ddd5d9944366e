-- migrate:up

-- Whoever is away, and who is told and may look in their place. Ended early by its until_at.
create table cover (
  clinic_id uuid not null,
  cover_id uuid not null,
  staff_id uuid not null,
  covered_by uuid not null,
  from_at timestamptz not null,
  until_at timestamptz not null,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint cover_pkey primary key (clinic_id, cover_id),
  constraint cover_period check (until_at >= from_at),
  constraint cover_by_another check (covered_by <> staff_id)
);
create index cover_of_staff on cover (clinic_id, staff_id, until_at);
create index cover_by_staff on cover (clinic_id, covered_by, until_at);
alter table cover add constraint cover_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table cover add constraint cover_covered_by_fkey foreign key (clinic_id, covered_by) references staff (clinic_id, staff_id);
alter table cover add constraint cover_recorded_by_fkey foreign key (clinic_id, recorded_by) references staff (clinic_id, staff_id);

-- Who is on call for the whole clinic. Ended early, or withdrawn before it began, by its until_at.
create table shift (
  clinic_id uuid not null,
  shift_id uuid not null,
  staff_id uuid not null,
  from_at timestamptz not null,
  until_at timestamptz not null,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint shift_pkey primary key (clinic_id, shift_id),
  constraint shift_period check (until_at >= from_at)
);
create index shift_until on shift (clinic_id, until_at);
create index shift_of_staff on shift (clinic_id, staff_id, until_at);
alter table shift add constraint shift_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table shift add constraint shift_recorded_by_fkey foreign key (clinic_id, recorded_by) references staff (clinic_id, staff_id);

alter table cover enable row level security;
alter table cover force row level security;
create policy cover_of_clinic on cover using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
alter table shift enable row level security;
alter table shift force row level security;
create policy shift_of_clinic on shift using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select, insert, update (until_at) on cover, shift to neap_web;
grant select on cover, shift to neap_jobs;

-- Whose clients somebody may see: as a member of their care team, or while covering one. Nobody covers for a cover.
create view care_team_reach with (security_invoker = true) as
select clinic_id, client_id, staff_id, role, from_at, until_at, null::uuid as covers
from care_team_member
union all
select m.clinic_id, m.client_id, c.covered_by, m.role, greatest(m.from_at, c.from_at), least(m.until_at, c.until_at), c.staff_id
from cover c
join care_team_member m
  on m.clinic_id = c.clinic_id
  and m.staff_id = c.staff_id;
grant select on care_team_reach to neap_web, neap_jobs;

-- migrate:down

drop view care_team_reach;
drop table shift;
drop table cover;
