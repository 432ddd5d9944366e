"""A client's treatment on a page: course, plan and infusions, with a form for everything staff do to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.course import ChangeReason, DischargeReason, PauseReason, Phase, Substance, Template
from schemas.treatment import (
    Curve,
)
from service import ids
from service.desk import curves, sentences, treatment_log, treatment_page
from service.facts import gate_holds
from service.people.access import Permission
from service.web import desk_page, page_problems
from service.web.dashboard.treatment_forms import treated_fields
from service.web.desk_session import Desk, open_desk
from service.web.forms import as_shown
from service.web.pages import WEEKDAYS

SHOWN_CURVES = 5
CURVE_DAYS = 7
LOG_LINES = 60


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
        "left_on_hold": await gate_holds.left_by_plan(desk.db, client_id),
        "curves": drawn,
        "by_day": [{point.days_since: point for point in curve.points} for curve in drawn],
        "most_curve_days": CURVE_DAYS,
        "curve_days": range(_last_craving(drawn) + 1),
        "log": treatment_log.of(view, zone=desk.view.zone, today=desk.today)[:LOG_LINES],
        "record_of": treatment_log.record_of,
        "local": lambda at: f"{at.astimezone(desk.view.zone):%Y-%m-%dT%H:%M}",
        "told": lambda at: _told(at, desk),
        "yesterday": view.day - timedelta(days=1),
        "fresh_id": ids.new(),
        "substances_shown": as_shown.marks_of(treated_fields(view.substances)),
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
    "pause_reasons": [
        each for each in PauseReason if each not in (PauseReason.DISCHARGED, PauseReason.LEFT_MONITORING)
    ],
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


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_treatment,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
