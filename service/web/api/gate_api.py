"""The JSON API of the gate: a day's infusions, what is recorded, what people decide, a client's screens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from schemas.gate import (
    ChecklistForm,
    Decision,
    DecisionForm,
    GateDay,
    GateReply,
    GateSetting,
    Recorded,
    ScreenForm,
    ScreensReply,
    VitalForm,
)
from service.appointments import watch
from service.desk import gates
from service.facts import gate_checks
from service.gate import decide, read
from service.people import access, clients
from service.people.access import Permission
from service.web import local_times, strict
from service.web.api.staff_api import json_reply, made_or_known
from service.web.desk_session import Desk, open_desk

Form = TypeVar("Form", ScreenForm, VitalForm, ChecklistForm)
Caller = Request[Any, Any, Any]
SEE = {"access": Permission.SEE_GATES}


def recording(form: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The options of a route that records something at the gate."""
    return {
        "access": Permission.RECORD_GATES,
        "body": form,
        "replies": {201: Recorded},
        "problems": (409,),
    }


def deciding(permission: Permission) -> Mapping[str, Any]:
    """The options of a route by which a person decides."""
    return {"access": permission, "body": DecisionForm, "replies": {201: Recorded}, "problems": (409,)}


@get("/v1/gates", opt={**SEE, "replies": {200: GateDay}}, tags=["Gate"])
async def list_gates(desk: NamedDependency[Desk], day: FromQuery[date | None] = None) -> Response[bytes]:
    """The infusions of a day of the clinic's calendar, today without `day`: may each go ahead, and what is open?"""
    on = local_times.day_of(day, desk.today)
    found = await gates.of_day(desk.db, desk.reach(), on, desk.view.zone, now=desk.now)
    for gate in found:
        await desk.record("gate.read", client_id=gate.slot.client_id, object_id=gate.slot.infusion_id)
    return json_reply(GateDay(day=on, items=[gate.line() for gate in found]))


