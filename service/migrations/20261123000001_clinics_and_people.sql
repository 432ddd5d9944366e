-- migrate:up

create table clinic (
  clinic_id uuid not null,
  slug text not null,
  name text not null,
  time_zone text not null,
  created_at timestamptz not null,
  constraint clinic_pkey primary key (clinic_id),
  constraint clinic_slug_key unique (slug),
  constraint clinic_slug_shape check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  constraint clinic_name_length check (char_length(name) between 1 and 200)
);

create table clinic_setting (
  clinic_id uuid not null,
  monitoring_notice text not null,
  crisis jsonb not null,
  hours jsonb not null,
  therapy_window_hours smallint not null default 72,
  fictional boolean not null default false,
  updated_at timestamptz not null,
  constraint clinic_setting_pkey primary key (clinic_id),
  constraint clinic_setting_therapy_window_range check (therapy_window_hours between 1 and 720)
);

create table staff (
  clinic_id uuid not null,
  staff_id uuid not null,
  email text not null,
  name text not null,
  roles text[] not null,
  password_hash text,
  totp_secret_sealed bytea,
  totp_confirmed_at timestamptz,
  totp_last_step bigint,
  created_at timestamptz not null,
  disabled_at timestamptz,
  constraint staff_pkey primary key (clinic_id, staff_id),
  constraint staff_email_lower check (email = lower(email)),
  constraint staff_name_length check (char_length(name) between 1 and 200),
  constraint staff_roles_known check (
    cardinality(roles) > 0
    and roles <@ array['therapist', 'prescriber', 'nurse', 'coordinator', 'privacy_officer', 'admin']
  )
);
create unique index staff_email_key on staff (clinic_id, email);

-- A session row holds only the digest of its cookie; a copy of the table signs nobody in.
create table staff_session (
  clinic_id uuid not null,
  session_hash bytea not null,
  staff_id uuid not null,
  csrf_token text not null,
  stage text not null,
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  expires_at timestamptz not null,
  constraint staff_session_pkey primary key (clinic_id, session_hash),
  constraint staff_session_stage_known check (stage in ('password', 'enrol_totp', 'full'))
);
create index staff_session_staff on staff_session (clinic_id, staff_id);

-- Failed sign-ins by a keyed hash of what was tried (an address, known here or not, or the whole clinic), so that a
-- lock never tells whether somebody works here.
create table sign_in_throttle (
  clinic_id uuid not null,
  subject_hash bytea not null,
  failed_tries integer not null,
  last_failed_at timestamptz not null,
  locked_until timestamptz,
  constraint sign_in_throttle_pkey primary key (clinic_id, subject_hash)
);

create table recovery_code (
  clinic_id uuid not null,
  staff_id uuid not null,
  code_hash bytea not null,
  created_at timestamptz not null,
  used_at timestamptz,
  constraint recovery_code_pkey primary key (clinic_id, staff_id, code_hash)
);

create table one_time_link (
  clinic_id uuid not null,
  link_hash bytea not null,
  staff_id uuid not null,
  purpose text not null,
  created_by uuid,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint one_time_link_pkey primary key (clinic_id, link_hash),
  constraint one_time_link_purpose_known check (purpose in ('set_password', 'demo_sign_in'))
);
create index one_time_link_staff on one_time_link (clinic_id, staff_id);

create table client (
  clinic_id uuid not null,
  client_id uuid not null,
  given_name text not null,
  family_name text not null,
  time_zone text not null,
  enrolled_on date not null,
  source text,
  source_key text,
  origin text not null,
  created_at timestamptz not null,
  constraint client_pkey primary key (clinic_id, client_id),
  constraint client_origin_known check (origin in ('live', 'import')),
  constraint client_name_length check (
    char_length(given_name) between 1 and 200
    and char_length(family_name) between 0 and 200
  ),
  constraint client_source_pair check ((source is null) = (source_key is null))
);
create unique index client_source_key on client (clinic_id, source, source_key);
create index client_name on client (clinic_id, family_name, given_name);

