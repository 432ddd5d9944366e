"""A client's page: what changed, what is open, the charts, and all that stands beneath them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from schemas.alert import Finding
from schemas.client import RecordOrigin
from schemas.gate import GateLine
from schemas.instrument_response import InstrumentSeries
from service.alerting import leases, news, undo
from service.desk import (
    brief,
    caseload,
    client_page,
    curves,
    gate_words,
    instruments_page,
    reasons,
    sentences,
    therapists,
    told,
)
from service.facts import client_day
from service.gate import read as gates
from service.keys.sealing import Sealer
from service.people import clients
from service.people.access import Permission
from service.web import desk_page, page_problems
from service.web.charts import chart_spec, overlay_spec
from service.web.dashboard import changes
from service.web.dashboard.chart_pages import DEFAULT_SPAN, SPANS
from service.web.desk_session import Desk, open_desk
from service.web.pages import day

DAY = timedelta(days=1)
NO_CHART = client_page.Chart([], {}, [], [], None)

# The days after each infusion, laid over each other, in place of days one after the other.
BY_INFUSION = "infusion"
SPAN_WORDS = {"28": "28 days", "70": "70 days", "all": "all", BY_INFUSION: "by infusion"}


@get("/clients/{client_id:uuid}", opt={"access": Permission.SEE_CLIENTS})
async def show_client(
    desk: NamedDependency[Desk], client_id: FromPath[UUID], days: FromQuery[str | None] = None
) -> Response[Any]:
    """One client: status and reasons, charts, alerts, check-ins."""
    await desk.require_client(client_id)
    span = days if days in (*SPANS, BY_INFUSION) else DEFAULT_SPAN
    seen_of = await news.counts_of_open(desk.db, client_id)
    shown = await _read(desk, client_id, days=SPANS.get(span, SPANS[DEFAULT_SPAN]))
    view, in_short = shown.view, shown.in_short
    await desk.record("client.read", client_id=client_id)
    open_ids = [alert.alert_id for alert, _ in view.open_alerts]
    context = {
        "view": view,
        "version": _version_of(shown),
        "mark": shown.line.mark,
        "alone": await therapists.left_alone(desk.db, [client_id], now=desk.now),
        "may_assign": await desk.reaches(Permission.MANAGE_CLIENTS, client_id),
        "span": span,
        "spans": SPAN_WORDS,
        "overlay": await _overlay(desk, client_id) if span == BY_INFUSION else None,
        "overlay_days": overlay_spec.DAYS,
        "sees_notes": shown.sees_notes,
        "brief": in_short,
        "gate": shown.gate,
        "gate_open": gate_words.still_open,
        "just_done": await undo.told_of(desk.db, open_ids, to=desk.who.staff_id, now=desk.now),
        "seen_of": seen_of,
        "sentence_of": lambda finding: sentences.of_finding(finding, desk.today),
        "dated": lambda day: sentences.day(day, desk.today),
        "between": lambda before, after: sentences.span(before + DAY, after - DAY, desk.today),
        "said_of": lambda found: _said_of(found, desk.today),
        "by_weight": reasons.by_weight,
        "together": told.together,
        "lapsed": lambda alert: leases.lapsed(alert, desk.now),
        "status_sentence": _status_sentence(view, desk.today, in_brief=in_short is not None),
        "treatment": _treatment_line(view, desk),
        "instruments": shown.instruments,
        "is_outside": chart_spec.is_outside,
        "sessions_on": set(view.chart.sessions),
        "infusion_on": dict(view.chart.infusions),
    }
    return await desk_page.show(desk, "client.html", context, here="/caseload")


@get("/clients/{client_id:uuid}/changed", opt={"access": Permission.SEE_CLIENTS})
async def look_at_client(
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    seen: FromQuery[str] = "",
    since: changes.Milliseconds = None,
    told: FromQuery[str] = "",
) -> Response[Any]:
    """Whether the client's page would show anything else than what was seen."""
    await desk.require_client(client_id)
    shown = await _read(desk, client_id, days=1)
    urgent = changes.urgent_since([shown.line], since)
    return changes.answer(desk, changed=_version_of(shown) != seen, told=told, urgent=urgent)


