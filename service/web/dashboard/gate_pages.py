"""The desk's pages of the gate: a day's infusions, one gate with its forms; no script needed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from schemas.gate import (
    Analyte,
    ChecklistForm,
    Confirmation,
    Decision,
    DecisionForm,
    GateSetting,
    Presence,
    ScreenForm,
    VitalForm,
)
from service.desk import gate_words, gates
from service.facts import gate_checks, gate_records
from service.gate import assessment
from service.gate.read import Gate
from service.people import access, clients
from service.people.access import Permission
from service.web import desk_page, local_times, page_problems, strict
from service.web.api.gate_api import decided, recorded, taken_back
from service.web.desk_session import Desk, choices_of, form_of, open_desk, typed_number
from service.web.pages import go_to

Caller = Request[Any, Any, Any]
RECORD = {"access": Permission.RECORD_GATES}
# What a person of the clinic may look at before and after today by paging.
ONE_DAY = timedelta(days=1)
SCREENS_SHOWN = 6


@get("/gates", opt={"access": Permission.SEE_GATES})
async def show_day(desk: NamedDependency[Desk], day: FromQuery[date | None] = None) -> Response[Any]:
    """A day's infusions: may each go ahead, and what is open?"""
    on = local_times.day_of(day, desk.today)
    found = await gates.of_day(desk.db, desk.reach(), on, desk.view.zone, now=desk.now)
    for gate in found:
        await desk.record("gate.read", client_id=gate.slot.client_id, object_id=gate.slot.infusion_id)
    context = {
        "day_shown": on,
        "is_today": on == desk.today,
        "before": on - ONE_DAY,
        "after": on + ONE_DAY,
        "gates": [(gate, gate.line()) for gate in found],
        "words": gate_words,
    }
    return await desk_page.show(desk, "gates.html", context, here="/gates")


