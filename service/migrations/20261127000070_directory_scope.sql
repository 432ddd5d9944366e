-- migrate:up

-- A program that writes must find out whom its ids stand for.
alter table service_account drop constraint service_account_scopes_known;
alter table service_account add constraint service_account_scopes_known check (
  cardinality(scopes) > 0
  and scopes <@ array['infusions', 'sessions', 'screens', 'directory']
);

-- migrate:down

alter table service_account drop constraint service_account_scopes_known;
alter table service_account add constraint service_account_scopes_known check (
  cardinality(scopes) > 0
  and scopes <@ array['infusions', 'sessions', 'screens']
) not valid;
