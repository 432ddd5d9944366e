"""E-mail by SMTP: says that there is something to read in the inbox, and nothing of what it is."""

from __future__ import annotations

import asyncio
from datetime import datetime
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy, default
from email.utils import format_datetime, parseaddr
from typing import Literal, Self

import aiosmtplib
from aiosmtplib.typing import Default

from schemas.alert import Channel
from service.config import Config
from service.notify import texts
from service.notify.message import Dead, Message, Result, Retry, Sent

# The whole conversation: others wait for the run that this is part of.
TIMEOUT_SECONDS = 10.0
MINUTE, HOUR = 60, 3_600


class _OneLine(UnstructuredHeader, BaseHeader):
    """A header whose value is one long word. Folded it would become encoded words, in which no mail program looks for
    an address (RFC 2369, RFC 8058); RFC 5322 allows lines of 998 characters."""

    def fold(self, *, policy: Policy) -> str:
        """The line as it is."""
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _OneLine)
POLICY = default.clone(header_factory=_HEADERS)


class Conversation(aiosmtplib.SMTP):
    """Remembers how far it came: the message `begun` to leave, and `taken` by a 250."""

    begun = False
    taken = False

    async def data(
        self,
        message: str | bytes,
        /,
        *,
        timeout: float | Literal[Default.token] | None = Default.token,  # noqa: ASYNC109 - aiosmtplib's own
    ) -> aiosmtplib.SMTPResponse:
        """Hand the message over, and note how far it comes. aiosmtplib sends DATA and the message in one call; before
        the 354 that answers the former, nothing of the latter has left (RFC 5321, 4.1.1.4)."""
        protocol = self.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        send = protocol.write

        def noting(data: bytes) -> None:
            self.begun = self.begun or data != b"DATA\r\n"
            send(data)

        vars(protocol)["write"] = noting
        try:
            response = await super().data(message, timeout=timeout)
        finally:
            # A goodbye is no message.
            vars(protocol)["write"] = send
        self.taken = True
        return response


class Email:
    """Sends through one mail server."""

    channel = Channel.EMAIL
    # All clinics share a mail server, which counts connections.
    at_once = 3
    retry_after_seconds = (30, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)

    def __init__(
        self,
        *,
        host: str | None,
        port: int,
        security: Literal["none", "starttls", "tls"],
        sender: str,
        user: str | None,
        password: str | None,
    ) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._sender = sender
        self._user = user
        self._password = password

    @classmethod
    def of(cls, config: Config) -> Self:
        """The mail server of the settings; without one every message waits, visibly."""
        return cls(
            host=config.smtp_host,
            port=config.smtp_port,
            security=config.smtp_security,
            sender=config.mail_from or "",
            user=config.smtp_user,
            password=config.smtp_password,
        )

    def conversation(self, *, timeout_seconds: float) -> Conversation:
        """One with the mail server, not begun; `async with` connects, signs in where an account is set, and says
        goodbye. Each step of it raises SMTPException, OSError or TimeoutError after so long."""
        return Conversation(
            hostname=self._host,
            port=self._port,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            username=self._user,
            password=self._password,
            timeout=timeout_seconds,
        )

    async def send(self, message: Message, *, now: datetime) -> Result:
        """One attempt; `now` is not needed, since every attempt carries the date of the first."""
        del now
        if self._host is None:
            return Retry("no mail server is set")
        # What a header would read as two, or as another, is no address: the mail server is given this one or none.
        if not _is_one_address(message.to):
            return Dead("the address is none")
        talk = self.conversation(timeout_seconds=TIMEOUT_SECONDS)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), talk:
                await talk.send_message(self.written(message), recipients=[message.to])
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refused(max(each.code for each in error.recipients))
        except aiosmtplib.SMTPDataError as error:
            return _refused(error.code)
        except aiosmtplib.SMTPNotSupported:
            # RFC 6531: letters outside ASCII, which this server does not take today, nor in ten minutes.
            return Dead("the mail server takes no address of such letters")
        except aiosmtplib.SMTPResponseException as error:
            # Also -1, an answer that is none: to the message itself it says neither yes nor no.
            if not talk.taken:
                return Retry(f"the mail server answered {error.code}", may_have_arrived=talk.begun)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            # A goodbye that goes wrong takes nothing back.
            if not talk.taken:
                problem = f"the mail server is out of reach ({type(error).__name__})"
                return Retry(problem, may_have_arrived=talk.begun)
        return Sent()

    def written(self, message: Message) -> EmailMessage:
        """The e-mail: the same, header for header, on every attempt."""
        email = EmailMessage(policy=POLICY)
        domain = self._sender.rpartition("@")[2].strip(" >") or "localhost"
        email["Message-ID"] = f"<{message.delivery_id}@{domain}>"
        email["Date"] = format_datetime(message.written_at)
        email["From"] = self._sender
        email["To"] = message.to
        text = texts.text_of(message)
        email["Subject"] = text.subject
        email["Auto-Submitted"] = "auto-generated"
        if message.stop:
            email["List-Unsubscribe"] = f"<{message.stop}>"
            email["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        email.set_content(f"{text.body}\n\n{message.link}\n\n{texts.closing_of(message)}\n")
        email["Content-Language"] = message.language
        if message.attachment is not None:
            email.add_attachment(
                message.attachment.content, maintype="application", subtype="json", filename=message.attachment.name
            )
            # Python draws one; the same message looks the same on every attempt.
            email.set_boundary(f"neap-{message.delivery_id}")
        return email


def _is_one_address(text: str) -> bool:
    # An encoded word (RFC 2047) would be decoded on its way.
    return "@" in text and text.isprintable() and "=?" not in text and parseaddr(text) == ("", text)


def _refused(code: int) -> Result:
    problem = f"the mail server refused it ({code})"
    # RFC 5321, 4.2.1: 5yz is permanent, 4yz may pass.
    return Dead(problem) if code >= 500 else Retry(problem)
