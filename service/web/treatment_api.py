"""The JSON API of a client's course of treatment, for staff: thin over `treatment`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from schemas.course import Infusion, Pause
from schemas.treatment import (
    CourseView,
    DischargeForm,
    EndPauseForm,
    InfusionCurves,
    InfusionDays,
    InfusionHistory,
    MoveForm,
    PauseForm,
    PhaseForm,
    PlanForm,
    ReopenForm,
    Scheduled,
    ScheduleForm,
    StateForm,
    SubstancesForm,
)
from service import treatment
from service.appointments import watch
from service.desk import curves, treatment_page
from service.people.access import Permission
from service.web import strict
from service.web.desk_session import Desk, open_desk

HEADERS = {"Cache-Control": "no-store"}
MOST_CURVE_DAYS = 60
MOST_CHECK_INS = 200
SEE, MANAGE = Permission.SEE_CLIENTS, Permission.MANAGE_TREATMENT
TAGS = ["Treatment"]


def _json(value: msgspec.Struct, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json", headers=HEADERS)


def _once(first_time: bool) -> int:
    """201 for what was made now, 200 for what the same call made before."""
    return 201 if first_time else 200


async def _course(desk: Desk, client_id: UUID) -> Response[bytes]:
    view = await treatment_page.read(desk.db, client_id, now=desk.now)
    return _json(treatment_page.course_of(view))


@get("/v1/clients/{client_id:uuid}/course", opt={"access": SEE, "replies": {200: CourseView}}, tags=TAGS)
async def get_course(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """The newest course: substances, phase, pauses, every infusion, and the log."""
    await desk.require_client(client_id)
    await desk.record("client.read_treatment", client_id=client_id)
    return await _course(desk, client_id)


@post(
    "/v1/clients/{client_id:uuid}/course/substances",
    opt={"access": MANAGE, "body": SubstancesForm, "replies": {200: CourseView}, "problems": (409,)},
    tags=TAGS,
)
async def change_substances(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """Treat other substances from a client day on; the days before keep theirs."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), SubstancesForm)
    await treatment.change_substances(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return await _course(desk, client_id)


@post(
    "/v1/clients/{client_id:uuid}/course/phase",
    opt={"access": MANAGE, "body": PhaseForm, "replies": {200: CourseView}, "problems": (409,)},
    tags=TAGS,
)
async def enter_phase(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """Say which phase the course is in from a client day on."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), PhaseForm)
    await treatment.enter_phase(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return await _course(desk, client_id)


@post(
    "/v1/clients/{client_id:uuid}/course/discharge",
    opt={"access": MANAGE, "body": DischargeForm, "replies": {200: CourseView}, "problems": (409,)},
    tags=TAGS,
)
async def discharge(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """End the course; what was planned after its last day is cancelled."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), DischargeForm)
    await treatment.discharge(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return await _course(desk, client_id)


@post(
    "/v1/clients/{client_id:uuid}/course/reopen",
    opt={"access": MANAGE, "body": ReopenForm, "replies": {200: CourseView}, "problems": (409,)},
    tags=TAGS,
)
async def reopen(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """Let an ended course go on."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), ReopenForm)
    await treatment.reopen(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return await _course(desk, client_id)


@put(
    "/v1/clients/{client_id:uuid}/schedules/{schedule_id:uuid}",
    opt={
        "access": MANAGE,
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
    reply = Scheduled(schedule_id=schedule_id, planned=made.planned, kept_on=made.kept_on, cancelled=made.cancelled)
    return _json(reply, _once(made.first_time))


@put(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}",
    opt={"access": MANAGE, "body": PlanForm, "replies": {201: Infusion, 200: Infusion}, "problems": (409,)},
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
    return _json(infusion, _once(first_time))


@get(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}",
    opt={"access": SEE, "replies": {200: InfusionHistory}},
    tags=TAGS,
)
async def get_infusion(
    desk: NamedDependency[Desk], client_id: FromPath[UUID], infusion_id: FromPath[UUID]
) -> Response[bytes]:
    """One infusion with every state it went through."""
    await desk.require_client(client_id)
    view = await treatment_page.read(desk.db, client_id, now=desk.now)
    await desk.record("client.read_infusion", client_id=client_id, object_id=infusion_id)
    return _json(treatment_page.infusion_of(view, infusion_id))


@post(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}/move",
    opt={"access": MANAGE, "body": MoveForm, "replies": {200: Infusion}, "problems": (409,)},
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
    await watch.settle(desk.db, client_id, now=desk.now)
    return _json(moved)


@post(
    "/v1/clients/{client_id:uuid}/infusions/{infusion_id:uuid}/state",
    opt={"access": MANAGE, "body": StateForm, "replies": {200: Infusion}, "problems": (409,)},
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
    await watch.settle(desk.db, client_id, now=desk.now)
    return _json(recorded)


@put(
    "/v1/clients/{client_id:uuid}/pauses/{pause_id:uuid}",
    opt={"access": MANAGE, "body": PauseForm, "replies": {201: Pause, 200: Pause}, "problems": (409,)},
    tags=TAGS,
)
async def put_pause(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    pause_id: FromPath[UUID],
) -> Response[bytes]:
    """Pause a client, also on days that are over; once for each id."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), PauseForm)
    pause, first_time = await treatment.pause(desk.db, client_id, pause_id, form, by=desk.actor, now=desk.now)
    return _json(pause, _once(first_time))


@post(
    "/v1/clients/{client_id:uuid}/pauses/{pause_id:uuid}/end",
    opt={"access": MANAGE, "body": EndPauseForm, "replies": {200: Pause}, "problems": (409,)},
    tags=TAGS,
)
async def end_pause(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    pause_id: FromPath[UUID],
) -> Response[bytes]:
    """Give a pause another last day, or withdraw it."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), EndPauseForm)
    return _json(await treatment.end_pause(desk.db, client_id, pause_id, form, by=desk.actor, now=desk.now))


@get(
    "/v1/clients/{client_id:uuid}/infusion-days",
    opt={"access": SEE, "replies": {200: InfusionDays}},
    tags=TAGS,
)
async def get_infusion_days(
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_CHECK_INS)] = 50,
) -> Response[bytes]:
    """Where each of the newest check-ins stands between two infusions."""
    await desk.require_client(client_id)
    await desk.record("client.read_infusion_days", client_id=client_id)
    return _json(InfusionDays(items=await treatment_page.infusion_days_of(desk.db, client_id, limit=limit)))


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
    return _json(InfusionCurves(items=await curves.of(desk.db, client_id, days=days)))


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            get_course,
            change_substances,
            enter_phase,
            discharge,
            reopen,
            put_schedule,
            put_infusion,
            get_infusion,
            move_infusion,
            record_infusion,
            put_pause,
            end_pause,
            get_infusion_days,
            get_infusion_curves,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
