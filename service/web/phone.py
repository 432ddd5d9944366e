"""The client's page: a shell, the same for everybody; who the client is and what they answer, only the phone knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from schemas.crisis import CrisisContact
from service import database
from service.people import clinics
from service.people.access import Permission
from service.web import page_problems, static_files
from service.web.services import Services

UNKNOWN_CLINIC: Mapping[str, object] = MappingProxyType(
    {
        "title": "Not found",
        "detail": "There is no clinic of this name here.",
        "faults": (),
        "next": "Please ask your clinic for its link.",
    }
)
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


@get("/phone/{slug:str}", opt={"access": Permission.COME_IN})
async def phone(slug: FromPath[str], services: NamedDependency[Services]) -> Response[str]:
    """The page a client opens on their phone, by the link or QR code that the clinic gave."""
    async with database.across_clinics(services.pool) as connection:
        clinic = await clinics.find_by_slug(connection, slug)
    if clinic is None:
        return services.pages.show("error.html", UNKNOWN_CLINIC, status=404)
    view = await services.views.get(clinic.clinic_id)
    return services.pages.show(
        "phone.html",
        {
            "clinic": clinic,
            "crisis": [contact_line(contact) for contact in view.crisis],
            "monitoring": view.monitoring_notice,
            "fictional": view.fictional,
        },
    )


@get("/phone/worker.js", opt={"access": Permission.COME_IN}, sync_to_thread=False)
def worker(services: NamedDependency[Services]) -> Response[bytes]:
    """The program that opens the page without a network; from below /phone/, so that it controls nothing else."""
    return static_files.worker(services, "phone_worker.js")


ROUTES = (
    Router(
        path="/",
        route_handlers=[worker, phone],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
