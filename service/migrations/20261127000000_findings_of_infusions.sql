-- migrate:up

-- A finding may be about an infusion: two on one client day, each with its gate and its window, are two findings.
alter table finding add column infusion_id uuid;
drop index finding_once_key;
create unique index finding_once_key on finding
  (clinic_id, client_id, rule, client_day, check_in_id, instrument_response_id, infusion_id, revision) nulls not distinct;
alter table finding add constraint finding_infusion_fkey foreign key (clinic_id, infusion_id) references infusion (clinic_id, infusion_id);

-- migrate:down

alter table finding drop constraint finding_infusion_fkey;
drop index finding_once_key;
create unique index finding_once_key on finding
  (clinic_id, client_id, rule, client_day, check_in_id, instrument_response_id, revision) nulls not distinct;
alter table finding drop column infusion_id;