@get("/infusions/{infusion_id:uuid}/gate", opt={"access": Permission.SEE_GATES})
async def show_gate(desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """One gate: what is recorded, what is open, who decided what; the forms of whoever may use them."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    view = await gates.view_of(desk.db, client_id, infusion_id, sealer=sealer, now=desk.now)
    screens = await gates.screens_of(desk.db, client_id, now=desk.now)
    await desk.record("gate.read", client_id=client_id, object_id=infusion_id)
    gate = view.gate
    context = {
        "view": view,
        "gate": gate,
        "line": gate.line(),
        "screens": screens.items[:SCREENS_SHOWN],
        "abstinence": screens.abstinence,
        "standing": standing_ids(gate),
        "answers_of": assessment.answers_of,
        "panel": screens.items[0].screen.panel if screens.items else list(Analyte)[1:4],
        "may_record": await desk.reaches(Permission.RECORD_GATES, client_id),
        "may_override": await desk.reaches(Permission.OVERRIDE_GATES, client_id),
        "typed_now": local_times.typed(desk.now, desk.view.zone),
        "words": gate_words,
        "presences": [each for each in Presence if each is not Presence.NOT_APPLICABLE],
        "confirmations": list(Confirmation),
    }
    return await desk_page.show(desk, "gate.html", context, here="/gates")


def standing_ids(gate: Gate) -> set[UUID]:
    """The records that may still be taken back."""
    records = gate.records
    return {
        *(each.drug_screen_id for each in gate_records.standing_screens(records.screens)),
        *(each.vital_reading_id for each in gate_records.standing_vitals(records.vitals)),
        *(each.contraindication_check_id for each in gate_records.standing_checklists(records.checklists)),
    }


@post("/infusions/{infusion_id:uuid}/gate/screens", opt=RECORD)
async def add_screen(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Record a drug screen."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = await form_of(request)
    body = {
        "panel": await choices_of(request, "panel"),
        "positive": await choices_of(request, "positive"),
        "valid": form.get("valid") != "no",
        "confirmation": form.get("confirmation", Confirmation.PRESUMPTIVE),
        "collected_at": local_times.instant_of(form.get("at", ""), desk.view.zone, "at"),
    }
    return await _record(desk, client_id, infusion_id, body, ScreenForm)


@post("/infusions/{infusion_id:uuid}/gate/vitals", opt=RECORD)
async def add_vital(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Record blood pressure and pulse."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = await form_of(request)
    body = {
        "systolic": typed_number(form.get("systolic", "")),
        "diastolic": typed_number(form.get("diastolic", "")),
        "pulse": typed_number(form["pulse"]) if form.get("pulse", "").strip() else None,
        "measured_at": local_times.instant_of(form.get("at", ""), desk.view.zone, "at"),
    }
    return await _record(desk, client_id, infusion_id, body, VitalForm)


@post("/infusions/{infusion_id:uuid}/gate/checklists", opt=RECORD)
async def add_checklist(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Record the list of contraindications."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = await form_of(request)
    body = {name: form[name] for name in gate_words.CONDITIONS if name in form}
    checked_at = local_times.instant_of(form.get("at", ""), desk.view.zone, "at")
    return await _record(desk, client_id, infusion_id, {**body, "checked_at": checked_at}, ChecklistForm)


async def _record(
    desk: Desk,
    client_id: UUID,
    infusion_id: UUID,
    body: Mapping[str, object],
    shape: type[ScreenForm | VitalForm | ChecklistForm],
) -> Response[Any]:
    form = strict.decode(msgspec.json.encode(body), shape)
    await recorded(desk, client_id, infusion_id, form)
    return go_to(f"/infusions/{infusion_id}/gate")


@post("/infusions/{infusion_id:uuid}/gate/records/{record_id:uuid}/take-back", opt=RECORD)
async def take_back(
    desk: NamedDependency[Desk], infusion_id: FromPath[UUID], record_id: FromPath[UUID]
) -> Response[Any]:
    """Say that a record was entered in error."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    await taken_back(desk, client_id, infusion_id, record_id)
    return go_to(f"/infusions/{infusion_id}/gate")


@post("/infusions/{infusion_id:uuid}/gate/clear", opt=RECORD)
async def clear(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Let it go ahead."""
    return await _decide(request, desk, infusion_id, Decision.CLEAR)


@post("/infusions/{infusion_id:uuid}/gate/hold", opt=RECORD)
async def hold(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Put it on hold."""
    return await _decide(request, desk, infusion_id, Decision.HOLD)


@post("/infusions/{infusion_id:uuid}/gate/release", opt=RECORD)
async def release(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Take the hold back."""
    return await _decide(request, desk, infusion_id, Decision.RELEASE)


@post("/infusions/{infusion_id:uuid}/gate/override", opt={"access": Permission.OVERRIDE_GATES})
async def override(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Let it go ahead all the same."""
    return await _decide(request, desk, infusion_id, Decision.OVERRIDE)


async def _decide(request: Caller, desk: Desk, infusion_id: UUID, decision: Decision) -> Response[Any]:
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = await form_of(request)
    body = {"reason": form.get("reason"), "version": typed_number(form.get("version", ""))}
    await decided(desk, client_id, infusion_id, decision, strict.decode(msgspec.json.encode(body), DecisionForm))
    return go_to(f"/infusions/{infusion_id}/gate")


@post("/settings/gate", opt={"access": Permission.MANAGE_SETTINGS})
async def choose(request: Caller, desk: NamedDependency[Desk]) -> Response[Any]:
    """Set the clinic's hours and limits."""
    form = await form_of(request)
    body = {name: typed_number(form.get(name, "")) for name in GateSetting.__struct_fields__}
    setting = strict.decode(msgspec.json.encode(body), GateSetting)
    await gate_checks.choose(desk.db, setting, now=desk.now)
    await desk.record("setting.change_gate")
    return go_to("/settings")


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_day,
            show_gate,
            add_screen,
            add_vital,
            add_checklist,
            take_back,
            clear,
            hold,
            release,
            override,
            choose,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
