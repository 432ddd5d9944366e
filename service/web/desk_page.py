"""A page of the desk: what every one of them shows beside its own matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from litestar import Response

from service import base64url
from service.desk import first_steps, inbox
from service.people import access
from service.people.access import Permission
from service.people.clinics import ClinicView
from service.people.staff_sessions import SignedIn
from service.web.desk_session import Desk, SignedInAt, page_token
from service.web.pages import local_path
from service.web.services import Services


class Place(NamedTuple):
    """A line of the navigation and the permission it needs."""

    name: str
    path: str
    permission: Permission


PLACES = (
    Place("Caseload", "/caseload", Permission.SEE_CLIENTS),
    Place("Inbox", "/inbox", Permission.SEE_ALERTS),
    Place("Infusions", "/gates", Permission.SEE_GATES),
    Place("Rules", "/rules", Permission.SEE_RULES),
    Place("Quality", "/quality", Permission.SEE_QUALITY),
    Place("Rota", "/rota", Permission.SEE_ROTA),
    Place("Staff", "/staff", Permission.MANAGE_STAFF),
    Place("Settings", "/settings", Permission.MANAGE_SETTINGS),
    Place("Operations", "/operator", Permission.SEE_OPERATIONS),
)
ACCOUNT = "/account"
KEPT_TEXTS = "texts kept in a tab"
# Where first steps are done: from there a page leads back to them while there are any.
PLACES_OF_STEPS = frozenset({"/settings", "/staff", "/rota", "/caseload", "/rules"})


async def show(
    desk: Desk, template: str, context: Mapping[str, object], *, here: str = "", status: int = 200
) -> Response[str]:
    """A page with navigation, the count of open alerts, and the notice of a fictional clinic."""
    return desk.services.pages.show(template, {**await frame_of(desk, here), **context}, status=status)


async def frame_of(desk: Desk, here: str) -> dict[str, object]:
    """What the frame of a page needs; `here` is the path of the place it belongs to."""
    open_alerts = 0
    if desk.may(Permission.SEE_ALERTS):
        open_alerts = await inbox.count_open(desk.db, desk.reach(Permission.SEE_ALERTS), now=desk.now)
    return {
        **frame_around(desk.who, desk.view, desk.services),
        "zone": desk.view.zone,
        "now": desk.now,
        "here": here,
        "open_alerts": open_alerts,
        "steps_left": await _steps_left(desk) if here in PLACES_OF_STEPS else 0,
        "steps_in_all": len(first_steps.Step),
        "may": desk.may,
        "Permission": Permission,
    }


def frame_around(who: SignedIn, view: ClinicView, services: Services) -> dict[str, object]:
    """What the frame needs that no database is asked for; the count of open alerts comes when the page asks for it."""
    return {
        "who": who,
        "clinic": view.clinic,
        "fictional": view.fictional,
        "demo": services.config.demo_mail_dir is not None,
        "csrf_token": page_token(SignedInAt(who, view), services),
        "keeps": _key_of_texts(who, view, services),
        "places": places_of(who.parties),
        "here": "",
        "open_alerts": None,
        "steps_left": 0,
    }


def _key_of_texts(who: SignedIn, view: ClinicView, services: Services) -> str:
    """Under which a tab keeps what somebody had typed when their session ended (`desk_kept.js`).

    Only pages of theirs have it, so nobody else reads what lies there.
    """
    whose = f"{view.clinic.clinic_id}:{who.staff_id}".encode()
    return base64url.encode(services.master.keyed_hash(whose, purpose=KEPT_TEXTS))


async def _steps_left(desk: Desk) -> int:
    """How many of the clinic's first steps are open; 0 where none of them is for this person to do."""
    own = first_steps.of(desk.who.parties)
    if not own:
        return 0
    still_open = (await first_steps.read(desk.db)).open
    return len(still_open) if any(step in own for step in still_open) else 0


def places_of(parties: Iterable[str]) -> list[Place]:
    """The places where somebody may go who comes as these parties."""
    held = list(parties)
    return [place for place in PLACES if access.may(held, place.permission)]


def home_of(parties: Iterable[str], wanted: str | None = None) -> str:
    """Where a person begins: where they wanted to go, else the first place they may go, else their account.

    A place that is not theirs is not gone to: nobody would have asked for it knowing.
    """
    own = [place.path for place in places_of(parties)]
    closed = {place.path for place in PLACES} - set(own)
    home = own[0] if own else ACCOUNT
    path = local_path(wanted, home)
    return home if path in closed or path == "/" else path
