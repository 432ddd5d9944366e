"""Nobody reads or writes across clinics: tried with every role on every tenant table, filled with one row a clinic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from service import database as databases
from service.config import DatabaseUrls, Role
from service.database import Pool, open_pool

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

HERE = UUID("00000000-0000-7000-8000-00000000000a")
THERE = UUID("00000000-0000-7000-8000-00000000000b")

# The roles that work inside one clinic; neap_sweep looks over all of them, at ids, states, roles and times only.
TENANT_ROLES: tuple[Role, ...] = ("owner", "web", "jobs")

A_CLINIC = """
insert into clinic (clinic_id, slug, name, time_zone, created_at)
values ($1, $2, $2, 'UTC', now())
"""
A_VALUE_OF = {
    "uuid": "gen_random_uuid()", "text": "'x'", "bytea": "'x'", "bool": "false", "date": "current_date",
    "time": "'12:00'", "timestamptz": "now()", "interval": "'1 day'", "jsonb": "'{}'", "xid8": "pg_current_xact_id()",
    "int2": "1", "int4": "1", "int8": "1", "float4": "1", "float8": "1", "numeric": "1", "inet": "'127.0.0.1'",
}  # fmt: skip


def a_value_of(type_name: str) -> str:
    return "'{}'" if type_name.startswith("_") else A_VALUE_OF[type_name]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["Connection"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def within(connection: "Connection", clinic_id: UUID) -> AsyncIterator[None]:
    """A transaction inside a clinic that is always rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"set local neap.clinic_id = '{clinic_id}'")
    try:
        yield
    finally:
        await transaction.rollback()


async def tenant_tables(connection: "Connection") -> list[str]:
    rows = await connection.fetch(
        "select relname::text as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        # A clinic is read by all: of it there is a test of its own.
        " and relrowsecurity and relname <> 'clinic' order by relname"
    )
    return [row["name"] for row in rows]


async def insert_of(connection: "Connection", table: str, clinic_id: UUID) -> str:
    """An insert of one row of a clinic, made from the catalogue."""
    columns = await connection.fetch(
        "select attname::text as name, typname::text as type from pg_attribute"
        " join pg_type on pg_type.oid = atttypid"
        " where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''"
        " and (attnotnull or attname = 'clinic_id')",
        table,
    )
    values = [f"'{clinic_id}'" if row["name"] == "clinic_id" else a_value_of(row["type"]) for row in columns]
    return f"insert into {table} ({', '.join(row['name'] for row in columns)}) values ({', '.join(values)})"


@pytest.fixture
async def filled(database: DatabaseUrls) -> DatabaseUrls:
    """One row a clinic in every tenant table; checks and foreign keys lifted, since only the policies are tried."""
    async with connected(database.owner) as owner:
        for row in await owner.fetch(
            "select conrelid::regclass::text as table_name, conname::text as name from pg_constraint"
            " where contype in ('c', 'f') and connamespace = 'public'::regnamespace"
        ):
            await owner.execute(f"alter table {row['table_name']} drop constraint {row['name']}")
        for slug, clinic_id in (("here", HERE), ("there", THERE)):
            async with owner.transaction():
                await owner.execute(f"set local neap.clinic_id = '{clinic_id}'")
                await owner.execute(A_CLINIC, clinic_id, slug)
                for table in await tenant_tables(owner):
                    await owner.execute(await insert_of(owner, table, clinic_id))
    return database


@pytest.mark.parametrize("role", TENANT_ROLES)
async def test_a_role_sees_the_named_clinic_and_without_one_nothing(role: Role, filled: DatabaseUrls) -> None:
    async with connected(getattr(filled, role)) as connection:
        readable = [name for name in await tenant_tables(connection) if await may(connection, name, "select")]
        assert len(readable) > 20
        for table in readable:
            assert await connection.fetchval(f"select count(*) from {table}") == 0, table
            for clinic_id in (HERE, THERE):
                async with within(connection, clinic_id):
                    seen = await connection.fetch(f"select clinic_id from {table}")
                    assert [row["clinic_id"] for row in seen] == [clinic_id], table


@pytest.mark.parametrize("role", TENANT_ROLES)
async def test_a_role_cannot_add_to_another_clinic(role: Role, filled: DatabaseUrls) -> None:
    async with connected(getattr(filled, role)) as connection, connected(filled.owner) as owner:
        for table in await tenant_tables(owner):
            insert = await insert_of(owner, table, THERE)
            refusal = "row-level security" if await may(connection, table, "insert") else "permission denied"
            async with within(connection, HERE):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match=refusal):
                    await connection.execute(insert)
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=refusal):
                await connection.execute(insert)


@pytest.mark.parametrize("role", TENANT_ROLES)
async def test_a_role_cannot_change_delete_or_adopt_rows_of_another_clinic(role: Role, filled: DatabaseUrls) -> None:
    async with connected(getattr(filled, role)) as connection:
        for table in await tenant_tables(connection):
            if await may(connection, table, "update") and await may(connection, table, "select"):
                async with within(connection, HERE):
                    touched = await connection.execute(
                        f"update {table} set clinic_id = clinic_id where clinic_id = '{THERE}'"
                    )
                    assert touched == "UPDATE 0", table
                async with within(connection, HERE):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                        await connection.execute(f"update {table} set clinic_id = '{THERE}'")
            if await may(connection, table, "delete") and await may(connection, table, "select"):
                async with within(connection, HERE):
                    gone = await connection.execute(f"delete from {table} where clinic_id = '{THERE}'")
                    assert gone == "DELETE 0", table


