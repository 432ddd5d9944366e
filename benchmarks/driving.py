"""Drives load at a server and refuses to count anything but the answer it should give."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import msgspec

from benchmarks import processes
from benchmarks.ground import Ground
from benchmarks.load import Order, Outcome
from benchmarks.peers import serving

CONNECTIONS = 32
WARM_UP_SECONDS = 1.0
# Requests are built before the clock starts: more of them than the server can answer, or the run fails.
MOST_PER_SECOND = 8_000
STORED = 201


class Extent(msgspec.Struct, frozen=True):
    """How much to measure: rounds, and seconds of each."""

    rounds: int
    seconds: float


FULL = Extent(rounds=3, seconds=4.0)
QUICK = Extent(rounds=1, seconds=2.0)


class Server(msgspec.Struct, frozen=True):
    """A web process under measurement."""

    port: int
    pid: int


@asynccontextmanager
async def neap(ground: Ground) -> AsyncIterator[Server]:
    """Our web process."""
    port = processes.free_port()
    environ = ground.environ | {"NEAP_PORT": str(port)}
    async with processes.running("service", "web", environ=environ, port=port) as process:
        yield Server(port, process.pid)


@asynccontextmanager
async def peer(name: str, ground: Ground) -> AsyncIterator[Server]:
    """A peer with the database, role and pool size of our web process."""
    port = processes.free_port()
    environ = {
        serving.PORT: str(port),
        serving.DATABASE_URL: ground.config.database_urls().web,
        serving.POOL_SIZE: str(ground.config.web_pool_size),
    }
    async with processes.running(f"benchmarks.peers.{name}", environ=environ, port=port) as process:
        yield Server(port, process.pid)


async def drive(
    ground: Ground,
    server: Server,
    *,
    seconds: float,
    per_second: float | None = None,
    most_per_second: int = MOST_PER_SECOND,
    expected: int = STORED,
    answers: Mapping[str, object] = MappingProxyType({}),
) -> Outcome:
    """Load a server for some seconds after warming it up. Raises RuntimeError on any answer but the expected."""
    order = Order(
        port=server.port,
        access_tokens=ground.access_tokens,
        connections=CONNECTIONS,
        warm_up_seconds=WARM_UP_SECONDS,
        seconds=seconds,
        requests=int(most_per_second * (seconds + WARM_UP_SECONDS)),
        per_second=per_second,
        answers=dict(answers),
    )
    command = (sys.executable, "-m", "benchmarks.load")
    output = await processes.output_of(*command, environ={}, given=msgspec.json.encode(order))
    outcome = msgspec.json.decode(output, type=Outcome)
    if set(outcome.statuses) != {expected}:
        raise RuntimeError(f"answers by status were {outcome.statuses}; every one should be {expected}")
    return outcome
