"""The load generator, a process of its own: raw HTTP/1.1 over kept connections, every request built beforehand.

`python -m benchmarks.load` reads an Order as JSON on stdin and writes an Outcome on stdout. Closed loop: each
connection sends its next request when the last was answered. Open loop (`per_second` given): requests fall due at
random moments (a Poisson process) whatever the server does, and a latency counts from the moment the request fell due,
so that a stall is charged to every request it delays.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast

import httptools
import msgspec
import psutil
import uvloop

from service import ids

SEED = 20261123
DRAIN_SECONDS = 20


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, how and for how long; times in seconds."""

    port: int
    access_tokens: list[str]
    connections: int
    warm_up_seconds: float
    seconds: float
    requests: int
    per_second: float | None = None
    answers: dict[str, object] = {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Answers in the measured time by status, their latencies (open loop only), processors the generator used.

    `answers` also counts those of the warm-up.
    """

    answers: int
    statuses: dict[int, int]
    latencies_ms: list[float]
    generator_cpus: float


def built(order: Order, now: datetime) -> list[bytes]:
    """Check-ins as bytes on the wire, each with an id of its own, from one client after the other."""
    body = msgspec.json.encode(
        {
            "kind": "daily",
            "answered_at": now - timedelta(seconds=20),
            "sent_at": now,
            "time_zone": "America/Chicago",
            "craving": {"alcohol": 6},
            "mood": 4,
            "anxiety": 7,
            "used": [],
            "safety": False,
            "note": None,
        }
        | order.answers
    )
    tails = [
        f" HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
        for token in order.access_tokens
    ]
    random.Random(SEED).shuffle(tails)
    return [f"PUT /v1/check-ins/{ids.new()}".encode() + tails[n % len(tails)] for n in range(order.requests)]


class Loop(Protocol):
    """Who hands out work to connections."""

    def is_free(self, connection: Connection) -> None:
        """A connection awaits its next request."""

    def answered(self, status: int, due_at: float) -> None:
        """The request that fell due at that moment was answered just now."""


class Connection(asyncio.Protocol):
    """One kept connection with one request under way at most."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._due_at = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._loop.is_free(self)

    def send(self, request: bytes, due_at: float) -> None:
        """Send one request."""
        assert self._transport is not None
        self._due_at = due_at
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The parser's word for a whole answer."""
        self._loop.answered(self._parser.get_status_code(), self._due_at)
        self._loop.is_free(self)


class ClosedLoop:
    """As fast as the answers come."""

    def __init__(self, order: Order, requests: Iterator[bytes], begin: float) -> None:
        self._requests = requests
        self._measured_from = begin + order.warm_up_seconds
        self._ends_at = self._measured_from + order.seconds
        self._clock = asyncio.get_running_loop().time
        self.answers = 0
        self.statuses: Counter[int] = Counter()
        self.latencies_ms: list[float] = []

    def is_free(self, connection: Connection) -> None:
        """Send the next request at once."""
        now = self._clock()
        if now < self._ends_at:
            connection.send(next(self._requests), now)

    def answered(self, status: int, due_at: float) -> None:
        """Count an answer that came inside the measured time."""
        del due_at
        self.answers += 1
        if self._measured_from <= self._clock() < self._ends_at:
            self.statuses[status] += 1

    async def finish(self) -> None:
        """Wait for the end."""
        await asyncio.sleep(self._ends_at - self._clock())


class OpenLoop:
    """At random moments, `per_second` on average; a request that finds no free connection waits, and that counts."""

    def __init__(self, order: Order, requests: Iterator[bytes], begin: float) -> None:
        assert order.per_second is not None
        self._requests = requests
        self._per_second = order.per_second
        self._random = random.Random(SEED)
        self._measured_from = begin + order.warm_up_seconds
        self._ends_at = self._measured_from + order.seconds
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._overdue: deque[float] = deque()
        self._unanswered = 0
        self._finished = asyncio.Event()
        self._next_due_at = begin
        self._loop.call_at(begin, self._tick)
        self.answers = 0
        self.statuses: Counter[int] = Counter()
        self.latencies_ms: list[float] = []

    def is_free(self, connection: Connection) -> None:
        """Send what is overdue, or wait for what falls due."""
        if self._overdue:
            connection.send(next(self._requests), self._overdue.popleft())
        else:
            self._idle.append(connection)

    def answered(self, status: int, due_at: float) -> None:
        """Count an answer to a request that fell due inside the measured time."""
        self._unanswered -= 1
        self.answers += 1
        if due_at >= self._measured_from:
            self.statuses[status] += 1
            self.latencies_ms.append((self._loop.time() - due_at) * 1000)
        if self._unanswered == 0 and self._next_due_at >= self._ends_at:
            self._finished.set()

    def _tick(self) -> None:
        now = self._loop.time()
        while self._next_due_at <= now and self._next_due_at < self._ends_at:
            self._unanswered += 1
            if self._idle:
                self._idle.pop().send(next(self._requests), self._next_due_at)
            else:
                self._overdue.append(self._next_due_at)
            self._next_due_at += self._random.expovariate(self._per_second)
        if self._next_due_at < self._ends_at:
            # uvloop's timers count whole milliseconds: a shorter wait would spin, and take the server's processor.
            self._loop.call_later(max(0.001, self._next_due_at - self._loop.time()), self._tick)

    async def finish(self) -> None:
        """Wait until every request that fell due is answered. Raises TimeoutError."""
        await asyncio.sleep(self._ends_at - self._loop.time())
        if self._unanswered:
            await asyncio.wait_for(self._finished.wait(), DRAIN_SECONDS)


async def run(order: Order) -> Outcome:
    """Carry out an order."""
    requests = iter(built(order, datetime.now(UTC)))
    loop = asyncio.get_running_loop()
    used, begin = psutil.Process().cpu_times(), loop.time()
    kind = ClosedLoop if order.per_second is None else OpenLoop
    load = kind(order, requests, begin)
    for _ in range(order.connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", order.port)
    await load.finish()
    seconds = loop.time() - begin
    used_then = psutil.Process().cpu_times()
    return Outcome(
        answers=load.answers,
        statuses=dict(load.statuses),
        latencies_ms=load.latencies_ms,
        generator_cpus=(used_then.user + used_then.system - used.user - used.system) / seconds,
    )


if __name__ == "__main__":
    outcome = uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Order)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
