"""The JSON API of a client's infusions, for staff: plans, what became of each, and the days between them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from schemas.course import Infusion
from schemas.treatment import (
    InfusionCurves,
    InfusionDays,
    InfusionHistory,
    InfusionRecorded,
    MoveForm,
    PlanForm,
    Scheduled,
    ScheduleForm,
    StateForm,
)
from service import treatment
from service.appointments import watch
from service.desk import curves, treatment_page
from service.facts import gate_holds
from service.people.access import Permission
from service.web import cursors, strict
from service.web.api.staff_api import json_reply, made_or_known
from service.web.desk_session import Desk, open_desk

MOST_CURVE_DAYS = 60
MOST_CHECK_INS = 200
SEE, RECORD = Permission.SEE_CLIENTS, Permission.RECORD_INFUSIONS
TAGS = ["Treatment"]


@put(
    "/v1/clients/{client_id:uuid}/schedules/{schedule_id:uuid}",
    opt={
        "access": RECORD,
        "body": ScheduleForm,
        "replies": {201: Scheduled, 200: Scheduled},
        "problems": (409,),
    },
    tags=TAGS,
)
async def put_schedule(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    schedule_id: FromPath[UUID],
) -> Response[bytes]:
    """Plan infusions from a template, once for each id; the same again is 200 and changes nothing."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), ScheduleForm)
    made = await treatment.make_schedule(desk.db, client_id, schedule_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
    reply = Scheduled(
        schedule_id=schedule_id,
        planned=made.planned,
        kept_on=made.kept_on,
        cancelled=made.cancelled,
        held_at_gate=await _held_at_gate(desk, client_id),
    )
    return json_reply(reply, made_or_known(made.first_time))


@put(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}",
    opt={"access": RECORD, "body": PlanForm, "replies": {201: Infusion, 200: Infusion}, "problems": (409,)},
    tags=TAGS,
)
async def put_infusion(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    infusion_id: FromPath[UUID],
) -> Response[bytes]:
    """Plan a single infusion, once for each id; the same again is 200 and gives it as it stands now."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), PlanForm)
    infusion, first_time = await treatment.plan_infusion(
        desk.db, client_id, infusion_id, form.planned_at, by=desk.actor, now=desk.now
    )
    await watch.watch(desk.db, client_id, now=desk.now)
    return json_reply(infusion, made_or_known(first_time))


@get(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}",
    opt={"access": Permission.SEE_INFUSIONS, "replies": {200: InfusionHistory}},
    tags=TAGS,
)
async def get_infusion(
    desk: NamedDependency[Desk], client_id: FromPath[UUID], infusion_id: FromPath[UUID]
) -> Response[bytes]:
    """One infusion with every state it went through."""
    await desk.require_client(client_id)
    view = await treatment_page.read(desk.db, client_id, now=desk.now)
    await desk.record("client.read_infusion", client_id=client_id, object_id=infusion_id)
    return json_reply(treatment_page.infusion_of(view, infusion_id))


@post(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}/move",
    opt={"access": RECORD, "body": MoveForm, "replies": {200: Infusion}, "problems": (409,)},
    tags=TAGS,
)
async def move_infusion(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    infusion_id: FromPath[UUID],
) -> Response[bytes]:
    """Give a planned or held infusion another time."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), MoveForm)
    moved = await treatment.move_infusion(desk.db, client_id, infusion_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
    return json_reply(moved)


@post(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}/state",
    opt={"access": RECORD, "body": StateForm, "replies": {200: InfusionRecorded}, "problems": (409,)},
    tags=TAGS,
)
async def record_infusion(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    infusion_id: FromPath[UUID],
) -> Response[bytes]:
    """Record that it was given, held, missed or cancelled; said of a settled one, it corrects that."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), StateForm)
    recorded = await treatment.record_infusion(desk.db, client_id, infusion_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now, given=infusion_id)
    reply = InfusionRecorded(**msgspec.structs.asdict(recorded), held_at_gate=await _held_at_gate(desk, client_id))
    return json_reply(reply)


async def _held_at_gate(desk: Desk, client_id: UUID) -> list[UUID]:
    return [each.infusion_id for each in await gate_holds.left_by_plan(desk.db, client_id)]


@get(
    "/v1/clients/{client_id:uuid}/infusion-days",
    opt={"access": SEE, "replies": {200: InfusionDays}},
    tags=TAGS,
)
async def get_infusion_days(
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    before: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_CHECK_INS)] = 50,
) -> Response[bytes]:
    """Where each check-in stands between two infusions, newest first, a page at a time."""
    await desk.require_client(client_id)
    position = None if before is None else cursors.decode(before, field="before")
    await desk.record("client.read_infusion_days", client_id=client_id)
    items = await treatment_page.infusion_days_of(desk.db, client_id, limit=limit + 1, before=position)
    shown = items[:limit]
    more = cursors.encode((shown[-1].counted_at, shown[-1].check_in_id)) if len(items) > limit else None
    return json_reply(InfusionDays(items=shown, next=more))


@get(
    "/v1/clients/{client_id:uuid}/infusion-curves",
    opt={"access": SEE, "replies": {200: InfusionCurves}},
    tags=TAGS,
)
async def get_infusion_curves(
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    days: Annotated[int, QueryParameter(ge=1, le=MOST_CURVE_DAYS)] = 14,
) -> Response[bytes]:
    """The days after each infusion, each day also against the same day after the infusion before."""
    await desk.require_client(client_id)
    await desk.record("client.read_infusion_curves", client_id=client_id)
    return json_reply(InfusionCurves(items=await curves.of(desk.db, client_id, days=days)))


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            put_schedule,
            put_infusion,
            get_infusion,
            move_infusion,
            record_infusion,
            get_infusion_days,
            get_infusion_curves,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
