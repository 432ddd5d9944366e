"""The demonstration's webhook receiver: a loopback server that verifies signatures and keeps what it got.

Large enough for our own deliveries only: one POST a connection, a Content-Length, at most 64 KiB.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

from service import ids

HOST = "127.0.0.1"
PATH = "/hook"
LARGEST_BYTES = 64 * 1024
READ_SECONDS = 10


class WebhookCatcher:
    """Answers 204 to a message that our secret signed and keeps it; 401 to any other."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._folder = folder
        self._verifier = Webhook(secret)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(READ_SECONDS):
                    status = await self._status_of(reader)
            except (TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                status = HTTPStatus.BAD_REQUEST
            line = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(line.encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _status_of(self, reader: asyncio.StreamReader) -> HTTPStatus:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.split("\r\n")
        method, path, _ = request.split(" ", 2)
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines) if name}
        size = int(headers.get("content-length", "0"))
        if method != "POST" or path != PATH:
            return HTTPStatus.NOT_FOUND
        if not 0 <= size <= LARGEST_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return self._kept(await reader.readexactly(size), headers)

    def _kept(self, body: bytes, headers: Mapping[str, str]) -> HTTPStatus:
        try:
            self._verifier.verify(body, dict(headers))
        except WebhookVerificationError:
            return HTTPStatus.UNAUTHORIZED
        name = f"{ids.new()}.json"
        unfinished = self._folder / f"{name}.unfinished"
        unfinished.write_bytes(body)
        unfinished.rename(self._folder / name)
        return HTTPStatus.NO_CONTENT


async def listen(folder: Path, secret: bytes, *, port: int = 0) -> asyncio.Server:
    """Listen on loopback; `secret` is the endpoint's."""
    return await asyncio.start_server(WebhookCatcher(folder, secret).serve, HOST, port)
