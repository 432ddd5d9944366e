"""The rules for the data, proven from PostgreSQL's catalogue over every table there is and will be."""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from service import errors
from service.config import DatabaseUrls
from service.storage import schema

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

TABLES_WITHOUT_TENANT = {"clinic", "population_prior", "deployment_job_run", "root_key", "schema_migrations"}
PROCESS_ROLES = ["neap_web", "neap_jobs", "neap_sweep"]

# What was known stays known: a correction is a new row.
APPEND_ONLY = {
    "check_in", "course_event", "pause", "schedule", "infusion_event", "finding", "finding_withdrawal", "alert_event",
    "audit_event", "audit_seal", "rule_set", "consent",
    "drug_screen", "vital_reading", "contraindication_check", "gate_check", "therapy_session_event", "imported_record",
    "instrument", "instrument_schedule", "instrument_response", "clinic_setting_former",
    "clinic_former",
}  # fmt: skip

POLICY = "(clinic_id = (NULLIF(current_setting('neap.clinic_id'::text, true), ''::text))::uuid)"

# What neap_sweep may read beside ids and times: the names of states and of the jobs they belong to, the roles of staff,
# and the positions of audit rows and seals.
SWEPT_WORDS = {
    "state",
    "job",
    "kind",
    "channel",
    "tier",
    "number",
    "round",
    "step",
    "origin",
    "transaction_id",
    "until_transaction",
    "moved",
    "role",
    "roles",
}
SWEPT_TYPES = {"uuid", "timestamptz", "date", "time"}


@pytest.fixture
async def catalogue(database: DatabaseUrls) -> AsyncIterator["Connection"]:
    connection = await asyncpg.connect(database.owner)
    yield connection
    await connection.close()


async def tables(catalogue: "Connection") -> set[str]:
    rows = await catalogue.fetch(
        "select relname from pg_class where relkind in ('r', 'p', 'm', 'f') and relnamespace = 'public'::regnamespace"
    )
    return {row["relname"] for row in rows}


async def lines(catalogue: "Connection", sql: str, *arguments: object) -> list[tuple[object, ...]]:
    """The rows of a query that names what breaks a rule: none, when all is well."""
    return [tuple(row) for row in await catalogue.fetch(sql, *arguments)]


async def test_the_tables_without_a_tenant_are_these_four_and_no_other(catalogue: "Connection") -> None:
    tenant = await lines(
        catalogue,
        "select attrelid::regclass::text from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where relkind = 'r' and relnamespace = 'public'::regnamespace"
        " and attname = 'clinic_id' and attnum = 1 and attnotnull and atttypid = 'uuid'::regtype",
    )
    assert await tables(catalogue) - {str(name) for (name,) in tenant} == TABLES_WITHOUT_TENANT - {"clinic"}


async def test_clinic_id_is_the_first_column_of_every_key_and_index(catalogue: "Connection") -> None:
    strangers = await lines(
        catalogue,
        "select indrelid::regclass::text, indexrelid::regclass::text"
        " from pg_index join pg_class on pg_class.oid = indrelid"
        " left join pg_attribute on attrelid = indrelid and attnum = indkey[0]"
        " where relnamespace = 'public'::regnamespace and relname <> all($1::text[])"
        " and attname is distinct from 'clinic_id'",
        list(TABLES_WITHOUT_TENANT),
    )
    assert strangers == []


async def test_clinic_id_is_the_first_column_at_both_ends_of_every_foreign_key(catalogue: "Connection") -> None:
    strangers = await lines(
        catalogue,
        "select conname from pg_constraint"
        " join pg_attribute here on here.attrelid = conrelid and here.attnum = conkey[1]"
        " join pg_attribute there on there.attrelid = confrelid and there.attnum = confkey[1]"
        " where contype = 'f' and (here.attname <> 'clinic_id' or there.attname <> 'clinic_id')",
    )
    assert strangers == []


async def test_every_tenant_table_is_bound_to_a_clinic(catalogue: "Connection") -> None:
    bound = await lines(
        catalogue,
        "select conrelid::regclass::text from pg_constraint where contype = 'f' and conkey[1] = 1",
    )
    # The audit trail outlives what it tells of.
    assert await tables(catalogue) - {str(name) for (name,) in bound} == TABLES_WITHOUT_TENANT | {"audit_event"}


async def test_every_table_has_a_primary_key(catalogue: "Connection") -> None:
    keyed = await lines(
        catalogue,
        "select conrelid::regclass::text from pg_constraint"
        " where contype = 'p' and connamespace = 'public'::regnamespace",
    )
    assert await tables(catalogue) == {str(name) for (name,) in keyed}


async def test_row_level_security_is_enabled_and_forced_on_every_tenant_table(catalogue: "Connection") -> None:
    secured = await lines(
        catalogue,
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace"
        " and relrowsecurity and relforcerowsecurity",
    )
    assert await tables(catalogue) - {str(name) for (name,) in secured} == TABLES_WITHOUT_TENANT - {"clinic"}


