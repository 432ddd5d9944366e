"""Whether the mail server takes us."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

import aiosmtplib

from service.config import Config
from service.doctor.finding import CONNECT_SECONDS, Finding
from service.notify.email import Email


async def looked_at(config: Config) -> list[Finding]:
    """Connect, and sign in where an account is set."""
    if config.smtp_host is None:
        return [Finding("mail", "no server is set", "set NEAP_SMTP_HOST and NEAP_MAIL_FROM: no e-mail is sent")]
    try:
        async with _mail_server(config):
            pass
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        remedy = "look at NEAP_SMTP_HOST, _PORT, _SECURITY, _USER and _PASSWORD"
        return [Finding("mail", f"the server does not take us ({type(error).__name__})", remedy)]
    return [Finding("mail", f"{config.smtp_host}:{config.smtp_port} takes us")]


def _mail_server(config: Config) -> aiosmtplib.SMTP:
    """Reached as every message reaches it."""
    return Email.of(config).conversation(timeout_seconds=CONNECT_SECONDS)


async def send_test(config: Config, to: str) -> Finding:
    """Send a message that says that messages arrive."""
    message = EmailMessage()
    message["From"], message["To"] = config.mail_from or "", to
    message["Subject"], message["Date"] = "Neap: a test", format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain="neap.invalid")
    message.set_content("This is a test. Messages of this Neap arrive here.\n")
    try:
        async with _mail_server(config) as server:
            await server.send_message(message)
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        return Finding(
            "test message",
            f"refused ({type(error).__name__})",
            "see whether the server takes NEAP_MAIL_FROM as sender and this recipient; its log says why",
        )
    return Finding("test message", "taken by the mail server")
