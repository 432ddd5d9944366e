"""The desk's pages of the gate: a day's infusions, one gate with its forms; no script needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from schemas.course import InfusionState
from schemas.gate import (
    Analyte,
    ChecklistForm,
    Confirmation,
    Decision,
    DecisionForm,
    GateState,
    Presence,
    ScreenForm,
    ScreensReply,
    VitalForm,
)
from service import errors
from service.desk import gate_words, gates, open_alerts
from service.desk.gates import GateView
from service.desk.open_alerts import Waiting
from service.facts import gate_records
from service.gate import assessment
from service.gate.read import Gate
from service.people import access, clients
from service.people.access import Permission
from service.web import desk_page, gate_news, local_times, page_problems, strict
from service.web.api.gate_api import decided, recorded, taken_back
from service.web.dashboard import changes
from service.web.desk_session import Desk, choices_of, form_of, open_desk, typed_number
from service.web.pages import go_to

Caller = Request[Any, Any, Any]
RECORD = {"access": Permission.RECORD_GATES}
# What a person of the clinic may look at before and after today by paging.
ONE_DAY = timedelta(days=1)
SCREENS_SHOWN = 6
GOING_AHEAD = frozenset({GateState.CLEAR, GateState.OVERRIDDEN})
# What people say afterwards: nobody waits for it any more.
OVER = frozenset({InfusionState.GIVEN, InfusionState.MISSED})
# Which infusions went ahead, as a page that asks says it.
Going = FromQuery[list[UUID] | None]


@get("/gates", opt={"access": Permission.SEE_GATES})
async def show_day(desk: NamedDependency[Desk], day: FromQuery[date | None] = None) -> Response[Any]:
    """A day's infusions: may each go ahead, and what is open?"""
    on = local_times.day_of(day, desk.today)
    found, waiting = await _read_day(desk, on)
    for gate in found:
        await desk.record("gate.read", client_id=gate.slot.client_id, object_id=gate.slot.infusion_id)
    context = {
        "version": version_of_day(found, waiting, on, today=desk.today),
        # By its date, also where it is shown as today: what is asked on the next day is still about this one.
        "asks": f"{_going_ahead(found)}&day={on}".lstrip("&"),
        "day_shown": on,
        "is_today": on == desk.today,
        "before": on - ONE_DAY,
        "after": on + ONE_DAY,
        "gates": [(gate, gate.line()) for gate in found],
        "waiting": waiting,
        "words": gate_words,
    }
    return await desk_page.show(desk, "gates.html", context, here="/gates")


@get("/gates/changed", opt={"access": Permission.SEE_GATES})
async def look_at_day(
    desk: NamedDependency[Desk],
    seen: FromQuery[str] = "",
    since: changes.Milliseconds = None,
    day: FromQuery[date | None] = None,
    ahead: Going = None,
    told: FromQuery[str] = "",
) -> Response[Any]:
    """Whether the day's page would show anything else than what was seen, when these were going `ahead`; of one that
    shows it as today, also that its day is over."""
    on = local_times.day_of(day, desk.today)
    found, waiting = await _read_day(desk, on)
    changed = version_of_day(found, waiting, on, today=desk.today) != seen
    urgent = changes.urgent_among([each for alerts in waiting.values() for each in alerts], since)
    return changes.answer(desk, changed=changed, told=told, urgent=urgent, stopped=await _stopped(desk, found, ahead))


async def _read_day(desk: Desk, on: date) -> tuple[list[Gate], Mapping[UUID, Sequence[Waiting]]]:
    """A day's gates, and what else waits of their clients: no record of a gate, and asked about before an infusion."""
    found = await gates.of_day(desk.db, desk.reach(), on, desk.view.zone, now=desk.now)
    client_ids = list({gate.slot.client_id for gate in found if not gate.settled})
    return found, await open_alerts.waiting(desk.db, client_ids, desk.view.zone, now=desk.now)


def version_of_day(found: Sequence[Gate], waiting: Mapping[UUID, Sequence[Waiting]], on: date, *, today: date) -> str:
    """A digest of what a day's page shows, and whether it shows it as today."""
    shown = [(gate.line(), gate.assessment, () if gate.settled else waiting.get(gate.slot.client_id)) for gate in found]
    return changes.digest_of((on, on == today, shown))


def _going_ahead(found: Sequence[Gate]) -> str:
    """Which of them the page says may go ahead, for its question what became of them."""
    return urlencode([("ahead", gate.slot.infusion_id) for gate in found if _goes_ahead(gate)])


def _goes_ahead(gate: Gate) -> bool:
    return gate.standing.state in GOING_AHEAD and gate.slot.state is InfusionState.PLANNED


async def _stopped(desk: Desk, found: Sequence[Gate], going: Sequence[UUID] | None) -> int:
    """How many of those that were `going` ahead may not any more, also because they are not among the day's; none that
    the reader does not look after any more."""
    by_id = {gate.slot.infusion_id: gate for gate in found}
    count = 0
    for infusion_id in set(going or ()):
        gate = by_id.get(infusion_id)
        if gate is None:
            count += await _reached(desk, infusion_id)
        else:
            count += not (_goes_ahead(gate) or gate.slot.state in OVER)
    return count


