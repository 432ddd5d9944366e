"""The demonstration's mail server: takes every message on loopback and keeps it as a file, so that it can be shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from service import ids

HOST = "127.0.0.1"
LARGEST_BYTES = 1 << 20
OK = "250 Message kept"


class MailCatcher:
    """Writes each message as one `.eml` file; file names sort by arrival."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd
        """Keep the message; all of it or nothing."""
        del server, session
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        name = f"{ids.new()}.eml"
        unfinished = self._folder / f"{name}.unfinished"
        unfinished.write_bytes(raw)
        unfinished.rename(self._folder / name)
        return OK


async def listen(folder: Path) -> asyncio.Server:
    """Listen on a free loopback port and keep what arrives in `folder`."""
    loop = asyncio.get_running_loop()
    catcher = MailCatcher(folder)
    return await loop.create_server(
        lambda: SMTP(catcher, hostname="neap-demo", data_size_limit=LARGEST_BYTES, loop=loop), host=HOST, port=0
    )


def port_of(server: asyncio.Server) -> int:
    """The port it listens on."""
    port: int = server.sockets[0].getsockname()[1]
    return port
