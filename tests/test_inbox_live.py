"""The inbox's stream: tells each change once, catches up, ends with the session, and holds up no shutdown."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest
from litestar.response.sse import ServerSentEventMessage

from schemas.staff import Role
from service import database as databases
from service.config import Config, DatabaseUrls
from service.database import Pool
from service.desk import inbox
from service.keys import tokens
from service.people import clients, staff, staff_sessions
from service.web.dashboard import inbox_live
from service.web.desk_session import Desk
from service.web.services import Services
from tests.browser import ROOT, environment, free_port
from tests.builders import a_client, a_clinic
from tests.conftest import A_MASTER_KEY
from tests.desk import SignedInAs, a_person, a_session, an_alert
from tests.web import running

PATIENCE_SECONDS = 30


class Reader(NamedTuple):
    """A therapist who follows their inbox, and their client."""

    services: Services
    owner: Pool
    clinic_id: UUID
    client_id: UUID
    session: SignedInAs

    def changes(self, seen: str | None = None) -> AsyncGenerator[ServerSentEventMessage, None]:
        return inbox_live.changes(self.services, tokens.parse(self.session.token, "session"), seen)


@pytest.fixture
async def reader(settings: Config, owner_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    monkeypatch.setattr(inbox_live, "LOOK_SECONDS", 0.02)
    clinic = await a_clinic(owner_pool)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        person, client_id = await a_person(db), await a_client(db)
        await clients.assign(db, client_id, person, Role.THERAPIST, from_at=datetime.now(UTC))
        session = await a_session(db, person)
    async with running(settings) as application:
        yield Reader(application.state.services, owner_pool, clinic.clinic_id, client_id, session)


async def next_change(events: AsyncGenerator[ServerSentEventMessage, None]) -> str | None:
    """The version of the next change; None where the stream ends first."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in events:
            if event.event == "changed":
                return str(event.id)
    return None


async def test_a_change_is_told_and_whoever_comes_back_with_it_hears_only_the_next(reader: Reader) -> None:
    async with aclosing(reader.changes()) as events:
        first = await next_change(events)
        async with databases.transaction(reader.owner, reader.clinic_id) as db:
            await an_alert(db, reader.client_id)
        second = await next_change(events)
    assert first != second
    async with aclosing(reader.changes(second)) as events:
        waiting = asyncio.create_task(next_change(events))
        async with databases.transaction(reader.owner, reader.clinic_id) as db:
            await db.execute(
                "update alert set state = 'auto_resolved', closed_at = now() where clinic_id = $1", db.clinic_id
            )
        assert await waiting == first, "the inbox is empty again, and nothing was told in between"


async def test_a_stream_ends_with_the_session_and_with_a_disabled_person(reader: Reader) -> None:
    async with aclosing(reader.changes()) as events:
        await next_change(events)
        async with databases.transaction(reader.owner, reader.clinic_id) as db:
            await staff_sessions.end(db, tokens.parse(reader.session.token, "session").digest)
        assert await next_change(events) is None
    async with databases.transaction(reader.owner, reader.clinic_id) as db:
        again = reader._replace(session=await a_session(db, reader.session.staff_id))
    async with aclosing(again.changes()) as events:
        await next_change(events)
        async with databases.transaction(reader.owner, reader.clinic_id) as db:
            admin = await a_person(db, Role.ADMIN)
            await staff.disable(db, reader.session.staff_id, by=admin, now=datetime.now(UTC))
        assert await next_change(events) is None


async def test_a_page_that_is_closed_in_the_middle_of_a_look_leaves_no_transaction_open(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg complains to the loop of a connection that is given back in the middle of one."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    looking, done = asyncio.Event(), asyncio.Event()
    read_open = inbox_live.read_open

    async def read_slowly(desk: Desk) -> tuple[inbox.InboxPage, str]:
        looking.set()
        await desk.db.value("select pg_sleep(0.05)")
        found = await read_open(desk)
        done.set()
        return found

    monkeypatch.setattr(inbox_live, "read_open", read_slowly)
    async with aclosing(reader.changes()) as events:
        following = asyncio.create_task(next_change(events))
        await looking.wait()
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
    async with asyncio.timeout(PATIENCE_SECONDS):
        await done.wait()
    async with databases.transaction(reader.services.pool, reader.clinic_id) as db:
        assert await db.value("select 1") == 1
    assert complaints == []


async def test_a_stream_does_not_keep_an_abandoned_desk_signed_in(reader: Reader) -> None:
    seen = "select last_seen_at from staff_session where clinic_id = $1"
    async with databases.transaction(reader.owner, reader.clinic_id) as db:
        await db.execute("update staff_session set last_seen_at = now() - interval '2 minutes'")
        before = await db.value(seen, db.clinic_id)
    async with aclosing(reader.changes()) as events:
        await next_change(events)
    async with databases.transaction(reader.owner, reader.clinic_id) as db:
        assert await db.value(seen, db.clinic_id) == before


async def test_an_open_stream_holds_up_no_shutdown(database: DatabaseUrls, owner_pool: Pool, tmp_path: Path) -> None:
    clinic = await a_clinic(owner_pool)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        session = await a_session(db, await a_person(db))
    port = free_port()
    web = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "service", "web"),
        cwd=ROOT,
        env=environment(database, tmp_path, A_MASTER_KEY, port),
        stdout=PIPE,
        stderr=PIPE,
    )
    transport = httpx.AsyncHTTPTransport(retries=8)
    async with httpx.AsyncClient(transport=transport, timeout=PATIENCE_SECONDS) as http:
        address = f"http://127.0.0.1:{port}"
        (await http.get(f"{address}/health/ready")).raise_for_status()
        async with http.stream("GET", f"{address}/inbox/stream", headers=session.bearer) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            lines = reply.aiter_lines()
            while "changed" not in await anext(lines):
                pass
            web.terminate()
            rest = [line async for line in lines]
    output = b"".join(await asyncio.wait_for(web.communicate(), PATIENCE_SECONDS)).decode()
    assert not [line for line in rest if "changed" in line]
    assert "graceful shutdown exceeded" not in output, "uvicorn had to cancel the stream"
