"""The forms of a client's treatment: each does what its counterpart of the API does, and leads back to the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.course import InfusionState, PauseReason, Substance, Template
from schemas.treatment import (
    CourseForm,
    DischargeForm,
    EndPauseForm,
    MoveForm,
    PauseForm,
    PhaseForm,
    PlanForm,
    ReopenForm,
    ScheduleForm,
    StateForm,
    SubstancesForm,
)
from service import errors, treatment
from service.appointments import watch
from service.desk import doubts
from service.facts import courses, pauses
from service.people.access import Permission
from service.web import page_problems, strict
from service.web.desk_session import Desk, choices_of, form_of, open_desk, typed_number
from service.web.forms import as_shown, meant
from service.web.pages import go_to

MANAGE = {"access": Permission.MANAGE_TREATMENT}
# Boxes of which several may be ticked: whoever reads the form passes their list.
TICKED = frozenset({"weekdays", "substances"})
T = TypeVar("T", bound=msgspec.Struct)


async def _filled(request: Request[Any, Any, Any], desk: Desk, shape: type[T], **more: object) -> T:
    """A form as `shape`, its empty fields left out. Raises Invalid naming every field that is wrong."""
    fields = {field.encode_name for field in msgspec.structs.fields(shape)} - TICKED
    texts = {name: text.strip() for name, text in (await form_of(request)).items() if name in fields}
    values = {name: _read(name, text, desk) for name, text in texts.items() if text}
    return strict.decode(msgspec.json.encode(values | more), shape)


def _read(name: str, text: str, desk: Desk) -> object:
    """A field's text as JSON would have it: numbers, and times on the clinic's clock; anything else stays a text."""
    try:
        if name in ("weeks", "version", "duration_minutes"):
            return int(text)
        if name == "dose_mg_per_kg":
            return float(text.replace(",", "."))
        if name in ("planned_at", "given_at"):
            return datetime.fromisoformat(text).replace(tzinfo=desk.view.zone).isoformat()
    except (ValueError, OverflowError):
        return text
    return text


def _back(client_id: UUID) -> Response[None]:
    return go_to(f"/clients/{client_id}/treatment")


@post("/clients/{client_id:uuid}/treatment/schedules/{schedule_id:uuid}", opt=MANAGE)
async def make_schedule(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    schedule_id: FromPath[UUID],
) -> Response[Any]:
    """Plan infusions from a template; the form sent twice plans once."""
    await desk.require_client(client_id)
    form = await form_of(request)
    more: dict[str, object] = {}
    if ticked := await choices_of(request, "weekdays"):
        more["weekdays"] = [typed_number(each) for each in ticked]
    if form.get("booster_count", "").strip() or form.get("template") == Template.BOOSTERS:
        rhythm = {"every_weeks": form.get("booster_every_weeks", ""), "count": form.get("booster_count", "")}
        more["boosters"] = {name: typed_number(text) for name, text in rhythm.items()}
    filled = await _filled(
        request, desk, ScheduleForm, replace_rest=form.get("replace_rest") == "yes", **_only_fitting(form, more)
    )
    if filled.template is Template.BOOSTERS:
        filled = msgspec.structs.replace(filled, weeks=None)
    odd = doubts.of_infusion(filled.starts_on, time.fromisoformat(filled.at), today=desk.today)
    meant.ask(form, odd, beside="starts_on")
    await treatment.make_schedule(desk.db, client_id, schedule_id, filled, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
    return _back(client_id)


def _only_fitting(form: dict[str, str], more: dict[str, object]) -> dict[str, object]:
    """Without what the page's one form holds for the other templates."""
    return {name: value for name, value in more.items() if name != "weekdays" or form.get("template") != "boosters"}


