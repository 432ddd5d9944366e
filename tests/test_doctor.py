"""The doctor says what is wrong, and what to do, of the real database and a real mail server."""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from jobs import process
from service import config, doctor, embedded, watch
from service import database as databases
from service.commands import web as web_command
from service.config import Config, DatabaseUrls
from service.database import Pool
from service.doctor import Finding
from service.people import totp
from service.storage import rights
from service.storage.rights import Right
from service.storage.roles import RoleFault
from tests.broken_promises import a_therapist
from tests.browser import environment, free_port, web_process
from tests.builders import MASTER, a_client, a_clinic
from tests.conftest import A_MASTER_KEY
from tests.sinks import MailSink

# The tests' server may lose a test's database, and nobody serves it.
IN_TESTS = {"durability", "archived log", "web"}


async def found(settings: Config) -> dict[str, Finding]:
    return {each.name: each async for each in doctor.examine(settings)}


def names_of_problems(findings: dict[str, Finding]) -> set[str]:
    return {name for name, each in findings.items() if each.is_problem} - IN_TESTS


@pytest.fixture
def fit(settings: Config, mail: MailSink) -> Config:
    settings.data_dir.mkdir()
    return msgspec.structs.replace(
        settings, smtp_host="127.0.0.1", smtp_port=mail.port, smtp_security="none", mail_from="Neap <neap@x.example>"
    )


async def test_a_fit_deployment_has_nothing_to_do(fit: Config, owner_pool: Pool, jobs_pool: Pool) -> None:
    clinic = await a_clinic(owner_pool)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await a_client(db)
    await watch.keep(jobs_pool, {}, now=datetime.now(UTC))
    findings = await found(fit)
    assert names_of_problems(findings) <= {"jobs"}
    assert findings["sealed data"].seen == "opens"
    assert findings["durability"].is_problem, "the tests' server is not durable, and that is said"


async def test_a_test_message_arrives(fit: Config, mail: MailSink) -> None:
    assert not (await doctor.send_test(fit, "admin@clinic.example")).is_problem
    assert mail.recipients == ["admin@clinic.example"]
    mail.answers = ["550 No such mailbox"]
    assert (await doctor.send_test(fit, "admin@clinic.example")).is_problem


async def test_another_key_than_the_data_s_is_noticed(fit: Config, owner_pool: Pool) -> None:
    clinic = await a_clinic(owner_pool)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await a_client(db)
    other = base64.urlsafe_b64encode(bytes(32)).decode()
    findings = await found(msgspec.structs.replace(fit, key=other))
    assert "NEAP_KEY" in findings["sealed data"].remedy


async def test_another_key_is_noticed_where_a_clinic_has_staff_and_no_clients(fit: Config, owner_pool: Pool) -> None:
    clinic = await a_clinic(owner_pool)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await totp.renew(db, MASTER, await a_therapist(db))
    other = base64.urlsafe_b64encode(bytes(32)).decode()
    findings = await found(msgspec.structs.replace(fit, key=other))
    assert "NEAP_KEY" in findings["sealed data"].remedy


async def test_an_address_that_lets_in_another_role_is_named_and_no_process_starts(
    fit: Config, database: DatabaseUrls
) -> None:
    mixed = msgspec.structs.replace(fit, web_database_url=database.jobs, sweep_database_url=database.web, port=0)
    findings = await found(mixed)
    for role, other in (("web", "neap_jobs"), ("sweep", "neap_web")):
        assert other in findings[f"role neap_{role}"].seen
        assert f"NEAP_{role.upper()}_DATABASE_URL" in findings[f"role neap_{role}"].remedy
    with pytest.raises(RoleFault, match="neap_web lets in neap_jobs"):
        await asyncio.to_thread(web_command.run, argparse.Namespace(), mixed)
    with pytest.raises(RoleFault, match="neap_sweep lets in neap_web"):
        async with process.tools_of(mixed):
            pass


async def test_a_schema_behind_and_a_role_that_owns_a_table_are_named(
    fit: Config, owner_pool: Pool, cluster: embedded.Cluster, database: DatabaseUrls
) -> None:
    newest = "delete from schema_migrations where version = (select max(version) from schema_migrations)"
    await owner_pool.execute(newest)
    here = urlsplit(cluster.superuser_url)._replace(path=urlsplit(database.owner).path).geturl()
    connection = await asyncpg.connect(here)
    await connection.execute("alter table webhook_endpoint owner to neap_web")
    await connection.close()
    findings = await found(fit)
    assert "python -m service migrate" in findings["schema"].remedy
    assert "owns tables (webhook_endpoint)" in findings["role neap_web"].seen
    assert {"schema", "role neap_web"} <= names_of_problems(findings)


async def test_a_right_that_a_role_lacks_is_named_and_what_is_said_mends_it(fit: Config, owner_pool: Pool) -> None:
    assert not (await found(fit))["rights"].is_problem
    await owner_pool.execute("revoke insert on check_in from neap_web")
    await owner_pool.execute("revoke select (state) on delivery from neap_sweep")
    said = (await found(fit))["rights"]
    assert said.seen.startswith("neap_sweep on delivery, neap_web on check_in:")
    grants = ["grant select (state) on delivery to neap_sweep;", "grant insert on check_in to neap_web;"]
    assert sorted(said.remedy.removeprefix("as neap_owner: ").split("; ")) == sorted([grants[0][:-1], grants[1]])
    await owner_pool.execute(said.remedy.removeprefix("as neap_owner: "))
    assert not (await found(fit))["rights"].is_problem


