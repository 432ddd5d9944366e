"""The client's page: a shell, the same for everybody; who the client is and what they answer, only the phone knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response, Router, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath, FromQuery

from schemas.clinic import Clinic
from schemas.crisis import CrisisContact
from service import database, errors
from service.people import clinics
from service.people.access import Permission
from service.web import compression, languages, page_problems, static_files
from service.web.pages import HEADERS, go_to
from service.web.services import Services

UNKNOWN_CLINIC: Mapping[str, object] = MappingProxyType(
    {
        "title": "Not found",
        "detail": "There is no clinic of this name here.",
        "faults": (),
        "next": "Please ask your clinic for its link.",
        "of_phone": True,
    }
)
COOKIE = "neap-language"
A_YEAR = 365 * 24 * 60 * 60
# Nothing on the page keeps its spaces; the phone keeps 20 KB of it.
INDENTATION = re.compile(r"\n\s+")
DIALLED = re.compile(r"\+?[0-9][0-9 ().-]{1,24}")


class ContactLine(msgspec.Struct, frozen=True):
    """A crisis contact as the page shows it; `href` None where it is neither a number nor an address."""

    label: str
    contact: str
    href: str | None


def contact_line(contact: CrisisContact) -> ContactLine:
    """A contact with what a tap on it does."""
    href = None
    if DIALLED.fullmatch(contact.contact):
        href = "tel:" + re.sub(r"[^+0-9]", "", contact.contact)
    elif contact.contact.startswith("https://"):
        href = contact.contact
    return ContactLine(contact.label, contact.contact, href)


async def _clinic(services: Services, slug: str) -> Clinic | None:
    async with database.across_clinics(services.pool) as connection:
        return await clinics.find_by_slug(connection, slug)


@get("/phone/{slug:str}", opt={"access": Permission.COME_IN})
async def phone(
    request: Request[Any, Any, Any],
    slug: FromPath[str],
    services: NamedDependency[Services],
    language: FromQuery[str | None] = None,
) -> Response[bytes] | Response[str] | Response[None]:
    """The page a client opens on their phone, by the link or QR code that the clinic gave."""
    clinic = await _clinic(services, slug)
    if clinic is None and slug != slug.lower():
        # Typed by hand, on a keyboard that begins with a capital.
        return go_to(f"/phone/{quote(slug.lower(), safe='')}")
    if clinic is None:
        return services.pages.show("error.html", UNKNOWN_CLINIC, status=404)
    if language is not None and language in languages.names():
        # Remembered by the browser, so that the page keeps its one address, under which the phone keeps it.
        chosen = go_to(f"/phone/{slug}")
        chosen.set_cookie(
            Cookie(key=COOKIE, value=language, path="/phone", max_age=A_YEAR, samesite="lax", httponly=True)
        )
        return chosen
    shown = languages.chosen(
        asked=None,
        remembered=request.cookies.get(COOKIE),
        accepted=request.headers.get("accept-language", ""),
    )
    view = await services.views.get(clinic.clinic_id, shown)
    page = services.pages.show(
        "phone.html",
        {
            "_": languages.texts(shown).gettext,
            "language": shown,
            "languages": languages.names(),
            "script": lambda name: services.pages.assets.url(languages.script(shown, name)),
            "clinic": clinic,
            "crisis": [contact_line(contact) for contact in view.crisis],
            "monitoring": view.monitoring_notice,
            "fictional": view.fictional,
        },
    )
    return _as_sent(request, page.content)


def _as_sent(request: Request[Any, Any, Any], text: str) -> Response[bytes]:
    """Nothing on the page is secret, and nothing that was asked stands in it: it may go compressed."""
    content = INDENTATION.sub("\n", text).encode()
    compressed = compression.smaller(content) if compression.accepts(request) else None
    headers = {**HEADERS, **compression.VARIES, **(compression.ENCODED if compressed else {})}
    return Response(compressed or content, media_type=MediaType.HTML, headers=headers)


class Icon(msgspec.Struct, frozen=True):
    src: str
    type: str
    sizes: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a phone puts on its home screen: a name and an icon that say nothing of what it is for."""

    id: str
    name: str = "Neap"
    short_name: str = "Neap"
    start_url: str
    scope: str
    display: str = "standalone"
    background_color: str = "#fbfaf7"
    theme_color: str = "#fbfaf7"
    icons: tuple[Icon, ...]


@get("/phone/{slug:str}/manifest.webmanifest", opt={"access": Permission.COME_IN})
async def manifest(slug: FromPath[str], services: NamedDependency[Services]) -> Response[bytes]:
    """The installed page's name, icon and first address."""
    if await _clinic(services, slug) is None:
        raise errors.NotFound("Not found.")
    url = services.pages.assets.url
    icons = (
        Icon(url("phone_icon.svg"), "image/svg+xml", "any"),
        Icon(url("phone_icon_180.png"), "image/png", "180x180"),
        Icon(url("phone_icon_512.png"), "image/png", "512x512"),
    )
    home = f"/phone/{slug}"
    content = msgspec.json.encode(Manifest(id=home, start_url=home, scope=home, icons=icons))
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="application/manifest+json", headers=headers)


@get("/phone/worker.js", opt={"access": Permission.COME_IN}, sync_to_thread=False)
def worker(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """The program that opens the page without a network; from below /phone/, so that it controls nothing else."""
    return static_files.worker(request, services, "phone_worker.js")


ROUTES = (
    Router(
        path="/",
        route_handlers=[worker, phone, manifest],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
