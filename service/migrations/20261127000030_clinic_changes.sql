-- migrate:up

-- Which clinics there are is read without one: a sign-in page, a link, the clock. A row is made and changed only inside
-- the transaction of its own clinic, its name and zone only, and it is never deleted.
alter table clinic enable row level security;
alter table clinic force row level security;
create policy clinic_read_by_all on clinic for select using (true);
create policy clinic_made_as_itself on clinic for insert with check (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
create policy clinic_changed_as_itself on clinic for update using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant update (name, time_zone) on clinic to neap_web;

-- What a clinic was called, and by which clock it went, until somebody changed it.
create table clinic_former (
  clinic_id uuid not null,
  clinic_former_id uuid not null,
  name text not null,
  time_zone text not null,
  changed_by uuid not null,
  changed_at timestamptz not null,
  constraint clinic_former_pkey primary key (clinic_id, clinic_former_id)
);
create index clinic_former_changer on clinic_former (clinic_id, changed_by);
alter table clinic_former add constraint clinic_former_changer_fkey foreign key (clinic_id, changed_by) references staff (clinic_id, staff_id);

alter table clinic_former enable row level security;
alter table clinic_former force row level security;
create policy clinic_former_of_clinic on clinic_former using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select, insert on clinic_former to neap_web;

-- migrate:down

drop table clinic_former;
revoke update (name, time_zone) on clinic from neap_web;
drop policy clinic_changed_as_itself on clinic;
drop policy clinic_made_as_itself on clinic;
drop policy clinic_read_by_all on clinic;
alter table clinic no force row level security;
alter table clinic disable row level security;
