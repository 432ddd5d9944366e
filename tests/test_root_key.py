"""Rotating the master key: one row is sealed anew, and everything opens as before, by the new key only."""

from __future__ import annotations

import argparse
import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from jobs import process as jobs_process
from schemas.alert import Channel
from service import database, key_proof
from service.audit_seals import Signer
from service.backup import clinic_restore
from service.commands import rotate_key
from service.commands import web as web_command
from service.config import Config
from service.database import Db, Pool
from service.doctor import server as doctor_server
from service.errors import Conflict, Invalid, NotReady
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import audit, clients, staff_addresses, totp, webhook_endpoints
from service.web import services
from tests import web
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.desk import a_person
from tests.sealed_trails import sealed

OLD, NEW, NEWER = (bytes([number]) * 32 for number in (1, 2, 3))


async def test_what_was_sealed_opens_by_the_new_key_and_by_no_other(owner_pool: Pool, web_pool: Pool) -> None:
    async with owner_pool.acquire() as owner, web_pool.acquire() as connection:
        first = await root_key.sealer(connection, OLD)
        inner, signed = first.seal(b"said", bound_to="x"), Signer(first).public
        for before, after in ((OLD, NEW), (NEW, NEWER)):
            await root_key.rotate(owner, before, after, now=NOW + timedelta(days=1))
            now = await root_key.sealer(connection, after)
            assert now.open(inner, bound_to="x") == b"said"
            assert Signer(now).public == signed
            with pytest.raises(NotReady, match="not the master key of this deployment"):
                await root_key.sealer(connection, before)
        with pytest.raises(NotReady):
            await root_key.rotate(owner, OLD, NEW, now=NOW)
        with pytest.raises(Conflict):
            await root_key.rotate(owner, NEWER, NEWER, now=NOW)
        assert (await root_key.sealer(connection, NEWER)).open(inner, bound_to="x") == b"said"


async def test_only_the_owner_may_rotate(web_pool: Pool, jobs_pool: Pool) -> None:
    for pool in (web_pool, jobs_pool):
        async with pool.acquire() as connection:
            with pytest.raises(Exception, match="permission denied"):
                await root_key.rotate(connection, OLD, NEW, now=NOW)


@pytest.fixture
def file_with(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "new").write_text(text)
        return tmp_path / "new"

    return write


