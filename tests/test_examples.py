"""The examples that integrators begin with work against the product as it is."""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from service import ids
from service.notify import Message, Retry, Sent
from service.notify.webhook import Webhook
from service.people import webhook_endpoints

ROOT = Path(__file__).parents[1]
SECRET, OTHER_SECRET = b"k" * 32, b"o" * 32


@asynccontextmanager
async def the_receiver() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """The example as a process of its own: its port, and the process, whose output is what it received."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "examples" / "webhook_receiver.py",
        "0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "NEAP_WEBHOOK_SECRET": webhook_endpoints.written(SECRET)},
    )
    assert process.stderr is not None
    try:
        listening = (await process.stderr.readline()).decode()
        yield int(listening.rpartition(" ")[2]), process
    finally:
        process.kill()
        await process.communicate()


async def test_a_message_whose_work_failed_is_refused_and_worked_on_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEAP_WEBHOOK_SECRET", webhook_endpoints.written(SECRET))
    receiver = runpy.run_path(str(ROOT / "examples" / "webhook_receiver.py"))["Receiver"]
    tries: list[object] = []

    def received(self: object, message: object) -> None:
        tries.append(message)
        if len(tries) == 1:
            raise RuntimeError("the database is away")

    monkeypatch.setattr(receiver, "received", received)
    server = ThreadingHTTPServer(("127.0.0.1", 0), receiver)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    now, port = datetime.now(UTC), server.server_port
    message = Message(
        delivery_id=ids.new(),
        alert_id=ids.new(),
        to=f"http://127.0.0.1:{port}/neap",
        link="https://neap.example/inbox",
        written_at=now,
        secrets=(SECRET,),
    )
    channel = Webhook(allowed={f"127.0.0.1:{port}"})
    assert await channel.send(message, now=now) == Retry("the endpoint answered 500")
    assert [await channel.send(message, now=now) for _ in range(2)] == [Sent(), Sent()]
    assert len(tries) == 2
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_webhook_receiver_takes_what_we_sign_once_and_nothing_else() -> None:
    async with the_receiver() as (port, process):
        now, channel = datetime.now(UTC), Webhook(allowed={f"127.0.0.1:{port}"})

        def message(secret: bytes) -> Message:
            return Message(
                delivery_id=ids.new(),
                alert_id=ids.new(),
                to=f"http://127.0.0.1:{port}/neap",
                link="https://neap.example/inbox",
                written_at=now,
                secrets=(secret,),
            )

        forged, first, second = message(OTHER_SECRET), message(SECRET), message(SECRET)
        assert await channel.send(forged, now=now) != Sent()
        for sent in (first, first, second):
            assert await channel.send(sent, now=now) == Sent()
        assert process.stdout is not None
        told = [msgspec.json.decode(await process.stdout.readline()) for _ in range(2)]
    assert [each["data"]["alert_id"] for each in told] == [str(first.alert_id), str(second.alert_id)]
