-- migrate:up

-- What clients of a clinic were told, and when it was open, until somebody changed it.
create table clinic_setting_former (
  clinic_id uuid not null,
  clinic_setting_former_id uuid not null,
  monitoring_notice text not null,
  crisis jsonb not null,
  hours jsonb not null,
  changed_by uuid not null,
  changed_at timestamptz not null,
  constraint clinic_setting_former_pkey primary key (clinic_id, clinic_setting_former_id)
);
create index clinic_setting_former_changer on clinic_setting_former (clinic_id, changed_by);
alter table clinic_setting_former add constraint clinic_setting_former_changer_fkey foreign key (clinic_id, changed_by) references staff (clinic_id, staff_id);

alter table clinic_setting_former enable row level security;
alter table clinic_setting_former force row level security;
create policy clinic_setting_former_of_clinic on clinic_setting_former using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
grant select, insert on clinic_setting_former to neap_web;

-- migrate:down

drop table clinic_setting_former;
