-- migrate:up

-- A version of the rules says who wanted it and why; one that changes a single client's limit names them, its reason
-- sealed with that client's key.
alter table rule_set add column client_id uuid;
alter table rule_set add column reason text;
alter table rule_set add column reason_sealed bytea;
alter table rule_set add constraint rule_set_one_reason check (reason is null or reason_sealed is null);
alter table rule_set add constraint rule_set_client_fkey
  foreign key (clinic_id, client_id) references client (clinic_id, client_id);
create index rule_set_of_client on rule_set (clinic_id, client_id) where client_id is not null;

-- A preview of other rules folds the last days again from the states that stood before them.
grant select on trend_checkpoint to neap_web;

-- migrate:down

revoke select on trend_checkpoint from neap_web;
drop index rule_set_of_client;
alter table rule_set drop constraint rule_set_client_fkey;
alter table rule_set drop constraint rule_set_one_reason;
alter table rule_set drop column reason_sealed;
alter table rule_set drop column reason;
alter table rule_set drop column client_id;
