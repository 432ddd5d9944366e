-- migrate:up

-- In whose words a questionnaire was asked; null: in the instrument's own language.
alter table instrument_response add column language text;
alter table instrument_response add constraint instrument_response_language_shape check (language ~ '^[a-z]{2,3}(-[A-Z]{2})?$');

-- migrate:down

alter table instrument_response drop column language;