@get("/v1/infusions/{infusion_id:uuid}/gate", opt={**SEE, "replies": {200: GateReply}}, tags=["Gate"])
async def get_gate(desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """One gate with everything that was recorded and decided."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    view = await gates.view_of(desk.db, client_id, infusion_id, sealer=sealer, now=desk.now)
    await desk.record("gate.read", client_id=client_id, object_id=infusion_id)
    return json_reply(view.reply())


@put(
    "/v1/infusions/{infusion_id:uuid}/gate/screens/{screen_id:uuid}",
    opt={
        "access": Permission.RECORD_SCREENS,
        "body": ScreenForm,
        "replies": {201: Recorded, 200: Recorded},
        "problems": (409,),
    },
    tags=["Gate"],
)
async def put_screen(
    request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID], screen_id: FromPath[UUID]
) -> Response[bytes]:
    """Record a drug screen, or the correction of one, once for each id; the same again is 200 and changes nothing."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = strict.decode(await request.body(), ScreenForm)
    first_time = await decide.put_screen(
        desk.db, client_id, infusion_id, screen_id, form, by=desk.recorder, now=desk.now
    )
    if first_time:
        await desk.record("gate.record", client_id=client_id, object_id=infusion_id)
        await watch.watch(desk.db, client_id, now=desk.now, after_record=True)
    return await _recorded(desk, client_id, infusion_id, screen_id, made_or_known(first_time))


@post("/v1/infusions/{infusion_id:uuid}/gate/screens", opt=recording(ScreenForm), tags=["Gate"])
async def add_screen(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """Record a drug screen, or the correction of one."""
    return await _record(request, desk, infusion_id, ScreenForm)


@post("/v1/infusions/{infusion_id:uuid}/gate/vitals", opt=recording(VitalForm), tags=["Gate"])
async def add_vital(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """Record blood pressure and pulse, or the correction of a reading."""
    return await _record(request, desk, infusion_id, VitalForm)


@post("/v1/infusions/{infusion_id:uuid}/gate/checklists", opt=recording(ChecklistForm), tags=["Gate"])
async def add_checklist(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """Record the list of contraindications, or the correction of one."""
    return await _record(request, desk, infusion_id, ChecklistForm)


async def _record(request: Caller, desk: Desk, infusion_id: UUID, shape: type[Form]) -> Response[bytes]:
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = strict.decode(await request.body(), shape)
    return await _recorded(desk, client_id, infusion_id, await recorded(desk, client_id, infusion_id, form))


async def recorded(desk: Desk, client_id: UUID, infusion_id: UUID, form: decide.Form) -> UUID:
    """Record what this person tells, write it down, and find what it leaves open shortly before the slot; its id."""
    record_id = await decide.record(desk.db, client_id, infusion_id, form, by=desk.who.staff_id, now=desk.now)
    await desk.record("gate.record", client_id=client_id, object_id=infusion_id)
    await watch.watch(desk.db, client_id, now=desk.now, after_record=True)
    return record_id


async def _recorded(
    desk: Desk, client_id: UUID, infusion_id: UUID, record_id: UUID, status: int = 201
) -> Response[bytes]:
    gate = await read.of_infusion(desk.db, client_id, infusion_id, now=desk.now)
    return json_reply(Recorded(record_id=record_id, state=gate.standing.state), status)


@post(
    "/v1/infusions/{infusion_id:uuid}/gate/records/{record_id:uuid}/take-back",
    opt={"access": Permission.RECORD_GATES, "replies": {201: Recorded}, "problems": (409,)},
    tags=["Gate"],
)
async def take_back(
    desk: NamedDependency[Desk], infusion_id: FromPath[UUID], record_id: FromPath[UUID]
) -> Response[bytes]:
    """Say that a record was entered in error; it stays readable and counts no more."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    return await _recorded(desk, client_id, infusion_id, await taken_back(desk, client_id, infusion_id, record_id))


async def taken_back(desk: Desk, client_id: UUID, infusion_id: UUID, record_id: UUID) -> UUID:
    """Take a record back for this person, as `recorded` records one; the id of the row that says so."""
    row_id = await decide.take_back(desk.db, infusion_id, record_id, by=desk.who.staff_id, now=desk.now)
    await desk.record("gate.take_back", client_id=client_id, object_id=infusion_id)
    await watch.watch(desk.db, client_id, now=desk.now, after_record=True)
    return row_id


@post("/v1/infusions/{infusion_id:uuid}/gate/clear", opt=deciding(Permission.RECORD_GATES), tags=["Gate"])
async def clear_gate(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """Decide that it may go ahead: everything is recorded, and nothing speaks for a hold."""
    return await _decide(request, desk, infusion_id, Decision.CLEAR)


@post("/v1/infusions/{infusion_id:uuid}/gate/hold", opt=deciding(Permission.RECORD_GATES), tags=["Gate"])
async def hold_gate(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """Decide that it does not go ahead for now, with the reason."""
    return await _decide(request, desk, infusion_id, Decision.HOLD)


@post("/v1/infusions/{infusion_id:uuid}/gate/release", opt=deciding(Permission.RECORD_GATES), tags=["Gate"])
async def release_gate(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """Take a hold back; the gate is pending again."""
    return await _decide(request, desk, infusion_id, Decision.RELEASE)


@post("/v1/infusions/{infusion_id:uuid}/gate/override", opt=deciding(Permission.OVERRIDE_GATES), tags=["Gate"])
async def override_gate(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[bytes]:
    """Decide that it goes ahead although something is open or speaks for a hold, with the reason."""
    return await _decide(request, desk, infusion_id, Decision.OVERRIDE)


async def _decide(request: Caller, desk: Desk, infusion_id: UUID, decision: Decision) -> Response[bytes]:
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = strict.decode(await request.body(), DecisionForm)
    return await _recorded(desk, client_id, infusion_id, await decided(desk, client_id, infusion_id, decision, form))


async def decided(desk: Desk, client_id: UUID, infusion_id: UUID, decision: Decision, form: DecisionForm) -> UUID:
    """Record what this person decides, write it down, and find or settle what follows from it; the decision's id."""
    gate_check_id = await decide.decide(
        desk.db,
        client_id,
        infusion_id,
        decision,
        reason=form.reason,
        by=desk.who.staff_id,
        now=desk.now,
        sealer=await clients.sealer_of(desk.db, desk.services.master, client_id),
        version=form.version,
        known=form.known,
    )
    await watch.watch(desk.db, client_id, now=desk.now)
    await desk.record(ACTIONS[decision], client_id=client_id, object_id=infusion_id)
    return gate_check_id


ACTIONS: Mapping[Decision, str] = {
    Decision.CLEAR: "gate.clear",
    Decision.HOLD: "gate.hold",
    Decision.RELEASE: "gate.release",
    Decision.OVERRIDE: "gate.override",
}


@get("/v1/clients/{client_id:uuid}/screens", opt={**SEE, "replies": {200: ScreensReply}}, tags=["Gate"])
async def list_screens(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """A client's screens beside their answers, and how often they were negative, counted both ways."""
    await desk.require_client(client_id)
    await desk.record("screen.read", client_id=client_id)
    return json_reply(await gates.screens_of(desk.db, client_id, now=desk.now))


@get(
    "/v1/settings/gate",
    opt={"access": Permission.MANAGE_SETTINGS, "replies": {200: GateSetting}},
    tags=["Gate"],
)
async def get_gate_setting(desk: NamedDependency[Desk]) -> Response[bytes]:
    """The clinic's numbers: hours, limits, therapy window."""
    return json_reply(await gate_checks.setting_of(desk.db))


@put(
    "/v1/settings/gate",
    opt={"access": Permission.MANAGE_SETTINGS, "body": GateSetting, "replies": {200: GateSetting}},
    tags=["Gate"],
)
async def put_gate_setting(request: Caller, desk: NamedDependency[Desk]) -> Response[bytes]:
    """Set them, all at once."""
    setting = strict.decode(await request.body(), GateSetting)
    await gate_checks.choose(desk.db, setting, now=desk.now)
    await desk.record("setting.change_gate")
    return json_reply(setting)


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            list_gates,
            get_gate,
            put_screen,
            add_screen,
            add_vital,
            add_checklist,
            take_back,
            clear_gate,
            hold_gate,
            release_gate,
            override_gate,
            list_screens,
            get_gate_setting,
            put_gate_setting,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
