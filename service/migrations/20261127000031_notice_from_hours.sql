-- migrate:up

-- What clients are told of when answers are read follows from the hours; the text that stood there is what the clinic
-- adds to it, unless it is the one that every clinic began with, whatever its hours were.
alter table clinic_setting rename column monitoring_notice to notice_addition;
alter table clinic_setting_former rename column monitoring_notice to notice_addition;
alter table clinic_setting no force row level security;
update clinic_setting set notice_addition = '' where notice_addition = 'Read on working days, 9 to 17.';
alter table clinic_setting force row level security;

-- migrate:down

alter table clinic_setting no force row level security;
update clinic_setting set notice_addition = 'Read on working days, 9 to 17.' where notice_addition = '';
alter table clinic_setting force row level security;
alter table clinic_setting_former rename column notice_addition to monitoring_notice;
alter table clinic_setting rename column notice_addition to monitoring_notice;
