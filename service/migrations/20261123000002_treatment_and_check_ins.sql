-- migrate:up

create table course (
  clinic_id uuid not null,
  course_id uuid not null,
  client_id uuid not null,
  phase text not null,
  started_on date not null,
  ended_on date,
  created_at timestamptz not null,
  constraint course_pkey primary key (clinic_id, course_id),
  constraint course_phase_known check (phase in ('induction', 'maintenance', 'discharged')),
  constraint course_period check (ended_on is null or ended_on >= started_on)
);
create unique index course_client_start_key on course (clinic_id, client_id, started_on);

create table course_substance (
  clinic_id uuid not null,
  course_id uuid not null,
  substance text not null,
  is_primary boolean not null,
  from_on date not null,
  until_on date,
  constraint course_substance_pkey primary key (clinic_id, course_id, substance, from_on),
  constraint course_substance_known check (substance in ('alcohol', 'cocaine', 'opioid', 'other')),
  constraint course_substance_period check (until_on is null or until_on >= from_on)
);
create unique index course_substance_one_primary on course_substance (clinic_id, course_id)
  where is_primary and until_on is null;

-- The row is the infusion as it stands; infusion_event keeps every state it went through.
create table infusion (
  clinic_id uuid not null,
  infusion_id uuid not null,
  client_id uuid not null,
  course_id uuid not null,
  state text not null,
  planned_at timestamptz not null,
  given_at timestamptz,
  constraint infusion_pkey primary key (clinic_id, infusion_id),
  constraint infusion_state_known check (state in ('planned', 'held', 'given', 'missed', 'cancelled')),
  constraint infusion_given_has_time check ((state = 'given') = (given_at is not null))
);
create index infusion_client on infusion (clinic_id, client_id, planned_at);

create table infusion_event (
  clinic_id uuid not null,
  infusion_event_id uuid not null,
  infusion_id uuid not null,
  state text not null,
  planned_at timestamptz not null,
  given_at timestamptz,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint infusion_event_pkey primary key (clinic_id, infusion_event_id),
  constraint infusion_event_state_known check (state in ('planned', 'held', 'given', 'missed', 'cancelled'))
);
create index infusion_event_infusion on infusion_event (clinic_id, infusion_id);

create table therapy_session (
  clinic_id uuid not null,
  therapy_session_id uuid not null,
  client_id uuid not null,
  staff_id uuid,
  state text not null,
  planned_at timestamptz not null,
  constraint therapy_session_pkey primary key (clinic_id, therapy_session_id),
  constraint therapy_session_state_known check (state in ('planned', 'attended', 'missed', 'cancelled'))
);
create index therapy_session_client on therapy_session (clinic_id, client_id, planned_at);

create table check_in (
  clinic_id uuid not null,
  check_in_id uuid not null,
  client_id uuid not null,
  kind text not null,
  answered_at timestamptz not null,
  sent_at timestamptz not null,
  received_at timestamptz not null,
  counted_at timestamptz not null,
  time_zone text not null,
  zone_known boolean not null,
  client_day date not null,
  craving jsonb not null,
  mood smallint,
  anxiety smallint,
  used text[],
  safety boolean,
  note_sealed bytea,
  scale_version smallint not null,
  device_id uuid,
  origin text not null,
  source text,
  supersedes uuid,
  content_hash bytea not null,
  constraint check_in_pkey primary key (clinic_id, check_in_id),
  constraint check_in_kind_known check (kind in ('daily', 'moment')),
  constraint check_in_origin_known check (origin in ('phone', 'import')),
  constraint check_in_origin_source check ((origin = 'import') = (source is not null)),
  constraint check_in_craving_range check (
    jsonb_typeof(craving) = 'object'
    and not jsonb_path_exists(craving, '$.* ? (!(@ >= 0 && @ <= 10))')
  ),
  constraint check_in_mood_range check (mood between 0 and 10),
  constraint check_in_anxiety_range check (anxiety between 0 and 10),
  constraint check_in_used_known check (used <@ array['alcohol', 'cocaine', 'opioid', 'other']),
  constraint check_in_counted_not_after_receipt check (counted_at <= received_at)
);
create index check_in_client_day on check_in (clinic_id, client_id, client_day);
create unique index check_in_supersedes_key on check_in (clinic_id, supersedes) where supersedes is not null;

-- Queue and per-client lock of the fold in one: a transaction that changes a client's facts upserts it, the fold deletes it.
create table fold_due (
  clinic_id uuid not null,
  client_id uuid not null,
  from_day date not null,
  since timestamptz not null,
  failures smallint not null default 0,
  retry_at timestamptz,
  constraint fold_due_pkey primary key (clinic_id, client_id)
);

alter table course add constraint course_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table course_substance add constraint course_substance_course_fkey foreign key (clinic_id, course_id) references course (clinic_id, course_id);
alter table infusion add constraint infusion_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table infusion add constraint infusion_course_fkey foreign key (clinic_id, course_id) references course (clinic_id, course_id);
alter table infusion_event add constraint infusion_event_infusion_fkey foreign key (clinic_id, infusion_id) references infusion (clinic_id, infusion_id);
alter table therapy_session add constraint therapy_session_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table therapy_session add constraint therapy_session_staff_fkey foreign key (clinic_id, staff_id) references staff (clinic_id, staff_id);
alter table check_in add constraint check_in_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table fold_due add constraint fold_due_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);

-- migrate:down

drop table fold_due, check_in, therapy_session, infusion_event, infusion, course_substance, course;
