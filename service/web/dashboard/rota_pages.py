"""The desk's page of the rota: who is on call, who covers whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.rota import CoverForm, Rota, ShiftForm
from schemas.staff import CARE_TEAM_ROLES, CLINICAL_ROLES
from service import errors, ids
from service.facts import clinic_hours, sessions
from service.people import covers, staff
from service.people.access import Permission
from service.web import desk_page, local_times, page_problems
from service.web.api import rota_api
from service.web.desk_session import Desk, form_of, open_desk, typed_number
from service.web.pages import go_to

Caller = Request[Any, Any, Any]
MANAGE, OWN = {"access": Permission.MANAGE_ROTA}, {"access": Permission.USE_OWN_ACCOUNT}
MOST_WEEKS = 53
# What nobody took on goes on after half an hour: an hour later the clinic is open, or somebody is on call.
GAP, GAPS_AHEAD = timedelta(minutes=90), timedelta(days=14)


@get("/rota", opt={"access": Permission.SEE_ROTA})
async def show_rota(desk: NamedDependency[Desk]) -> Response[Any]:
    """Who is on call now and next, who is away and covered, and the forms."""
    people = await staff.all_of(desk.db)
    working = [each for each in people if each.disabled_at is None]
    rota = await rota_api.rota_of(desk)
    in_force = [each for each in rota.covers if each.covered_by not in rota.disabled]
    context = {
        "rota": rota,
        "gaps": _gaps(desk, rota),
        "booked": await sessions.booked_while_away(desk.db, now=desk.now),
        "away": lambda staff_id, each: covers.away_during(in_force, staff_id, each.from_at, each.until_at),
        "names": {each.staff_id: each.name for each in people},
        "working": working,
        "clinical": [each for each in working if set(CLINICAL_ROLES) & set(each.roles)],
        "may_be_on_call": [each for each in working if set(CARE_TEAM_ROLES) & set(each.roles)],
        "manages": desk.may(Permission.MANAGE_ROTA),
        "fresh_id": ids.new(),
        "typed": lambda at: local_times.typed(at, desk.view.zone),
    }
    return await desk_page.show(desk, "rota.html", context, here="/rota")


def _gaps(desk: Desk, rota: Rota) -> list[clinic_hours.Span]:
    """When the clinic is closed and nobody on call is told, from now on until the last shift that is planned."""
    if not rota.shifts:
        return []
    planned = max(each.until_at for each in rota.shifts)
    return clinic_hours.unattended(
        desk.view.hours,
        desk.view.zone,
        [(each.from_at, each.until_at) for each in rota.on_call],
        begin=desk.now,
        until=min(planned, desk.now + GAPS_AHEAD),
        at_least=GAP,
    )


@post("/rota/covers/{cover_id:uuid}", opt=OWN)
async def arrange_cover(request: Caller, desk: NamedDependency[Desk], cover_id: FromPath[UUID]) -> Response[Any]:
    """Arrange cover; the form sent twice arranges it once."""
    form = await form_of(request)
    wanted = CoverForm(
        staff_id=_person(form, "staff_id") if "staff_id" in form else desk.who.staff_id,
        covered_by=_person(form, "covered_by"),
        from_at=local_times.instant_of(form.get("from_at", ""), desk.view.zone, "from_at"),
        until_at=local_times.instant_of(form.get("until_at", ""), desk.view.zone, "until_at"),
    )
    await rota_api.arranged(desk, cover_id, wanted)
    return go_to("/rota")


@post("/rota/covers/{cover_id:uuid}/end", opt=OWN)
async def end_cover(desk: NamedDependency[Desk], cover_id: FromPath[UUID]) -> Response[Any]:
    """End a cover now."""
    await rota_api.cover_ended(desk, cover_id)
    return go_to("/rota")


@post("/rota/shifts/{shift_id:uuid}", opt=MANAGE)
async def give_shift(request: Caller, desk: NamedDependency[Desk], shift_id: FromPath[UUID]) -> Response[Any]:
    """Put somebody on call; the form sent twice does it once."""
    form = await form_of(request)
    weeks = typed_number(form.get("weeks", "").strip() or "1")
    if not (isinstance(weeks, int) and 1 <= weeks <= MOST_WEEKS):
        fault = errors.FieldFault("weeks", f"1 to {MOST_WEEKS}")
        raise errors.Invalid("The number of weeks cannot be.", fields=(fault,))
    wanted = ShiftForm(
        staff_id=_person(form, "staff_id"),
        from_at=local_times.instant_of(form.get("from_at", ""), desk.view.zone, "from_at"),
        until_at=local_times.instant_of(form.get("until_at", ""), desk.view.zone, "until_at"),
        weeks=weeks,
    )
    await rota_api.shift_given(desk, shift_id, wanted)
    return go_to("/rota")


@post("/rota/shifts/{shift_id:uuid}/end", opt=MANAGE)
async def end_shift(desk: NamedDependency[Desk], shift_id: FromPath[UUID]) -> Response[Any]:
    """End a shift now."""
    await rota_api.shift_ended(desk, shift_id)
    return go_to("/rota")


def _person(form: Mapping[str, str], field: str) -> UUID:
    try:
        return UUID(form.get(field, ""))
    except ValueError as error:
        raise errors.Invalid("Choose a person.", fields=(errors.FieldFault(field, "one of the list"),)) from error


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_rota, arrange_cover, end_cover, give_shift, end_shift],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