async def test_every_tenant_table_has_the_one_policy_for_all_roles_and_commands(catalogue: "Connection") -> None:
    policies = await lines(
        catalogue,
        "select polrelid::regclass::text, polcmd::text, polpermissive, polroles = '{0}',"
        " pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)"
        " from pg_policy where not polroles && array['neap_sweep'::regrole::oid] and polrelid <> 'clinic'::regclass",
    )
    names = await tables(catalogue) - TABLES_WITHOUT_TENANT
    assert sorted(str(policy[0]) for policy in policies) == sorted(names)
    assert {policy[1:5] for policy in policies} == {("*", True, True, POLICY)}
    assert {policy[5] for policy in policies} <= {None, POLICY}


async def test_a_clinic_is_read_by_all_made_and_changed_as_itself_and_never_deleted(catalogue: "Connection") -> None:
    policies = await lines(
        catalogue,
        "select polcmd::text, polpermissive, polroles = '{0}',"
        " pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)"
        " from pg_policy where polrelid = 'clinic'::regclass order by polcmd",
    )
    assert policies == [
        ("a", True, True, None, POLICY),
        ("r", True, True, "true", None),
        ("w", True, True, POLICY, None),
    ]
    changed = await lines(
        catalogue,
        "select role::text, attname::text from unnest($1::text[]) as role"
        " cross join pg_attribute where attrelid = 'clinic'::regclass and attnum > 0"
        " and has_column_privilege(role::name, attrelid, attnum, 'update')",
        PROCESS_ROLES,
    )
    assert set(changed) == {("neap_web", "name"), ("neap_web", "time_zone")}
    for role in PROCESS_ROLES:
        assert "clinic" not in await _granted(catalogue, role, ["insert", "delete"])


async def test_beside_it_there_are_only_the_sweep_s_policies_to_read(catalogue: "Connection") -> None:
    policies = await lines(
        catalogue,
        "select polcmd::text, polpermissive, polroles = array['neap_sweep'::regrole::oid],"
        " pg_get_expr(polqual, polrelid)"
        " from pg_policy where polroles && array['neap_sweep'::regrole::oid]",
    )
    assert set(policies) <= {("r", True, True, "true")}


async def test_the_sweep_may_read_ids_states_and_times_and_write_nothing(catalogue: "Connection") -> None:
    columns = await catalogue.fetch(
        "select relname::text as table_name, attname::text as name, typname::text as type"
        " from pg_attribute join pg_class on pg_class.oid = attrelid join pg_type on pg_type.oid = atttypid"
        " where relkind in ('r', 'v') and relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped"
        " and has_column_privilege('neap_sweep', attrelid, attnum, 'select') and relname <> all($1::text[])",
        list(TABLES_WITHOUT_TENANT),
    )
    assert [
        f"{row['table_name']}.{row['name']}"
        for row in columns
        if row["type"] not in SWEPT_TYPES and row["name"] not in SWEPT_WORDS
    ] == []
    assert await _writable(catalogue, "neap_sweep") == set()


async def test_the_processes_never_change_nor_delete_a_fact(catalogue: "Connection") -> None:
    for role in PROCESS_ROLES:
        assert await _granted(catalogue, role, ["update", "delete"]) & APPEND_ONLY == set()


async def test_nobody_but_the_owner_may_empty_a_table_or_hang_things_on_it(catalogue: "Connection") -> None:
    for role in (*PROCESS_ROLES, "public"):  # truncate passes row-level security
        assert await _granted(catalogue, role, ["truncate", "references", "trigger"]) == set()
    assert await _granted(catalogue, "public", ["select", "insert", "update", "delete"]) == set()


async def _writable(catalogue: "Connection", role: str) -> set[str]:
    return await _granted(catalogue, role, ["insert", "update", "delete"])


async def _granted(catalogue: "Connection", role: str, privileges: list[str]) -> set[str]:
    """The tables on which a role has any of the privileges, on a single column even."""
    granted = set()
    for privilege in privileges:
        on_columns = privilege in ("select", "insert", "update", "references")
        test = "has_any_column_privilege" if on_columns else "has_table_privilege"
        granted |= {
            str(name)
            for (name,) in await lines(
                catalogue,
                "select relname::text from pg_class where relkind in ('r', 'p')"
                f" and relnamespace = 'public'::regnamespace and {test}($1::name, oid, $2)",
                role,
                privilege,
            )
        }
    return granted


async def test_the_processes_own_nothing_and_pass_no_policy(catalogue: "Connection") -> None:
    owned = await lines(
        catalogue,
        "select relname from pg_class where relowner::regrole::text = any($1::text[])"
        " union all select proname from pg_proc where proowner::regrole::text = any($1::text[])"
        " union all select nspname from pg_namespace where nspowner::regrole::text = any($1::text[])"
        " union all select rolname from pg_roles where rolname = any($1::text[] || 'neap_owner'::text)"
        " and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)",
        PROCESS_ROLES,
    )
    assert owned == []


