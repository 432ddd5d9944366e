-- migrate:up

-- A first step of a clinic that somebody left as it is: it is done, although nothing shows it.
create table first_step (
  clinic_id uuid not null,
  step text not null,
  left_by uuid not null,
  left_at timestamptz not null,
  constraint first_step_pkey primary key (clinic_id, step)
);
create index first_step_leaver on first_step (clinic_id, left_by);
alter table first_step add constraint first_step_leaver_fkey foreign key (clinic_id, left_by) references staff (clinic_id, staff_id);

alter table first_step enable row level security;
alter table first_step force row level security;
create policy first_step_of_clinic on first_step using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select, insert, delete on first_step to neap_web;

-- migrate:down

drop table first_step;