@pytest.mark.parametrize("role", ["owner", "web"])
async def test_a_clinic_changes_its_own_name_and_no_other_s(role: Role, filled: DatabaseUrls) -> None:
    async with connected(getattr(filled, role)) as connection:
        async with within(connection, HERE):
            assert await connection.execute("update clinic set name = 'Renamed'") == "UPDATE 1"
            renamed = await connection.fetch("select slug, name from clinic order by slug")
            assert [tuple(row) for row in renamed] == [("here", "Renamed"), ("there", "there")]
        async with within(connection, HERE):
            touched = await connection.execute(f"update clinic set time_zone = 'UTC' where clinic_id = '{THERE}'")
            assert touched == "UPDATE 0"
            assert await connection.fetch(f"select from clinic where clinic_id = '{THERE}' for update") == []
        assert await connection.execute("update clinic set name = 'Renamed'") == "UPDATE 0"


async def test_of_a_clinic_nothing_else_changes_and_no_process_makes_or_deletes_one(filled: DatabaseUrls) -> None:
    refused = [
        *(f"update clinic set {name} = {name}" for name in ("clinic_id", "slug", "created_at")),
        A_CLINIC.replace("$1", "gen_random_uuid()").replace("$2", "'another'"),
        "delete from clinic",
    ]
    for url in (filled.web, filled.jobs, filled.sweep):
        async with connected(url) as connection:
            for statement in refused:
                async with within(connection, HERE):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                        await connection.execute(statement)
    async with connected(filled.owner) as owner:
        async with within(owner, HERE):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await owner.execute(A_CLINIC, UUID(int=3), "another")
        async with within(owner, HERE):
            assert await owner.execute("delete from clinic") == "DELETE 0"


async def test_what_a_role_may_not_do_by_grant_it_cannot_do_in_its_own_clinic_either(filled: DatabaseUrls) -> None:
    async with connected(filled.web) as connection:
        for table in ("check_in", "audit_event", "finding"):
            for statement in (f"update {table} set clinic_id = clinic_id", f"delete from {table}"):
                async with within(connection, HERE):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                        await connection.execute(statement)


async def test_the_sweep_sees_all_clinics_but_only_the_columns_it_was_given(filled: DatabaseUrls) -> None:
    async with connected(filled.sweep) as sweep, connected(filled.owner) as owner:
        for table in await tenant_tables(owner):
            rows = await owner.fetch(
                "select attname::text as name, has_column_privilege('neap_sweep', attrelid, attnum, 'select') as given"
                " from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped",
                table,
            )
            given = [row["name"] for row in rows if row["given"]]
            if given:
                seen = await sweep.fetch(f"select {', '.join(given)} from {table}")
                assert {row["clinic_id"] for row in seen} == {HERE, THERE}, table
            for name in [row["name"] for row in rows if not row["given"]]:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await sweep.fetch(f"select {name} from {table}")
            for statement in (await insert_of(owner, table, HERE), f"delete from {table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await sweep.execute(statement)


@pytest.mark.parametrize("text", ["everything", "'' or true --", "%"])
async def test_a_clinic_that_is_no_id_opens_nothing(text: str, filled: DatabaseUrls) -> None:
    async with connected(filled.web) as connection:
        await connection.execute(f"set neap.clinic_id = '{text}'")
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await connection.fetch("select * from client")


@pytest.fixture
async def one_connection(filled: DatabaseUrls) -> AsyncIterator[Pool]:
    pool = await open_pool(filled.web, size=1, application_name="neap-tests")
    yield pool
    await pool.close()


async def assert_clean(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("select coalesce(current_setting('neap.clinic_id', true), '')") == ""
        assert await connection.fetchval("select current_user = session_user and current_user = 'neap_web'")
        assert await connection.fetchval("select count(*) from client") == 0
        left = "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'"
        assert await connection.fetchval(left) == 0


async def test_a_connection_returns_to_the_pool_without_its_clinic(one_connection: Pool) -> None:
    async with databases.transaction(one_connection, HERE) as db:
        assert await db.value("select count(*) from client") == 1
    await assert_clean(one_connection)
    async with databases.transaction(one_connection, THERE) as db:
        assert await db.value("select clinic_id from client") == THERE
    await assert_clean(one_connection)


async def test_a_refusal_a_database_error_and_a_cancellation_leave_it_clean_too(one_connection: Pool) -> None:
    with pytest.raises(ValueError, match="refused"):
        async with databases.transaction(one_connection, HERE):
            raise ValueError("refused")
    await assert_clean(one_connection)
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with databases.transaction(one_connection, HERE) as db:
            await db.execute("select 1 / 0")
    await assert_clean(one_connection)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), databases.transaction(one_connection, HERE) as db:
            await db.execute("select pg_sleep(60)")
    await assert_clean(one_connection)


async def may(connection: "Connection", table: str, privilege: str) -> bool:
    return bool(await connection.fetchval("select has_table_privilege($1, $2)", table, privilege))