@post("/clients/{client_id:uuid}/treatment/infusions/{infusion_id:uuid}/plan", opt=MANAGE)
async def plan_infusion(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    infusion_id: FromPath[UUID],
) -> Response[Any]:
    """Plan a single infusion; the form sent twice plans once."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, PlanForm)
    await _ask(request, desk, form.planned_at)
    await treatment.plan_infusion(desk.db, client_id, infusion_id, form.planned_at, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
    return _back(client_id)


async def _ask(request: Request[Any, Any, Any], desk: Desk, planned_at: datetime) -> None:
    at = planned_at.astimezone(desk.view.zone)
    meant.ask(await form_of(request), doubts.of_infusion(at.date(), at.time(), today=desk.today), beside="planned_at")


@post("/clients/{client_id:uuid}/treatment/infusions/{infusion_id:uuid}/move", opt=MANAGE)
async def move_infusion(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    infusion_id: FromPath[UUID],
) -> Response[Any]:
    """Give an infusion another time."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, MoveForm)
    await _ask(request, desk, form.planned_at)
    await treatment.move_infusion(desk.db, client_id, infusion_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/infusions/{infusion_id:uuid}/state", opt=MANAGE)
async def record_infusion(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    infusion_id: FromPath[UUID],
) -> Response[Any]:
    """Record what became of an infusion, or correct it."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, StateForm)
    if form.state is InfusionState.PLANNED:
        form = msgspec.structs.replace(form, reason=None)
    await treatment.record_infusion(desk.db, client_id, infusion_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now, given=infusion_id)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/pauses/{pause_id:uuid}", opt=MANAGE)
async def begin_pause(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    pause_id: FromPath[UUID],
) -> Response[Any]:
    """Pause; the form sent twice pauses once."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, PauseForm)
    await treatment.pause(desk.db, client_id, pause_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/pauses/{pause_id:uuid}/end", opt=MANAGE)
async def end_pause(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    pause_id: FromPath[UUID],
) -> Response[Any]:
    """Give a pause another last day; with the box ticked it never was. One that is the client's own, as they asked."""
    await desk.require_client(client_id)
    sent = await form_of(request)
    standing = await pauses.find(desk.db, pause_id)
    if standing is not None and standing.reason is PauseReason.LEFT_MONITORING and sent.get("asked") != "yes":
        fault = errors.FieldFault("asked", "where they asked for it")
        raise errors.Invalid("They left monitoring on their own phone, and come back there.", fields=(fault,))
    withdrawn = sent.get("withdrawn") == "yes"
    form = EndPauseForm(until_on=None) if withdrawn else await _filled(request, desk, EndPauseForm)
    await treatment.end_pause(desk.db, client_id, pause_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/courses/{course_id:uuid}", opt=MANAGE)
async def start_course(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    course_id: FromPath[UUID],
) -> Response[Any]:
    """Start a further course; the form sent twice starts one."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, CourseForm, substances=await _primary_first(request))
    await _refuse_primary_unticked(request)
    await treatment.start_course(desk.db, client_id, course_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


async def _primary_first(request: Request[Any, Any, Any]) -> list[str]:
    ticked, primary = await choices_of(request, "substances"), (await form_of(request)).get("primary")
    return sorted(ticked, key=lambda each: each != primary)


async def _refuse_primary_unticked(request: Request[Any, Any, Any]) -> None:
    """What comes first and is not ticked would count as nothing, and the phone would never ask about it."""
    ticked, primary = await choices_of(request, "substances"), (await form_of(request)).get("primary")
    if primary and primary not in ticked:
        fault = errors.FieldFault("primary", "one of those that are ticked")
        raise errors.Invalid("Tick what comes first, too.", fields=(fault,))


@post("/clients/{client_id:uuid}/treatment/substances", opt=MANAGE)
async def change_substances(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Treat other substances from a day on."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, SubstancesForm, substances=await _primary_first(request))
    sent = {**await form_of(request), "substances": form.substances}
    at = await treatment.place_of(desk.db, client_id, now=desk.now)
    as_shown.refuse_older(sent, treated_fields(await courses.treated_on(desk.db, at.course, at.today)))
    await _refuse_primary_unticked(request)
    await treatment.change_substances(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


def treated_fields(substances: Sequence[Substance]) -> as_shown.Fields:
    """What the form shows of the substances that are treated, the primary one first."""
    return {"substances": substances, "primary": next(iter(substances), "")}


@post("/clients/{client_id:uuid}/treatment/phase", opt=MANAGE)
async def enter_phase(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Enter a phase from a day on."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, PhaseForm)
    await treatment.enter_phase(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/discharge", opt=MANAGE)
async def discharge(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """End the course."""
    await desk.require_client(client_id)
    goes_on = "therapy_goes_on" in await form_of(request)
    form = await _filled(request, desk, DischargeForm, cancel_sessions=not goes_on)
    await treatment.discharge(desk.db, client_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/reopen", opt=MANAGE)
async def reopen(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Let an ended course go on; without a day the discharge is undone."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, ReopenForm)
    await treatment.reopen(desk.db, client_id, form, by=desk.actor, now=desk.now)
    await watch.watch(desk.db, client_id, now=desk.now)
    return _back(client_id)


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            make_schedule,
            plan_infusion,
            move_infusion,
            record_infusion,
            begin_pause,
            end_pause,
            start_course,
            change_substances,
            enter_phase,
            discharge,
            reopen,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
