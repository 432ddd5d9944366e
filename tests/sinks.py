"""A mail server and a webhook receiver on loopback that keep what they get and answer as they are told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class MailSink:
    """Answers each message with the next of `answers`, then with 250; None keeps it and never says so. While
    `before_354`, it is silent about DATA and waits to be released."""

    port: int = 0
    answers: list[str | None] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    before_354: bool = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 No such person here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        parsed = message_from_bytes(raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        answer = self.answers.pop(0) if self.answers else "250 Kept"
        if answer is None or answer.startswith("250"):
            self.messages.append(parsed)
            self.raw.append(raw)
            self.recipients += envelope.rcpt_tos
            self.arrived.set()
        if answer is None:
            await self.released.wait()
        return answer or "250 Kept"


class _Server(SMTP):
    """aiosmtpd's, whose DATA can be slow."""

    def __init__(self, sink: MailSink, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sink, hostname="sink", loop=loop)
        self._sink = sink

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if self._sink.before_354:
            await self._sink.released.wait()
            return
        await super().smtp_DATA(arg)


@asynccontextmanager
async def a_mail_sink(sink: MailSink | None = None) -> AsyncIterator[MailSink]:
    """A mail server for the length of the block."""
    sink, loop = sink or MailSink(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Server(sink, loop), host="127.0.0.1", port=0)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        sink.released.set()
        server.close()
        await server.wait_closed()


@dataclass(frozen=True)
class Hook:
    """One request: lower-case header names, and the body."""

    request: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HookSink:
    """Answers each request with the next of `answers` ("503", "302 Location: …"), then with 204; None never answers."""

    port: int = 0
    answers: list[str | None] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.split("\r\n")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines) if name}
        self.hooks.append(Hook(request, headers, await reader.readexactly(int(headers["content-length"]))))
        self.asked.set()
        answer = self.answers.pop(0) if self.answers else "204"
        if answer is None:
            await self.released.wait()
            answer = "204"
        status, _, header = answer.partition(" ")
        more = f"{header}\r\n" if header else ""
        writer.write(f"HTTP/1.1 {status} Said\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def a_hook_sink(tls: ssl.SSLContext | None = None) -> AsyncIterator[HookSink]:
    """A webhook receiver for the length of the block."""
    sink = HookSink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, ssl=tls)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        sink.released.set()
        server.close()
        await server.wait_closed()
