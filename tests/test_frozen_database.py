"""A database that takes what is sent and never answers: whoever watches hears of it within seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from service import watch
from service.config import Config
from service.web import pulse
from tests import web


class Relay:
    """Lets everything through to the server, both ways; while `running` is not set, nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self.running = asyncio.Event()
        self.running.set()

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        there_reader, there_writer = await asyncio.open_connection(*self._place)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on(reader, there_writer))
            group.create_task(self._pass_on(there_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while octets := await reader.read(65536):
                await self.running.wait()
                writer.write(octets)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def through_a_relay(settings: Config) -> AsyncIterator[tuple[Config, Relay]]:
    assert settings.web_database_url is not None
    place = urlsplit(settings.web_database_url)
    assert place.hostname is not None
    assert place.port is not None
    relay = Relay(place.hostname, place.port)
    server = await asyncio.start_server(relay.join, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        login = place.netloc.rpartition("@")[0]
        url = place._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
        yield msgspec.structs.replace(settings, web_database_url=url), relay


async def asked(http: httpx.AsyncClient, path: str) -> tuple[int, dict[str, object], float]:
    began = time.monotonic()
    reply = await http.get(path)
    return reply.status_code, reply.json(), time.monotonic() - began


@pytest.mark.slow
async def test_health_is_answered_while_the_database_is_frozen_and_after(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "PATIENCE_SECONDS", 0.5)
    async with through_a_relay(settings) as (through, relay), web.serving(through) as http:
        assert (await asked(http, "/health/ready"))[0] == 200
        relay.running.clear()
        for _ in range(3 * through.web_pool_size):  # more questions than there are connections
            async with asyncio.TaskGroup() as group:
                several = [group.create_task(asked(http, f"/health/{name}")) for name in ("ready", "deadman", "live")]
            (ready, _, first), (deadman, said, second), (live, _, third) = (each.result() for each in several)
            assert (ready, deadman, live) == (503, 503, 200)
            assert said == {"overdue": [watch.DATABASE_SILENT]}
            assert max(first, second, third) < 5
        relay.running.set()
        assert (await asked(http, "/health/ready"))[0] == 200
        assert (await asked(http, "/health/deadman"))[1] == {"overdue": [watch.NO_JOBS_PROCESS, watch.NOT_LOOKED]}


async def test_a_question_that_hangs_is_left_behind_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(pulse, "GIVEN_UP_SECONDS", 0.05)
    begun: list[asyncio.Event] = []

    async def ask() -> str:
        begun.append(asyncio.Event())
        if len(begun) == 1:
            await begun[0].wait()
        return "answered"

    question = pulse.Question(ask)
    with pytest.raises(TimeoutError):
        await question.answer()
    async with asyncio.timeout(20):
        while True:
            with suppress(TimeoutError):
                assert await question.answer() == "answered"
                break
    assert len(begun) == 2