create table client_key (
  clinic_id uuid not null,
  client_id uuid not null,
  wrapped_key bytea not null,
  created_at timestamptz not null,
  constraint client_key_pkey primary key (clinic_id, client_id)
);

create table care_team_member (
  clinic_id uuid not null,
  client_id uuid not null,
  staff_id uuid not null,
  role text not null,
  from_at timestamptz not null,
  until_at timestamptz,
  constraint care_team_member_pkey primary key (clinic_id, client_id, staff_id, role, from_at),
  constraint care_team_member_role_known check (role in ('therapist', 'prescriber', 'nurse', 'coordinator')),
  constraint care_team_member_period check (until_at is null or until_at > from_at)
);
create index care_team_member_staff on care_team_member (clinic_id, staff_id);

create table enrolment_code (
  clinic_id uuid not null,
  enrolment_code_id uuid not null,
  client_id uuid not null,
  selector text not null,
  secret_hash bytea not null,
  wrong_count smallint not null default 0,
  issued_by uuid,
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  voided_at timestamptz,
  constraint enrolment_code_pkey primary key (clinic_id, enrolment_code_id),
  constraint enrolment_code_wrong_range check (wrong_count between 0 and 5)
);
-- Only a code that may still be used must be alone with its selector.
create unique index enrolment_code_selector_key on enrolment_code (clinic_id, selector)
  where used_at is null and voided_at is null;
create index enrolment_code_client on enrolment_code (clinic_id, client_id);

create table device (
  clinic_id uuid not null,
  device_id uuid not null,
  client_id uuid not null,
  public_key bytea not null,
  enrolled_at timestamptz not null,
  last_used_at timestamptz not null,
  revoked_at timestamptz,
  revoked_why text,
  constraint device_pkey primary key (clinic_id, device_id),
  constraint device_public_key_length check (octet_length(public_key) = 65),
  constraint device_revoked_why_known check (
    (revoked_at is null and revoked_why is null)
    or (revoked_at is not null and revoked_why in ('by_clinic', 'by_client', 'unused', 'replaced'))
  )
);
create index device_client on device (clinic_id, client_id);

-- The client stands in the row so that one index probe names whoever sent a check-in; revoking a device deletes its tokens.
create table device_token (
  clinic_id uuid not null,
  token_hash bytea not null,
  kind text not null,
  device_id uuid not null,
  client_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  constraint device_token_pkey primary key (clinic_id, token_hash),
  constraint device_token_kind_known check (kind in ('access', 'refresh'))
);
create index device_token_device on device_token (clinic_id, device_id);

create table device_nonce (
  clinic_id uuid not null,
  nonce_hash bytea not null,
  device_id uuid not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  constraint device_nonce_pkey primary key (clinic_id, nonce_hash)
);
create index device_nonce_device on device_nonce (clinic_id, device_id);

alter table clinic_setting add constraint clinic_setting_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table staff add constraint staff_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table client add constraint client_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table sign_in_throttle add constraint sign_in_throttle_clinic_fkey foreign key (clinic_id) references clinic (clinic_id);
alter table staff_session add constraint staff_session_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table recovery_code add constraint recovery_code_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table one_time_link add constraint one_time_link_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table client_key add constraint client_key_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table care_team_member add constraint care_team_member_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table care_team_member add constraint care_team_member_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table enrolment_code add constraint enrolment_code_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table device add constraint device_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table device_token add constraint device_token_device_fkey foreign key (clinic_id, device_id) references device (clinic_id, device_id);
alter table device_nonce add constraint device_nonce_device_fkey foreign key (clinic_id, device_id) references device (clinic_id, device_id);

-- migrate:down

drop table device_nonce, device_token, device, enrolment_code, care_team_member, client_key, client, one_time_link,
  recovery_code, sign_in_throttle, staff_session, staff, clinic_setting, clinic;
