-- migrate:up

-- That an infusion comes, for the brief that nurses read before it: ids, state and time, as of therapy sessions.
grant select (clinic_id, infusion_id, state, planned_at) on infusion to neap_sweep;
create policy infusion_of_sweep on infusion for select to neap_sweep using (true);

-- migrate:down

drop policy infusion_of_sweep on infusion;
revoke select (clinic_id, infusion_id, state, planned_at) on infusion from neap_sweep;
