"""The quality ledger: a page and the same figures as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery

from schemas.quality import QualityReply
from service import errors
from service.desk import quality
from service.people.access import Permission
from service.web import desk_page, page_problems
from service.web.api.staff_api import json_reply
from service.web.desk_session import Desk, open_desk

SEE = {"access": Permission.SEE_QUALITY}
PERIODS = (30, 90, 365)
USUAL_PERIOD = 90


@get("/quality", opt=SEE)
async def show_quality(desk: NamedDependency[Desk], days: FromQuery[int] = USUAL_PERIOD) -> Response[Any]:
    """What the alerts of a time were worth, and what they cost."""
    context = {"ledger": await _read(desk, days), "periods": PERIODS}
    return await desk_page.show(desk, "quality.html", context, here="/quality")


@get("/v1/quality", opt={**SEE, "replies": {200: QualityReply}}, tags=["Staff"])
async def get_quality(desk: NamedDependency[Desk], days: FromQuery[int] = USUAL_PERIOD) -> Response[bytes]:
    """The ledger of the last `days` days (30, 90 or 365); therapists by name for coordinators and admins."""
    return json_reply(await _read(desk, days))


async def _read(desk: Desk, days: int) -> QualityReply:
    if days not in PERIODS:
        known = ", ".join(str(each) for each in PERIODS)
        raise errors.Invalid("There is no ledger of this time.", fields=(errors.FieldFault("days", f"one of {known}"),))
    ledger = await quality.read(desk.db, days=days, now=desk.now)
    if desk.reach().clinic:
        return ledger
    own = [each for each in ledger.therapists if each.staff_id == desk.who.staff_id]
    return msgspec.structs.replace(ledger, therapists=own)


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_quality],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
    Router(path="/", route_handlers=[get_quality], dependencies={"desk": Provide(open_desk)}),
)
