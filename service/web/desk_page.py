"""A page of the desk: what every one of them shows beside its own matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from litestar import Response

from service.desk import inbox
from service.people.access import Permission
from service.web.desk_session import Desk


class Place(NamedTuple):
    """A line of the navigation and the permission it needs."""

    name: str
    path: str
    permission: Permission


PLACES = (
    Place("Caseload", "/caseload", Permission.SEE_CLIENTS),
    Place("Inbox", "/inbox", Permission.SEE_ALERTS),
    Place("Staff", "/staff", Permission.MANAGE_STAFF),
    Place("Settings", "/settings", Permission.MANAGE_SETTINGS),
)


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
        "who": desk.who,
        "clinic": desk.view.clinic,
        "zone": desk.view.zone,
        "now": desk.now,
        "fictional": desk.view.fictional,
        "demo": desk.services.config.demo_mail_dir is not None,
        "csrf_token": desk.who.csrf_token,
        "places": [place for place in PLACES if desk.may(place.permission)],
        "here": here,
        "open_alerts": open_alerts,
        "may": desk.may,
        "Permission": Permission,
    }


def home_of(desk: Desk) -> str:
    """Where a person begins: the first place they may go, else their account."""
    return next((place.path for place in PLACES if desk.may(place.permission)), "/account")