async def _reached(desk: Desk, infusion_id: UUID) -> bool:
    try:
        await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    except errors.NotFound:
        return False
    return True


@get("/infusions/{infusion_id:uuid}/gate", opt={"access": Permission.SEE_GATES})
async def show_gate(desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """One gate: what is recorded, what is open, who decided what; the forms of whoever may use them."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    shown = await _read(desk, client_id, infusion_id)
    await desk.record("gate.read", client_id=client_id, object_id=infusion_id)
    view, screens, gate = shown.view, shown.screens, shown.view.gate
    context = {
        "version": _version_of(shown, now=desk.now),
        "asks": _going_ahead([gate]),
        "view": view,
        "waiting": shown.waiting,
        "gate": gate,
        "line": gate.line(),
        "screens": screens.items[:SCREENS_SHOWN],
        "abstinence": screens.abstinence,
        "standing": standing_ids(gate),
        "answers_of": assessment.answers_of,
        "panel": screens.items[0].screen.panel if screens.items else list(Analyte)[1:4],
        "may_record": shown.may_record,
        "may_override": shown.may_override,
        "words": gate_words,
        "presences": [each for each in Presence if each is not Presence.NOT_APPLICABLE],
        "confirmations": list(Confirmation),
    }
    return await desk_page.show(desk, "gate.html", context, here="/gates")


@get("/infusions/{infusion_id:uuid}/gate/changed", opt={"access": Permission.SEE_GATES})
async def look_at_gate(
    desk: NamedDependency[Desk],
    infusion_id: FromPath[UUID],
    seen: FromQuery[str] = "",
    since: changes.Milliseconds = None,
    ahead: Going = None,
    told: FromQuery[str] = "",
) -> Response[Any]:
    """Whether the gate's page would show anything else than what was seen; `ahead`: itself, where it might go ahead."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    shown = await _read(desk, client_id, infusion_id)
    stopped = await _stopped(desk, [shown.view.gate], ahead)
    changed, urgent = _version_of(shown, now=desk.now) != seen, changes.urgent_among(shown.waiting, since)
    return changes.answer(desk, changed=changed, told=told, urgent=urgent, stopped=stopped)


class _Shown(NamedTuple):
    """What stands on the page of a gate, and which of its forms the reader may use."""

    view: GateView
    screens: ScreensReply
    waiting: Sequence[Waiting]
    may_record: bool
    may_override: bool


async def _read(desk: Desk, client_id: UUID, infusion_id: UUID) -> _Shown:
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    view = await gates.view_of(desk.db, client_id, infusion_id, sealer=sealer, now=desk.now)
    asked_of = [] if view.gate.settled else [client_id]
    return _Shown(
        view,
        await gates.screens_of(desk.db, client_id, now=desk.now),
        (await open_alerts.waiting(desk.db, asked_of, desk.view.zone, now=desk.now)).get(client_id, ()),
        await desk.reaches(Permission.RECORD_GATES, client_id),
        await desk.reaches(Permission.OVERRIDE_GATES, client_id),
    )


def _version_of(shown: _Shown, *, now: datetime) -> str:
    """A digest of all of it, and of whether the slot's time has passed; who works here besides is nothing of it."""
    gate = shown.view.gate
    screens = shown.screens.items[:SCREENS_SHOWN], shown.screens.abstinence
    return changes.digest_of(
        (shown.view.reply(), gate.assessment, gate.elsewhere, screens, *shown[2:], gate.slot.planned_at < now)
    )


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
        "collected_at": _typed_or_now(form, desk),
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
        "measured_at": _typed_or_now(form, desk),
    }
    return await _record(desk, client_id, infusion_id, body, VitalForm)


@post("/infusions/{infusion_id:uuid}/gate/checklists", opt=RECORD)
async def add_checklist(request: Caller, desk: NamedDependency[Desk], infusion_id: FromPath[UUID]) -> Response[Any]:
    """Record the list of contraindications."""
    client_id = await access.require_infusion(desk.db, desk.reach(), infusion_id, now=desk.now)
    form = await form_of(request)
    body = {name: form[name] for name in gate_words.CONDITIONS if name in form}
    return await _record(desk, client_id, infusion_id, {**body, "checked_at": _typed_or_now(form, desk)}, ChecklistForm)


def _typed_or_now(form: Mapping[str, str], desk: Desk) -> datetime:
    """When it was taken, measured or asked: as typed, and now where nothing was. No page knows that time beforehand: it
    may have stood open since the morning."""
    text = form.get("at", "").strip()
    return local_times.instant_of(text, desk.view.zone, "at") if text else desk.now


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
    known = form["known"].split() if "known" in form else None
    body = {"reason": form.get("reason"), "version": typed_number(form.get("version", "")), "known": known}
    filled = strict.decode(msgspec.json.encode(body), DecisionForm)
    async with gate_news.in_words(desk, client_id, infusion_id, filled):
        await decided(desk, client_id, infusion_id, decision, filled)
    return go_to(f"/infusions/{infusion_id}/gate")


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_day,
            look_at_day,
            show_gate,
            look_at_gate,
            add_screen,
            add_vital,
            add_checklist,
            take_back,
            clear,
            hold,
            release,
            override,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
