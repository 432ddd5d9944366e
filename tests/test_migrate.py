"""`python -m service migrate`: roles bounded, database owned, schema current, on our server and on another's."""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from service import config, embedded
from service.config import Config, DatabaseUrls
from service.storage import preparing, roles, schema
from tests import folders

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

REPOSITORY = Path(__file__).parent.parent


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["Connection"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def lone_cluster() -> AsyncIterator[embedded.Cluster]:
    """A server of the test's own, without any role of ours: roles belong to a whole server, which tests share."""
    with tempfile.TemporaryDirectory(
        prefix="neap-migrate-", dir=folders.in_memory(), ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o711)
        lone = config.load({"NEAP_DATA_DIR": folder})
        async with embedded.running(lone, overrides={"fsync": "off"}) as cluster:
            yield cluster


@pytest.fixture
async def administrator(cluster: embedded.Cluster) -> AsyncIterator["Connection"]:
    async with connected(cluster.superuser_url) as connection:
        yield connection


@pytest.fixture
async def elsewhere(cluster: embedded.Cluster, administrator: "Connection") -> AsyncIterator[Config]:
    """Settings for a database that is not there yet, on a server that is not ours to start."""
    name = f"elsewhere_{uuid4().hex}"
    yield _settings(cluster, name)
    await administrator.execute(f"drop database if exists {name} with (force)")


def _settings(cluster: embedded.Cluster, database: str, **more: str) -> Config:
    passwords = {
        f"NEAP_{role.upper()}_PASSWORD_FILE": str(cluster.data_dir / "secrets" / f"{role}_password")
        for role in config.ROLES
    }
    url = f"postgresql://{cluster.host}:{cluster.port}/{database}"
    return config.load({"NEAP_DATABASE_URL": url, **passwords, **more})


async def test_the_embedded_default_is_made_and_migrated_by_the_plain_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service", "migrate"]
    environ = {"NEAP_DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path)}
    outputs = []
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *command, cwd=REPOSITORY, env=environ, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        outputs.append(output.decode())
    assert outputs[0] == "".join(f"applied {version}\n" for version in schema.versions()) + "the schema is current\n"
    assert outputs[1] == "the schema is current\n"
    embedded.remove(config.load(environ | {"HOME": ""}))


async def test_an_administrator_s_address_makes_database_and_roles_with_their_passwords(
    cluster: embedded.Cluster, elsewhere: Config
) -> None:
    prepared = await preparing.prepare(elsewhere, admin_url=cluster.superuser_url)
    assert prepared.applied == schema.versions()
    for role in config.ROLES:
        async with connected(elsewhere.database_url_of(role)) as connection:
            assert await connection.fetchval("select current_user") == f"neap_{role}"
            assert await schema.applied(connection) == schema.versions()
    async with connected(elsewhere.database_url_of("owner")) as connection:
        owner = "select pg_get_userbyid(datdba) from pg_database where datname = current_database()"
        assert await connection.fetchval(owner) == "neap_owner"


async def test_no_role_but_the_one_for_dumps_passes_row_level_security(
    database: DatabaseUrls, administrator: "Connection"
) -> None:
    rows = await administrator.fetch(
        "select rolname, rolcanlogin, rolsuper or rolcreaterole or rolcreatedb or rolreplication as powerful,"
        " rolbypassrls from pg_roles where rolname like 'neap%' order by rolname"
    )
    assert [tuple(row) for row in rows] == [
        ("neap_backup", False, False, True),
        ("neap_jobs", True, False, False),
        ("neap_owner", True, False, False),
        ("neap_sweep", True, False, False),
        ("neap_web", True, False, False),
    ]


async def test_strangers_may_not_connect_to_the_database(
    cluster: embedded.Cluster, elsewhere: Config, administrator: "Connection"
) -> None:
    await preparing.prepare(elsewhere, admin_url=cluster.superuser_url)
    name = roles.database_of(elsewhere)
    for role, may in (("public", False), ("neap_web", True), ("neap_sweep", True)):
        assert await administrator.fetchval("select has_database_privilege($1, $2, 'connect')", role, name) is may


async def test_two_migrations_at_once_apply_each_step_once(cluster: embedded.Cluster, elsewhere: Config) -> None:
    await roles.make(cluster.superuser_url, elsewhere)
    await asyncio.gather(
        preparing.prepare(elsewhere, admin_url=cluster.superuser_url), preparing.prepare(elsewhere, admin_url=None)
    )
    async with connected(elsewhere.database_url_of("owner")) as connection:
        assert await schema.applied(connection) == schema.versions()


async def test_an_administrator_that_is_no_superuser_makes_all_but_the_role_for_dumps(
    lone_cluster: embedded.Cluster,
) -> None:
    async with connected(lone_cluster.superuser_url) as administrator:
        await administrator.execute("create role landlord login createrole createdb password 'landlord'")
    settings = _settings(lone_cluster, "rented")
    url = f"postgresql://landlord:landlord@{lone_cluster.host}:{lone_cluster.port}/postgres"
    for applied in (schema.versions(), []):
        prepared = await preparing.prepare(settings, admin_url=url)
        assert prepared.applied == applied
        assert "create role neap_backup nologin bypassrls" in prepared.notes[1]
    async with connected(settings.database_url_of("web")) as connection:
        await roles.refuse_unbounded(connection)


async def test_without_an_administrator_the_missing_database_is_named_with_the_sql_that_makes_it(
    elsewhere: Config, administrator: "Connection"
) -> None:
    with pytest.raises(roles.RoleFault) as raised:
        await preparing.prepare(elsewhere, admin_url=None)
    name = roles.database_of(elsewhere)
    assert f'create database "{name}";' in str(raised.value)
    assert "create role neap_sweep login nosuperuser" in str(raised.value)
    await administrator.execute(f'create database "{name}"')
    await administrator.execute(roles.sql_for([], name))
    assert (await preparing.prepare(elsewhere, admin_url=None)).applied == schema.versions()


async def test_without_an_administrator_a_missing_role_is_named_with_the_sql_that_makes_it(
    lone_cluster: embedded.Cluster,
) -> None:
    settings = _settings(lone_cluster, "neap")
    await roles.make(lone_cluster.superuser_url, settings)
    async with connected(lone_cluster.superuser_url) as administrator:
        await administrator.execute("alter role neap_sweep rename to sweep")
        with pytest.raises(roles.RoleFault, match="missing: neap_sweep") as raised:
            await preparing.prepare(settings, admin_url=None)
        assert "create role neap_web" not in str(raised.value)
        sql = [line for line in str(raised.value).splitlines()[1:] if not line.startswith("\\password")]
        await administrator.execute("\n".join(sql))
    assert (await preparing.prepare(settings, admin_url=None)).applied == schema.versions()


async def test_a_database_that_somebody_else_owns_is_refused(
    cluster: embedded.Cluster, elsewhere: Config, administrator: "Connection"
) -> None:
    await administrator.execute(f"create database {roles.database_of(elsewhere)}")
    with pytest.raises(roles.RoleFault, match="must be owned by neap_owner, not by postgres"):
        await preparing.prepare(elsewhere, admin_url=cluster.superuser_url)


async def test_a_process_role_with_too_much_power_is_refused(lone_cluster: embedded.Cluster) -> None:
    settings = _settings(lone_cluster, "neap")
    await preparing.prepare(settings, admin_url=lone_cluster.superuser_url)
    async with connected(lone_cluster.superuser_url) as administrator:
        await administrator.execute("alter role neap_jobs bypassrls")
    with pytest.raises(roles.RoleFault, match="bypassrls: neap_jobs"):
        await preparing.prepare(settings, admin_url=lone_cluster.superuser_url)
    async with connected(settings.database_url_of("jobs")) as connection:
        with pytest.raises(roles.RoleFault, match="passes row-level security"):
            await roles.refuse_unbounded(connection)


async def test_a_process_refuses_to_run_as_superuser_or_as_an_owner_or_as_a_member_of_one(
    lone_cluster: embedded.Cluster,
) -> None:
    settings = _settings(lone_cluster, "neap")
    await preparing.prepare(settings, admin_url=lone_cluster.superuser_url)
    bounded: tuple[config.Role, ...] = ("web", "jobs", "sweep")
    for role in bounded:
        async with connected(settings.database_url_of(role)) as connection:
            await roles.refuse_unbounded(connection)
    async with connected(lone_cluster.superuser_url) as administrator:
        await administrator.execute("grant neap_owner to neap_sweep with inherit false")
        with pytest.raises(roles.RoleFault, match="passes row-level security"):
            await roles.refuse_unbounded(administrator)
    owning: tuple[config.Role, ...] = ("owner", "sweep")
    for role in owning:
        async with connected(settings.database_url_of(role)) as connection:
            with pytest.raises(roles.RoleFault, match="owns tables"):
                await roles.refuse_unbounded(connection)


async def test_a_schema_that_is_behind_or_ahead_is_refused(database: DatabaseUrls) -> None:
    last = schema.versions()[-1]
    async with connected(database.owner) as owner, connected(database.web) as web:
        await schema.refuse_stale(web)
        await owner.execute("delete from schema_migrations where version = $1", last)
        assert await schema.applied(web) != schema.versions()
        assert await schema.pending(web) == [last]
        with pytest.raises(schema.SchemaFault, match=f"lacks {last}"):
            await schema.refuse_stale(web)
        await owner.execute("insert into schema_migrations values ($1), ('29991231000000')", last)
        assert await schema.pending(web) == []
        with pytest.raises(schema.SchemaFault, match="newer than this program: 29991231000000"):
            await schema.refuse_stale(web)


async def test_an_empty_database_is_not_current(cluster: embedded.Cluster, elsewhere: Config) -> None:
    await roles.make(cluster.superuser_url, elsewhere)
    async with connected(elsewhere.database_url_of("web")) as connection:
        assert await schema.pending(connection) == schema.versions()


async def test_a_migration_heeds_neither_the_folder_nor_the_path_nor_dbmate_s_own_variables(
    cluster: embedded.Cluster, elsewhere: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("DBMATE_MIGRATIONS_TABLE=elsewhere\nDATABASE_URL=postgres://nowhere/x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("DBMATE_MIGRATIONS_TABLE", "elsewhere")
    assert (await preparing.prepare(elsewhere, admin_url=cluster.superuser_url)).applied == schema.versions()
    assert os.listdir(tmp_path) == [".env"]  # noqa: PTH208 - and no schema file was dumped


async def test_a_single_command_checks_a_database_that_is_not_ours(
    cluster: embedded.Cluster, elsewhere: Config
) -> None:
    await roles.make(cluster.superuser_url, elsewhere)
    with pytest.raises(schema.SchemaFault, match="run `python -m service migrate`"):
        async with preparing.at_hand(elsewhere):
            pytest.fail("the schema is not current")
    await preparing.prepare(elsewhere, admin_url=None)
    async with preparing.at_hand(elsewhere) as embedded_cluster:
        assert embedded_cluster is None


async def test_a_failing_migration_says_what_the_database_said_and_no_password(
    cluster: embedded.Cluster, elsewhere: Config
) -> None:
    await roles.make(cluster.superuser_url, elsewhere)
    async with connected(elsewhere.database_url_of("owner")) as connection:
        await connection.execute("create table clinic (other int)")
    with pytest.raises(schema.SchemaFault, match='relation "clinic" already exists') as raised:
        await preparing.prepare(elsewhere, admin_url=None)
    password = (cluster.data_dir / "secrets" / "owner_password").read_text()
    assert password not in str(raised.value)


def test_migrations_are_named_by_time_and_purpose() -> None:
    names = [file.name for file in sorted(schema.MIGRATIONS.iterdir())]
    assert all(re.fullmatch(r"20\d{12}_[a-z0-9_]+\.sql", name) for name in names)
    assert len(set(schema.versions())) == len(names)


def test_a_wrong_setting_or_command_ends_with_status_two(monkeypatch: pytest.MonkeyPatch) -> None:
    from service.__main__ import main

    monkeypatch.setenv("NEAP_PROT", "1")
    assert main(["migrate"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["no-such-command"])
