"""What the demonstration caught: the messages that a therapist would have got, so that a visitor sees them."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from service import database, errors
from service.people import clinics
from service.people.access import Permission
from service.web import page_problems
from service.web.page_problems import CLINIC_COOKIE
from service.web.services import Services

SHOWN = 50
# Caught webhooks lie beside the mail's folder.
WEBHOOK_FOLDER = "webhooks"
LINK = re.compile(r"https?://[^\s<>\"]+")


class CaughtMail(NamedTuple):
    """One message as its reader sees it; the text cut at its links, every second piece being one."""

    sent_at: datetime
    to: str
    sender: str
    subject: str
    pieces: list[str]


class CaughtWebhook(NamedTuple):
    """One webhook's body."""

    received_at: datetime
    body: str


@get("/demo-mail", opt={"access": Permission.SEE_DEMO_MAIL})
async def show_demo_mail(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[Any]:
    """The caught mail and webhooks, newest first; there is no such page where nothing is caught."""
    folder = services.config.demo_mail_dir
    if folder is None:
        raise errors.NotFound("Not found.")
    mail, webhooks = await asyncio.to_thread(_read, folder)
    zone = await _zone_of(request, services)
    context = {"mail": mail, "webhooks": webhooks, "base_url": services.config.base_url, "zone": zone}
    return services.pages.show("demo_mail.html", context)


async def _zone_of(request: Request[Any, Any, Any], services: Services) -> ZoneInfo:
    """The clock of the clinic whose sign-in page this browser used last; UTC where it used none."""
    slug = request.cookies.get(CLINIC_COOKIE)
    if not slug:
        return ZoneInfo("UTC")
    async with database.across_clinics(services.pool) as connection:
        clinic = await clinics.find_by_slug(connection, slug)
    return ZoneInfo(clinic.time_zone if clinic is not None else "UTC")


def _read(folder: Path) -> tuple[list[CaughtMail], list[CaughtWebhook]]:
    mail = [_mail(path) for path in _newest(folder, "*.eml")]
    webhooks = [_webhook(path) for path in _newest(folder.parent / WEBHOOK_FOLDER, "*.json")]
    return mail, webhooks


def _newest(folder: Path, pattern: str) -> list[Path]:
    # File names are UUIDs of version 7: they sort by arrival.
    return sorted(folder.glob(pattern), reverse=True)[:SHOWN] if folder.is_dir() else []


def _mail(path: Path) -> CaughtMail:
    message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(path.read_bytes())
    body = message.get_body(("plain", "html"))
    text = str(body.get_content()) if body is not None else ""
    pieces, at = [], 0
    for link in LINK.finditer(text):
        pieces += [text[at : link.start()], link[0]]
        at = link.end()
    return CaughtMail(
        _arrived(path),
        str(message["to"] or ""),
        str(message["from"] or ""),
        str(message["subject"] or "(no subject)"),
        [*pieces, text[at:]],
    )


def _webhook(path: Path) -> CaughtWebhook:
    return CaughtWebhook(_arrived(path), msgspec.json.format(path.read_bytes(), indent=2).decode())


def _arrived(path: Path) -> datetime:
    try:
        milliseconds = UUID(path.stem).int >> 80
    except ValueError:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_demo_mail],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