class _Shown(NamedTuple):
    """What stands on a client's page; of the chart what the caseload's line says of it, too."""

    view: client_page.ClientView
    line: caseload.Line
    in_short: brief.InShort | None
    gate: GateLine | None
    instruments: list[InstrumentSeries]
    sees_notes: bool


async def _read(desk: Desk, client_id: UUID, *, days: int) -> _Shown:
    sees_notes = await desk.reaches(Permission.SEE_NOTES, client_id)
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id) if sees_notes else None
    view = await client_page.read(desk.db, client_id, days=days, zone=desk.view.zone, sealer=sealer, now=desk.now)
    return _Shown(
        view,
        await caseload.line_of(desk.db, client_id, now=desk.now),
        await _in_short(desk, view, sealer),
        await _gate(desk, view),
        (await instruments_page.read(desk.db, client_id, now=desk.now)).series,
        sees_notes,
    )


def _version_of(shown: _Shown) -> str:
    """A digest of all of it that does not depend on how many days are drawn; a phone is heard all the time."""
    view = shown.view._replace(chart=NO_CHART, devices=[])
    return changes.digest_of((shown._replace(view=view), bool(shown.view.devices)))


def _said_of(found: Sequence[Finding], today: date) -> list[tuple[UUID, str]]:
    """What an alert rests on in short, each sentence once, with the finding where its numbers stand."""
    said: dict[str, UUID] = {}
    for finding in reasons.in_short(found):
        said.setdefault(sentences.of_finding(finding, today), finding.finding_id)
    return [(finding_id, sentence) for sentence, finding_id in said.items()]


async def _overlay(desk: Desk, client_id: UUID) -> overlay_spec.Overlay:
    return overlay_spec.laid(await curves.of(desk.db, client_id, days=overlay_spec.READ_DAYS))


async def _in_short(desk: Desk, view: client_page.ClientView, sealer: Sealer | None) -> brief.InShort | None:
    """The short brief; an imported history has no appointments that it could be read before."""
    if view.course is None or view.client.origin is RecordOrigin.IMPORT:
        return None
    return await brief.in_short(desk.db, view.client.client_id, sealer=sealer, now=desk.now)


async def _gate(desk: Desk, view: client_page.ClientView) -> GateLine | None:
    """How the gate of the next infusion stands, for whoever may see it."""
    infusion, client_id = view.at_the_gate, view.client.client_id
    if infusion is None or view.discharged or not await desk.reaches(Permission.SEE_GATES, client_id):
        return None
    return (await gates.of_infusion(desk.db, client_id, infusion.infusion_id, now=desk.now)).line()


def _status_sentence(view: client_page.ClientView, today: date, *, in_brief: bool) -> str:
    """Why the client has the status, unless the reason of an open alert says so already, or the brief that it is a
    pause."""
    newest = view.newest
    open_findings = [finding for _, found in view.open_alerts for finding in found]
    if view.pause is not None and not view.discharged:
        return "" if in_brief else sentences.of_pause(view.pause, today)
    if view.discharged or (newest and reasons.explain(newest.status, open_findings)):
        return ""
    return sentences.of_status(
        newest.status if newest else None,
        silent_days=newest.silent_days if newest else None,
        answered_ever=view.answered_ever,
        share_of_limit=sentences.share_of_limit(newest.statistic, newest.limit_value) if newest else None,
    )


def _treatment_line(view: client_page.ClientView, desk: Desk) -> list[str]:
    parts = [" and ".join(view.substances)] if view.substances else []
    if view.course:
        parts.append(view.course.phase)
    given = [each.given_at for each in view.given if each.given_at is not None]
    if given:
        zone = client_day.zone_or_none(view.client.time_zone) or desk.view.zone
        given_on = client_day.of(max(given), zone)
        days = (client_day.of(desk.now, zone) - given_on).days
        parts.append(f"infusion {len(given)} given {sentences.day(given_on, desk.today)}, day {days}")
    if view.next_infusion and not view.discharged:
        parts.append(f"next planned {_day(desk, view.next_infusion.planned_at)}")
    return parts


def _day(desk: Desk, moment: datetime) -> str:
    return day(moment.astimezone(desk.view.zone).date())


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_client, look_at_client],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
