-- migrate:up

-- What an import of a treatment brought in: which record of its file stands as which row, and a keyed hash of what the
-- file said of it. The newest row of a record holds; a record that stands as it is gets no further one.
create table imported_record (
  clinic_id uuid not null,
  imported_record_id uuid not null,
  client_id uuid not null,
  record text not null,
  record_key text not null,
  object_id uuid not null,
  content_hash bytea not null,
  imported_at timestamptz not null,
  constraint imported_record_pkey primary key (clinic_id, imported_record_id),
  constraint imported_record_known check (
    record in (
      'phase', 'pause', 'infusion', 'screen', 'pressure', 'contraindications', 'decision', 'session', 'response',
      'discharge'
    )
  )
);
create index imported_record_client on imported_record (clinic_id, client_id, record, record_key);

-- Nobody of the clinic recorded or decided what an import brings in.
alter table drug_screen alter column recorded_by drop not null;
alter table vital_reading alter column recorded_by drop not null;
alter table contraindication_check alter column recorded_by drop not null;
alter table gate_check alter column decided_by drop not null;

alter table imported_record add constraint imported_record_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);

alter table imported_record enable row level security;
alter table imported_record force row level security;
create policy imported_record_of_clinic on imported_record using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);

-- migrate:down

drop table imported_record;
alter table gate_check alter column decided_by set not null;
alter table contraindication_check alter column recorded_by set not null;
alter table vital_reading alter column recorded_by set not null;
alter table drug_screen alter column recorded_by set not null;