async def test_after_the_command_a_process_starts_with_the_new_key_and_not_with_the_old(
    settings: Config, owner_pool: Pool, file_with: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    clinic = await a_clinic(owner_pool)
    master = Sealer(settings.master_key())
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        sealed = (await clients.sealer_of(db, master, client_id)).seal(b"said", bound_to="x")
    key = base64.urlsafe_b64encode(NEW).decode()
    arguments = argparse.Namespace(to=file_with(key))
    assert await asyncio.to_thread(rotate_key.run, arguments, settings) == 0
    said = capsys.readouterr().out
    assert "Keep the old one" in said
    assert key not in said
    async with web.running(msgspec.structs.replace(settings, key=key)) as application:
        held = application.state.services.master
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            assert (await clients.sealer_of(db, held, client_id)).open(sealed, bound_to="x") == b"said"
    with pytest.raises(NotReady, match="it was rotated"):
        await asyncio.to_thread(web_command.run, argparse.Namespace(), msgspec.structs.replace(settings, port=0))


@pytest.mark.parametrize("text", ["", "short", "not base64 at all, not at all, not at all !!"])
def test_a_file_without_a_key_is_refused_in_one_line(file_with: Callable[[str], Path], text: str) -> None:
    file = file_with(text)
    with pytest.raises(Invalid, match="holds no 32-byte master key") as caught:
        rotate_key.run(argparse.Namespace(to=file), Config())
    assert not text or text not in str(caught.value)


async def a_client_is_there(db: Db) -> None:
    await a_client(db)


async def somebody_has_an_authenticator(db: Db) -> None:
    await totp.renew(db, MASTER, await a_person(db))


async def the_trail_is_sealed(db: Db) -> None:
    await audit.record(db, audit.COMMAND, "test", now=NOW)


async def an_endpoint_is_told(db: Db) -> None:
    await webhook_endpoints.add(db, MASTER, "https://hooks.harbour.example/", now=NOW)


async def somebody_has_a_browser(db: Db) -> None:
    at = "https://push.example/1"
    await staff_addresses.add(db, MASTER, await a_person(db), Channel.PUSH, at, known_by=at, label="Firefox", now=NOW)


STORED = [
    a_client_is_there,
    somebody_has_an_authenticator,
    an_endpoint_is_told,
    somebody_has_a_browser,
    the_trail_is_sealed,
]


@pytest.mark.parametrize("stored", STORED)
async def test_a_deployment_that_was_filled_under_another_key_takes_none(
    settings: Config, owner_pool: Pool, jobs_pool: Pool, tmp_path: Path, stored: Callable[[Db], Awaitable[None]]
) -> None:
    """One from before the root key was kept: what is stored there proves the key, or refuses it."""
    await a_clinic(owner_pool, slug="empty")
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await stored(db)
    if stored is the_trail_is_sealed:
        assert await sealed(owner_pool, clinic)
    (tmp_path / "next").write_text(base64.urlsafe_b64encode(NEWER).decode())
    wrong = msgspec.structs.replace(settings, key=base64.urlsafe_b64encode(NEW).decode(), port=0)
    for refused in (
        lambda: rotate_key.run(argparse.Namespace(to=tmp_path / "next"), wrong),
        lambda: web_command.run(argparse.Namespace(), wrong),
    ):
        with pytest.raises(NotReady, match="not the master key under which"):
            await asyncio.to_thread(refused)
    with pytest.raises(NotReady, match="not the master key under which"):
        async with jobs_process.tools_of(wrong):
            pass
    [finding] = await doctor_server.sealed_data(wrong)
    assert finding.remedy is not None
    assert await key_proof.proved(jobs_pool, settings.master_key())
    assert (await doctor_server.sealed_data(settings))[0].seen == "opens"


async def test_the_first_start_keeps_the_key_for_all_later_ones(settings: Config, web_pool: Pool) -> None:
    """Also where nothing is stored yet that could prove one."""
    assert not await key_proof.proved(web_pool, settings.master_key())
    kept = await key_proof.kept(web_pool, settings.master_key(), now=NOW)
    again = await key_proof.kept(web_pool, settings.master_key(), now=NOW)
    assert Signer(kept).public == Signer(again).public == Signer(Sealer(settings.master_key())).public
    with pytest.raises(NotReady, match="not the master key of this deployment"):
        await key_proof.kept(web_pool, NEW, now=NOW)
    with pytest.raises(NotReady):
        async with jobs_process.tools_of(msgspec.structs.replace(settings, key=base64.urlsafe_b64encode(NEW).decode())):
            pass


async def test_an_archive_is_taken_in_only_under_the_key_of_what_is_here(settings: Config, owner_pool: Pool) -> None:
    """Where no process has started yet that keeps one, also if it is the archive's own."""
    right = settings.master_key()
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await a_client(db)
    async with owner_pool.acquire() as connection:
        async with connection.transaction():
            with pytest.raises(NotReady, match="not the master key under which"):
                await clinic_restore.take_root_key(connection, NEW, NEW, now=NOW)
        async with connection.transaction():
            await clinic_restore.take_root_key(connection, right, right, now=NOW)
            with pytest.raises(Conflict, match="another root key"):
                await clinic_restore.take_root_key(connection, NEW, right, now=NOW)


async def test_who_has_proved_the_key_before_listening_is_not_asked_again(settings: Config, web_pool: Pool) -> None:
    master = await key_proof.kept(web_pool, settings.master_key(), now=NOW)
    with_none = msgspec.structs.replace(settings, key=None)
    async with services.opened(with_none, master) as held:
        assert held.master is master
