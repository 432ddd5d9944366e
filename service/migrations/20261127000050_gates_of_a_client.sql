-- migrate:up

-- What was decided about a client's other infusions is read with every gate.
create index gate_check_client on gate_check (clinic_id, client_id);

-- migrate:down

drop index gate_check_client;