def test_a_right_on_the_whole_table_is_granted_whole_whatever_columns_lack_it_too() -> None:
    lacking = [
        Right("neap_jobs", "alert", "select", None),
        Right("neap_jobs", "alert", "select", "tier"),
        Right("neap_jobs", "alert", "update", "state"),
        Right("neap_jobs", "alert", "update", "tier"),
    ]
    assert rights.sql_for(lacking) == "grant select, update (state, tier) on alert to neap_jobs;"


async def test_a_wrong_password_is_one_problem(fit: Config, jobs_pool: Pool) -> None:
    await watch.keep(jobs_pool, {}, now=datetime.now(UTC))
    before = names_of_problems(await found(fit))
    assert fit.web_database_url is not None
    wrong = urlsplit(fit.web_database_url)
    wrong = wrong._replace(netloc=f"neap_web:not-it@{wrong.netloc.rpartition('@')[2]}")
    findings = await found(msgspec.structs.replace(fit, web_database_url=wrong.geturl()))
    assert names_of_problems(findings) - before == {"role neap_web"}
    assert "NEAP_WEB_PASSWORD" in findings["role neap_web"].remedy
    assert not {"schema", "sealed data", "jobs"} & findings.keys(), "what cannot be known is not said"


async def test_a_database_that_is_not_there_or_not_migrated_is_one_problem(
    fit: Config, owner_pool: Pool, jobs_pool: Pool
) -> None:
    await watch.keep(jobs_pool, {}, now=datetime.now(UTC))
    assert fit.owner_database_url is not None
    elsewhere = urlsplit(fit.owner_database_url)._replace(path="/nowhere").geturl()
    nowhere = msgspec.structs.replace(fit, **{f"{role}_database_url": elsewhere for role in config.ROLES})
    findings = await found(nowhere)
    assert names_of_problems(findings) == {"PostgreSQL"}
    assert "migrate" in findings["PostgreSQL"].remedy
    before = names_of_problems(await found(fit))
    await owner_pool.execute("drop table schema_migrations")
    assert names_of_problems(await found(fit)) == {*before - {"jobs"}, "schema"}


async def test_without_the_embedded_server_one_line_says_how_to_start_it(tmp_path: Path) -> None:
    empty = config.load({"NEAP_DATA_DIR": str(tmp_path), "NEAP_BACKUP_DIR": str(tmp_path.with_name("backups"))})
    findings = await found(empty)
    assert names_of_problems(findings) == {"master key", "PostgreSQL", "mail", "backup"}
    assert "python -m service database" in findings["PostgreSQL"].remedy
    (tmp_path / "secrets").mkdir()
    for role in config.ROLES:
        (tmp_path / "secrets" / f"{role}_password").write_text("x")
    (tmp_path / "embedded.json").write_bytes(
        msgspec.json.encode(config.EmbeddedServer(host="127.0.0.1", port=1, cluster_dir=str(tmp_path)))
    )
    findings = await found(empty)
    assert findings["PostgreSQL"].remedy == "start it: `python -m service database`"
    assert "backup" in findings, "how old the backups are does not hang on the server"


async def test_mail_that_is_not_set_a_plain_address_and_missing_jobs_are_problems(settings: Config) -> None:
    open_to_all = msgspec.structs.replace(settings, base_url="http://neap.clinic.example")
    findings = await found(open_to_all)
    assert {"mail", "address", "jobs"} <= names_of_problems(findings)
    assert "python -m jobs" in findings["jobs"].remedy


async def test_whoever_serves_at_the_address_is_asked(fit: Config) -> None:
    port = free_port()
    served = msgspec.structs.replace(fit, base_url=f"http://127.0.0.1:{port}")
    assert "python -m service web" in (await found(served))["web"].remedy
    env = environment(served.database_urls(), fit.data_dir, A_MASTER_KEY, port)
    async with web_process(env):
        assert not (await found(served))["web"].is_problem


async def test_a_proxy_that_nobody_believes_is_named(fit: Config) -> None:
    behind = msgspec.structs.replace(fit, base_url="https://neap.invalid")
    assert "NEAP_FORWARDED_ALLOW_IPS" in (await found(behind))["address"].remedy
    believed = msgspec.structs.replace(behind, forwarded_allow_ips=frozenset({"127.0.0.1"}))
    assert not (await found(believed))["address"].is_problem


def test_the_command_says_one_line_a_finding_and_ends_with_1_where_nothing_answers(tmp_path: Path) -> None:
    known = {name: text for name, text in os.environ.items() if not name.startswith("NEAP_")}
    nowhere = "postgresql://neap_web:hidden-word@127.0.0.1:1/neap"
    key = base64.urlsafe_b64encode(bytes(32)).decode()
    told = {"NEAP_DATA_DIR": str(tmp_path), "NEAP_KEY": key, "NEAP_DATABASE_URL": "postgresql://127.0.0.1:1/neap"}
    told |= {f"NEAP_{role}_DATABASE_URL": nowhere for role in ("OWNER", "WEB", "JOBS", "SWEEP")}
    ran = subprocess.run(
        [sys.executable, "-m", "service", "doctor"], env=known | told, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "problem  PostgreSQL: no answer (ConnectionRefusedError)" in ran.stdout
    assert "ok       master key" in ran.stdout
    assert "hidden-word" not in ran.stdout
    assert key not in ran.stdout
