"""The JSON API of a client's course of treatment, for staff: thin over `treatment`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.course import Pause
from schemas.treatment import (
    CourseForm,
    CourseView,
    DischargeForm,
    EndPauseForm,
    PauseForm,
    PhaseForm,
    ReopenForm,
    SubstancesForm,
)
from service import treatment
from service.appointments import watch
from service.desk import treatment_page
from service.people.access import Permission
from service.web import strict
from service.web.api.staff_api import json_reply, made_or_known
from service.web.desk_session import Desk, open_desk

SEE, MANAGE = Permission.SEE_CLIENTS, Permission.MANAGE_TREATMENT
TAGS = ["Treatment"]


async def _course(desk: Desk, client_id: UUID, status: int = 200) -> Response[bytes]:
    view = await treatment_page.read(desk.db, client_id, now=desk.now)
    return json_reply(treatment_page.course_of(view), status)


@get("/v1/clients/{client_id:uuid}/course", opt={"access": SEE, "replies": {200: CourseView}}, tags=TAGS)
async def get_course(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """The newest course: substances, phase, pauses, every infusion, and the log."""
    await desk.require_client(client_id)
    await desk.record("client.read_treatment", client_id=client_id)
    return await _course(desk, client_id)


@put(
    "/v1/clients/{client_id:uuid}/courses/{course_id:uuid}",
    opt={
        "access": MANAGE,
        "body": CourseForm,
        "replies": {201: CourseView, 200: CourseView},
        "problems": (409,),
    },
    tags=TAGS,
)
async def put_course(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    course_id: FromPath[UUID],
) -> Response[bytes]:
    """Start a further course of a client whose last one has ended, once for each id; gives the newest course."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), CourseForm)
    first_time = await treatment.start_course(desk.db, client_id, course_id, form, by=desk.actor, now=desk.now)
    return await _course(desk, client_id, made_or_known(first_time))


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
    """End the course; what was planned after its last day is cancelled, booked sessions unless therapy goes on."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), DischargeForm)
    await treatment.discharge(desk.db, client_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
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
    await watch.watch(desk.db, client_id, now=desk.now)
    return await _course(desk, client_id)


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
    return json_reply(pause, made_or_known(first_time))


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
    return json_reply(await treatment.end_pause(desk.db, client_id, pause_id, form, by=desk.actor, now=desk.now))


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            get_course,
            put_course,
            change_substances,
            enter_phase,
            discharge,
            reopen,
            put_pause,
            end_pause,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
