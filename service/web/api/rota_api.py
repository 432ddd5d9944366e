"""The JSON API of the rota: cover for whoever is away, and shifts on call."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.rota import Cover, CoverForm, Rota, Shift, ShiftForm, ShiftsReply
from service.alerting import leases
from service.people import access, covers, shifts, staff
from service.people.access import Permission
from service.web import strict
from service.web.api.staff_api import HEADERS, json_reply, made_or_known
from service.web.desk_session import Desk, open_desk

Caller = Request[Any, Any, Any]
SEE, MANAGE, OWN = Permission.SEE_ROTA, Permission.MANAGE_ROTA, Permission.USE_OWN_ACCOUNT
TAGS = ["Staff"]


async def rota_of(desk: Desk) -> Rota:
    """What holds now or is to come."""
    given, arranged = await shifts.standing(desk.db, now=desk.now), await covers.standing(desk.db, now=desk.now)
    told = await shifts.told(desk.db, now=desk.now)
    people = {each.staff_id for each in given} | {each.covered_by for each in arranged}
    return Rota(
        on_call_now=list(dict.fromkeys(each.staff_id for each in told if each.from_at <= desk.now)),
        on_call=told,
        shifts=given,
        covers=arranged,
        disabled=sorted(people & await staff.gone(desk.db)),
    )


@get("/v1/rota", opt={"access": SEE, "replies": {200: Rota}}, tags=TAGS)
async def get_rota(desk: NamedDependency[Desk]) -> Response[bytes]:
    """Who is on call, who covers whom, now and to come."""
    return json_reply(await rota_of(desk))


@put(
    "/v1/covers/{cover_id:uuid}",
    opt={"access": OWN, "body": CoverForm, "replies": {201: Cover, 200: Cover}, "problems": (409,)},
    tags=TAGS,
)
async def put_cover(request: Caller, desk: NamedDependency[Desk], cover_id: FromPath[UUID]) -> Response[bytes]:
    """Arrange cover for oneself; coordinators and admins for anybody. Once for each id."""
    form = strict.decode(await request.body(), CoverForm)
    first_time = await arranged(desk, cover_id, form)
    cover = await covers.find(desk.db, cover_id)
    assert cover is not None
    return json_reply(cover, made_or_known(first_time))


async def arranged(desk: Desk, cover_id: UUID, form: CoverForm) -> bool:
    """Arrange cover and write it down; whether it was arranged just now. Raises as `covers.arrange` does."""
    _refuse_of_others(desk, form.staff_id)
    first_time = await covers.arrange(desk.db, cover_id, form, by=desk.who.staff_id, now=desk.now)
    if first_time:
        await desk.record("cover.arrange", object_id=cover_id)
    return first_time


def _refuse_of_others(desk: Desk, staff_id: UUID) -> None:
    if staff_id != desk.who.staff_id and not desk.may(MANAGE):
        raise access.OutOfReach


@post("/v1/covers/{cover_id:uuid}/end", opt={"access": OWN, "replies": {204: None}}, tags=TAGS)
async def end_cover(desk: NamedDependency[Desk], cover_id: FromPath[UUID]) -> Response[None]:
    """End a cover now; one that has not begun never was."""
    await cover_ended(desk, cover_id)
    return Response(None, status_code=204, headers=HEADERS)


async def cover_ended(desk: Desk, cover_id: UUID) -> None:
    """End a cover and write it down. Raises NotFound."""
    cover = await covers.find(desk.db, cover_id)
    if cover is None:
        raise access.OutOfReach
    _refuse_of_others(desk, cover.staff_id)
    await covers.end(desk.db, cover_id, now=desk.now)
    await leases.end_beyond_reach(desk.db, now=desk.now)
    await desk.record("cover.end", object_id=cover_id)


@put(
    "/v1/shifts/{shift_id:uuid}",
    opt={"access": MANAGE, "body": ShiftForm, "replies": {201: ShiftsReply, 200: ShiftsReply}, "problems": (409,)},
    tags=TAGS,
)
async def put_shift(request: Caller, desk: NamedDependency[Desk], shift_id: FromPath[UUID]) -> Response[bytes]:
    """Put somebody on call, once or every week. Once for each id."""
    form = strict.decode(await request.body(), ShiftForm)
    given, first_time = await shift_given(desk, shift_id, form)
    return json_reply(ShiftsReply(items=given), made_or_known(first_time))


async def shift_given(desk: Desk, shift_id: UUID, form: ShiftForm) -> tuple[list[Shift], bool]:
    """Give a shift and write it down. Raises as `shifts.give` does."""
    given, first_time = await shifts.give(
        desk.db, shift_id, form, zone=desk.view.zone, by=desk.who.staff_id, now=desk.now
    )
    if first_time:
        await desk.record("shift.give", object_id=shift_id)
    return given, first_time


@post("/v1/shifts/{shift_id:uuid}/end", opt={"access": MANAGE, "replies": {204: None}}, tags=TAGS)
async def end_shift(desk: NamedDependency[Desk], shift_id: FromPath[UUID]) -> Response[None]:
    """End a shift now; one that has not begun never was."""
    await shift_ended(desk, shift_id)
    return Response(None, status_code=204, headers=HEADERS)


async def shift_ended(desk: Desk, shift_id: UUID) -> None:
    """End a shift and write it down. Raises NotFound."""
    await shifts.end(desk.db, shift_id, now=desk.now)
    await leases.end_beyond_reach(desk.db, now=desk.now)
    await desk.record("shift.end", object_id=shift_id)


ROUTES = (
    Router(
        path="/",
        route_handlers=[get_rota, put_cover, end_cover, put_shift, end_shift],
        dependencies={"desk": Provide(open_desk)},
    ),
)
