"""A client's treatment on a page: course, plan and infusions, with a form for everything staff do to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.course import ChangeReason, DischargeReason, InfusionState, PauseReason, Phase, Substance, Template
from schemas.treatment import (
    Curve,
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
from service import ids, treatment
from service.desk import curves, sentences, treatment_log, treatment_page
from service.people.access import Permission
from service.web import desk_page, page_problems, strict
from service.web.desk_session import Desk, choices_of, form_of, open_desk
from service.web.pages import WEEKDAYS, go_to

MANAGE = {"access": Permission.MANAGE_TREATMENT}
SHOWN_CURVES = 5
CURVE_DAYS = 7
LOG_LINES = 60
# Boxes of which several may be ticked: whoever reads the form passes their list.
TICKED = frozenset({"weekdays", "substances"})
T = TypeVar("T", bound=msgspec.Struct)


@get("/clients/{client_id:uuid}/treatment", opt={"access": Permission.SEE_CLIENTS})
async def show_treatment(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """Course, plan, infusions with their numbers and states, and the forms."""
    await desk.require_client(client_id)
    view = await treatment_page.read(desk.db, client_id, now=desk.now)
    drawn = (await curves.of(desk.db, client_id, days=CURVE_DAYS))[-SHOWN_CURVES:]
    await desk.record("client.read_treatment", client_id=client_id)
    context = {
        "view": view,
        "client": view.client,
        "manages": await desk.reaches(Permission.MANAGE_TREATMENT, client_id),
        "summary": _summary(view, desk),
        "curves": drawn,
        "by_day": [{point.days_since: point for point in curve.points} for curve in drawn],
        "curve_days": range(_last_craving(drawn) + 1),
        "log": treatment_log.of(view, zone=desk.view.zone, today=desk.today)[:LOG_LINES],
        "record_of": treatment_log.record_of,
        "local": lambda at: f"{at.astimezone(desk.view.zone):%Y-%m-%dT%H:%M}",
        "told": lambda at: _told(at, desk),
        "yesterday": view.day - timedelta(days=1),
        "fresh_id": ids.new(),
        **CHOICES,
    }
    return await desk_page.show(desk, "treatment.html", context, here="/caseload")


def _last_craving(drawn: Sequence[Curve]) -> int:
    """The last day after an infusion on which any of the curves has a craving."""
    days = [point.days_since for curve in drawn for point in curve.points if point.craving is not None]
    return max(days, default=0)


CHOICES: dict[str, object] = {
    "templates": [(each, each.replace("_", " ")) for each in Template],
    "weekdays": list(enumerate(WEEKDAYS, start=1)),
    # A discharge has its own form, and gives its own reason.
    "change_reasons": [each for each in ChangeReason if each is not ChangeReason.DISCHARGED],
    "pause_reasons": [each for each in PauseReason if each is not PauseReason.DISCHARGED],
    "discharge_reasons": list(DischargeReason),
    "phases": [each for each in Phase if each is not Phase.DISCHARGED],
    "every_substance": list(Substance),
}


def _summary(view: treatment_page.TreatmentView, desk: Desk) -> list[str]:
    parts = [" and ".join(view.substances)] if view.substances else []
    parts.append(f"{view.course.phase} · course since {sentences.day(view.course.started_on, desk.today)}")
    given = [each for each in view.infusions if each.given_at is not None]
    if given:
        parts.append(f"{len(given)} given")
    upcoming = view.next_planned
    if upcoming is not None:
        parts.append(f"next {_told(upcoming.planned_at, desk)}")
    return parts


def _told(at: datetime, desk: Desk) -> str:
    """An instant on the clinic's clock with its weekday, and its year where that is not this one."""
    local = at.astimezone(desk.view.zone)
    return f"{WEEKDAYS[local.weekday()]} {sentences.day(local.date(), desk.today)} {local:%H:%M}"


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
        more["weekdays"] = [int(each) if each.isdecimal() else each for each in ticked]
    if form.get("booster_count", "").strip() or form.get("template") == Template.BOOSTERS:
        rhythm = {"every_weeks": form.get("booster_every_weeks", ""), "count": form.get("booster_count", "")}
        more["boosters"] = {name: int(text) if text.isdecimal() else text for name, text in rhythm.items()}
    filled = await _filled(
        request, desk, ScheduleForm, replace_rest=form.get("replace_rest") == "yes", **_only_fitting(form, more)
    )
    if filled.template is Template.BOOSTERS:
        filled = msgspec.structs.replace(filled, weeks=None)
    await treatment.make_schedule(desk.db, client_id, schedule_id, filled, by=desk.actor, now=desk.now)
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
    await treatment.plan_infusion(desk.db, client_id, infusion_id, form.planned_at, by=desk.actor, now=desk.now)
    return _back(client_id)


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
    await treatment.move_infusion(desk.db, client_id, infusion_id, form, by=desk.actor, now=desk.now)
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
    """Give a pause another last day; with the box ticked it never was."""
    await desk.require_client(client_id)
    withdrawn = (await form_of(request)).get("withdrawn") == "yes"
    form = EndPauseForm(until_on=None) if withdrawn else await _filled(request, desk, EndPauseForm)
    await treatment.end_pause(desk.db, client_id, pause_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/substances", opt=MANAGE)
async def change_substances(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Treat other substances from a day on."""
    await desk.require_client(client_id)
    ticked = await choices_of(request, "substances")
    primary = (await form_of(request)).get("primary")
    ticked.sort(key=lambda each: each != primary)
    form = await _filled(request, desk, SubstancesForm, substances=ticked)
    await treatment.change_substances(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


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
    form = await _filled(request, desk, DischargeForm)
    await treatment.discharge(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


@post("/clients/{client_id:uuid}/treatment/reopen", opt=MANAGE)
async def reopen(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Let an ended course go on; without a day the discharge is undone."""
    await desk.require_client(client_id)
    form = await _filled(request, desk, ReopenForm)
    await treatment.reopen(desk.db, client_id, form, by=desk.actor, now=desk.now)
    return _back(client_id)


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_treatment,
            make_schedule,
            plan_infusion,
            move_infusion,
            record_infusion,
            begin_pause,
            end_pause,
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