async def test_the_owner_is_no_superuser_here_either(catalogue: "Connection") -> None:
    assert await catalogue.fetchval("select current_user::text") == "neap_owner"
    assert await catalogue.fetchval("select current_setting('is_superuser')") == "off"


async def test_no_column_counts_by_itself(catalogue: "Connection") -> None:
    counting = await lines(
        catalogue,
        "select attrelid::regclass::text, attname from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where relnamespace = 'public'::regnamespace and attidentity <> ''"
        " union all select relname, 'sequence' from pg_class"
        " where relkind = 'S' and relnamespace = 'public'::regnamespace",
    )
    assert counting == []


async def test_a_default_is_the_same_on_every_machine(catalogue: "Connection") -> None:
    """Only the transaction's own id is taken from the machine; ids and times come from the application."""
    defaults = await lines(catalogue, "select adrelid::regclass::text, pg_get_expr(adbin, adrelid) from pg_attrdef")
    calls = [default for default in defaults if "(" in str(default[1])]
    assert [call for call in calls if call[1] != "pg_current_xact_id()"] == []


async def test_there_is_no_trigger_and_no_rule(catalogue: "Connection") -> None:
    acting = await lines(
        catalogue,
        "select tgname from pg_trigger where not tgisinternal"
        " union all select rulename from pg_rules where schemaname = 'public'",
    )
    assert acting == []


async def test_no_foreign_key_changes_rows_by_itself(catalogue: "Connection") -> None:
    changing = await lines(
        catalogue,
        "select conname from pg_constraint where contype = 'f' and (confdeltype in ('n', 'd') or confupdtype <> 'a')",
    )
    assert changing == []


async def test_no_function_runs_with_its_owner_s_rights(catalogue: "Connection") -> None:
    assert (
        await lines(catalogue, "select proname from pg_proc where prosecdef and pronamespace = 'public'::regnamespace")
        == []
    )


async def test_a_view_sees_what_its_reader_may_see(catalogue: "Connection") -> None:
    views = await lines(
        catalogue,
        "select relname from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace"
        " and not coalesce(reloptions @> array['security_invoker=true'], false)",
    )
    assert views == []


async def test_every_constraint_has_a_name_of_its_own_that_begins_with_its_table(catalogue: "Connection") -> None:
    rows = await catalogue.fetch(
        "select conrelid::regclass::text as table_name, conname::text as name from pg_constraint"
        " where conrelid <> 0 and connamespace = 'public'::regnamespace and contype <> 'n'"
        " and conrelid <> 'schema_migrations'::regclass"
    )
    names = [row["name"] for row in rows]
    assert [row["name"] for row in rows if not row["name"].startswith(row["table_name"] + "_")] == []
    assert [name for name in names if re.search(r"_check\d*$|_fkey\d+$|_key\d+$", name)] == []
    assert len(names) == len(set(names))


async def test_every_constraint_that_errors_explains_is_there(catalogue: "Connection") -> None:
    named = await lines(
        catalogue,
        "select conname::text from pg_constraint where connamespace = 'public'::regnamespace"
        " union select indexrelid::regclass::text from pg_index where indisunique",
    )
    assert set(errors.CONSTRAINTS) - {str(name) for (name,) in named} == set()


async def test_times_know_their_zone_and_names_tell_times_from_days(catalogue: "Connection") -> None:
    wrong = await lines(
        catalogue,
        "select attrelid::regclass::text, attname from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where relkind = 'r' and relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped"
        " and (atttypid in ('timestamp'::regtype, 'timetz'::regtype)"
        " or (attname like '%\\_at' and atttypid <> 'timestamptz'::regtype)"
        " or (attname like '%\\_on' and atttypid <> 'date'::regtype))",
    )
    assert wrong == []


def test_foreign_keys_are_added_after_the_tables() -> None:
    for file in schema.MIGRATIONS.glob("*.sql"):
        for statement in re.split(r";\s*\n", file.read_text()):
            text = re.sub(r"--.*", "", statement).strip().lower()
            assert not (text.startswith("create table") and "references" in text), f"{file.name}: {text[:60]}"


def test_no_migration_relies_on_what_postgresql_15_lacks() -> None:
    for file in schema.MIGRATIONS.glob("*.sql"):
        newer = re.findall(
            r"uuidv7|uuidv4\(|virtual\b|any_value|json_table|merge_action|without overlaps", file.read_text()
        )
        assert newer == [], file.name


def test_every_migration_can_be_undone() -> None:
    for file in schema.MIGRATIONS.glob("*.sql"):
        up, _, down = file.read_text().partition("-- migrate:down")
        assert up.startswith("-- migrate:up"), file.name
        assert down.strip(), file.name
