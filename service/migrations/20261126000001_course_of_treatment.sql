-- migrate:up

-- What was said of a course and from which client day on: its log. course and course_substance are what follows from it.
create table course_event (
  clinic_id uuid not null,
  course_event_id uuid not null,
  course_id uuid not null,
  kind text not null,
  from_on date not null,
  phase text,
  substances text[],
  reason text,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint course_event_pkey primary key (clinic_id, course_event_id),
  constraint course_event_kind_known check (
    kind in ('started', 'phase_entered', 'substances_changed', 'discharged', 'reopened')
  ),
  constraint course_event_phase_known check (phase in ('induction', 'maintenance', 'discharged')),
  constraint course_event_phase_given check ((kind = 'substances_changed') = (phase is null)),
  constraint course_event_substances_known check (substances <@ array['alcohol', 'cocaine', 'opioid', 'other']),
  constraint course_event_substances_given check ((kind in ('started', 'substances_changed')) = (substances is not null)),
  constraint course_event_reason_known check (
    reason in ('completed', 'own_wish', 'other_treatment', 'lost_contact', 'moved_away', 'died', 'other')
  ),
  constraint course_event_reason_of_discharge check (reason is null or kind = 'discharged')
);
create index course_event_course on course_event (clinic_id, course_id, from_on);

-- A pause in its versions: the highest one stands, the others are what was said before. Days are client days, inclusive.
create table pause (
  clinic_id uuid not null,
  pause_id uuid not null,
  version smallint not null,
  client_id uuid not null,
  from_on date not null,
  until_on date,
  reason text not null,
  withdrawn boolean not null,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint pause_pkey primary key (clinic_id, pause_id, version),
  constraint pause_period check (until_on is null or until_on >= from_on),
  constraint pause_reason_known check (reason in ('travel', 'inpatient', 'own_wish', 'discharged', 'other')),
  constraint pause_version_positive check (version > 0)
);
create index pause_client on pause (clinic_id, client_id, from_on);

-- A plan as it was made from a template; the infusions that came of it go their own way afterwards.
create table schedule (
  clinic_id uuid not null,
  schedule_id uuid not null,
  client_id uuid not null,
  course_id uuid not null,
  template text not null,
  starts_on date not null,
  local_time time not null,
  time_zone text not null,
  weekdays smallint[] not null,
  weeks smallint not null,
  booster_every_weeks smallint,
  booster_count smallint not null,
  replaces_rest boolean not null,
  planned smallint not null,
  recorded_by uuid,
  recorded_at timestamptz not null,
  constraint schedule_pkey primary key (clinic_id, schedule_id),
  constraint schedule_template_known check (template in ('twice_a_week', 'three_times_a_week', 'boosters')),
  constraint schedule_weeks_range check (weeks between 0 and 12),
  constraint schedule_boosters_range check (booster_count between 0 and 26 and booster_every_weeks between 1 and 26),
  constraint schedule_boosters_have_rhythm check ((booster_count = 0) = (booster_every_weeks is null))
);
create index schedule_client on schedule (clinic_id, client_id, recorded_at);

-- Dose and duration are a record of what was given. The version counts changes, for whoever looked before they wrote.
alter table infusion
  add column schedule_id uuid,
  add column dose_mg_per_kg double precision,
  add column duration_minutes smallint,
  add column reason text,
  add column version integer not null default 1,
  add constraint infusion_dose_range check (dose_mg_per_kg between 0.05 and 3),
  add constraint infusion_duration_range check (duration_minutes between 5 and 480),
  add constraint infusion_dose_of_given check (state = 'given' or (dose_mg_per_kg is null and duration_minutes is null)),
  add constraint infusion_reason_known check (
    reason in (
      'client_wish', 'illness', 'travel', 'inpatient', 'no_show', 'drug_screen', 'blood_pressure', 'contraindication',
      'clinic', 'plan_changed', 'discharged', 'entered_in_error', 'other'
    )
  ),
  add constraint infusion_version_positive check (version > 0);
create index infusion_course on infusion (clinic_id, course_id, planned_at);

-- supersedes: the event that this one corrects. Events from before this column have no version and come first.
alter table infusion_event
  add column version integer,
  add column dose_mg_per_kg double precision,
  add column duration_minutes smallint,
  add column reason text,
  add column supersedes uuid;
create unique index infusion_event_supersedes_key on infusion_event (clinic_id, supersedes) where supersedes is not null;

alter table course_event add constraint course_event_course_fkey foreign key (clinic_id, course_id) references course (clinic_id, course_id);
alter table course_event add constraint course_event_recorder_fkey foreign key (clinic_id, recorded_by) references staff (clinic_id, staff_id);
alter table pause add constraint pause_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table pause add constraint pause_recorder_fkey foreign key (clinic_id, recorded_by) references staff (clinic_id, staff_id);
alter table schedule add constraint schedule_course_fkey foreign key (clinic_id, course_id) references course (clinic_id, course_id);
alter table schedule add constraint schedule_client_fkey foreign key (clinic_id, client_id) references client (clinic_id, client_id);
alter table schedule add constraint schedule_recorder_fkey foreign key (clinic_id, recorded_by) references staff (clinic_id, staff_id);
alter table infusion add constraint infusion_schedule_fkey foreign key (clinic_id, schedule_id) references schedule (clinic_id, schedule_id);
alter table infusion_event add constraint infusion_event_superseded_fkey foreign key (clinic_id, supersedes) references infusion_event (clinic_id, infusion_event_id);

alter table course_event enable row level security;
alter table course_event force row level security;
create policy course_event_of_clinic on course_event using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
alter table pause enable row level security;
alter table pause force row level security;
create policy pause_of_clinic on pause using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);
alter table schedule enable row level security;
alter table schedule force row level security;
create policy schedule_of_clinic on schedule using (clinic_id = nullif(current_setting('neap.clinic_id', true), '')::uuid);

grant select, insert on course_event, pause, schedule to neap_web;
grant select on course_event, pause to neap_jobs;
-- A change of substances takes the place of what was to hold from its day on; course_event keeps both.
grant delete on course_substance to neap_web;

-- migrate:down

revoke delete on course_substance from neap_web;
alter table infusion_event drop constraint infusion_event_superseded_fkey;
alter table infusion drop constraint infusion_schedule_fkey;
drop index infusion_event_supersedes_key, infusion_course;
alter table infusion_event drop column version, drop column dose_mg_per_kg, drop column duration_minutes, drop column reason, drop column supersedes;
alter table infusion drop column schedule_id, drop column dose_mg_per_kg, drop column duration_minutes, drop column reason, drop column version;
drop table schedule, pause, course_event;
