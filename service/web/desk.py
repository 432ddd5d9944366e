"""The desk's reading pages: caseload, inbox, a client with the charts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from schemas.client import RecordOrigin
from schemas.treatment import Curve
from service.alerting import leases
from service.desk import caseload, caseload_filter, client_page, curves, inbox, instruments_page, reasons, sentences
from service.facts import client_day
from service.people import access, clients, consents
from service.people.access import Permission, Reach, Scope
from service.web import chart_spec, cursors, desk_page, inbox_live, overlay_spec, page_problems
from service.web.chart_pages import DEFAULT_SPAN, SPANS
from service.web.desk_session import Desk, form_of, open_desk
from service.web.pages import HEADERS, day, how_long
from service.web.sparklines import spark_of

# The days after each infusion, laid over each other, in place of days one after the other.
BY_INFUSION = "infusion"
SPAN_WORDS = {"28": "28 days", "70": "70 days", "all": "all", BY_INFUSION: "by infusion"}


class Asked(NamedTuple):
    """Which of the caseload's lines are asked for, and in which order; empty: all, by need."""

    find: str = ""
    status: str = ""
    whose: str = ""
    sort: str = ""


@get("/caseload", opt={"access": Permission.SEE_CLIENTS})
async def show_caseload(
    desk: NamedDependency[Desk], status: FromQuery[str] = "", whose: FromQuery[str] = "", sort: FromQuery[str] = ""
) -> Response[Any]:
    """Who needs me, and why."""
    return await _caseload_page(desk, Asked(status=status, whose=whose, sort=sort))


@post("/caseload", opt={"access": Permission.SEE_CLIENTS}, status_code=200)
async def search_caseload(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Those of a name, a status, or on whose care team I am: a form, so that no name stands in an address."""
    form = await form_of(request)
    return await _caseload_page(desk, Asked(*(form.get(name, "") for name in Asked._fields)))


async def _caseload_page(desk: Desk, asked: Asked) -> Response[Any]:
    read = await caseload.read(desk.db, desk.reach(), now=desk.now)
    await desk.record("caseload.read")
    asked = asked._replace(status=asked.status if asked.status in caseload_filter.STATUSES else "")
    own = await _own_clients(desk) if asked.whose == "mine" else None
    lines = caseload_filter.of(read.lines, find=asked.find, status=asked.status, own=own)
    if asked.sort == "name":
        lines.sort(key=lambda line: (line.client.family_name, line.client.given_name))
    elif asked.sort == "session":
        lines.sort(key=lambda line: (line.next_session_at is None, line.next_session_at or desk.now))
    soon = read.next_session_at
    context = {
        "caseload": read,
        "lines": lines,
        "asked": asked,
        "statuses": caseload_filter.STATUSES,
        "of_others": desk.reach().clinic,
        "next_session_in": how_long(soon - desk.now) if soon else None,
        "spark_of": spark_of,
        "treatment_of": treatment_of,
    }
    return await desk_page.show(desk, "caseload.html", context, here="/caseload")


async def _own_clients(desk: Desk) -> list[UUID]:
    """On whose care team the person is, or whom they cover, whatever else they may see."""
    own = Reach(staff_id=desk.who.staff_id, scopes=frozenset({Scope.CARE_TEAM}))
    return await access.visible_clients(desk.db, own, now=desk.now)


def treatment_of(line: caseload.Line) -> str:
    """Where the treatment stands: "Infusion 5 · day 3", "first infusion 2 Dec", "none booked"."""
    client = line.client
    if client.origin is RecordOrigin.IMPORT:
        return "imported"
    if client.discharged:
        return "discharged"
    if line.days_since_infusion is None:
        return "before the first infusion" if client.next_infusion_at else "no infusion yet"
    return f"Infusion {client.infusions_given} · day {line.days_since_infusion}"


@get("/inbox", opt={"access": Permission.SEE_ALERTS})
async def show_inbox(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    seen: FromQuery[str | None] = None,
) -> Response[Any]:
    """What is open, the most urgent first; refreshes itself, and answers 204 while nothing changed."""
    page, version = await inbox_live.read_open(desk)
    by_itself = request.headers.get("hx-request") == "true"
    if by_itself and seen == version:
        return Response(None, status_code=204, headers=dict(HEADERS))
    await desk.record("inbox.read")
    context = {"page": page, "version": version, **_inbox_words(desk)}
    if by_itself:
        frame = await desk_page.frame_of(desk, "/inbox")
        return desk.services.pages.show("inbox_open.html", {**frame, **context})
    return await desk_page.show(desk, "inbox.html", context, here="/inbox")


@get("/inbox/count", opt={"access": Permission.SEE_ALERTS})
async def show_open_count(desk: NamedDependency[Desk]) -> Response[Any]:
    """How many are open, for the navigation of every page."""
    return desk.services.pages.show("open_count.html", await desk_page.frame_of(desk, "/inbox"))


@get("/inbox/history", opt={"access": Permission.SEE_ALERTS})
async def show_history(desk: NamedDependency[Desk], before: FromQuery[str | None] = None) -> Response[Any]:
    """What is closed, the newest first."""
    position = None if before is None else cursors.decode(before, field="before")
    findings_for = desk.reach_or_none(Permission.SEE_ALERT_FINDINGS)
    page = await inbox.read(
        desk.db, desk.reach(), findings_for=findings_for, closed=True, now=desk.now, before=position
    )
    await desk.record("inbox.read_history")
    older = None if page.next is None else cursors.encode(page.next)
    context = {"page": page, "older": older, **_inbox_words(desk)}
    return await desk_page.show(desk, "history.html", context, here="/inbox")


def _inbox_words(desk: Desk) -> dict[str, object]:
    return {
        "lapsed": lambda row: leases.lapsed(row, desk.now),
        "sentence_of": lambda finding: sentences.of_finding(finding, desk.today),
        "ago": lambda at: how_long(desk.now - at),
    }


@get("/clients/{client_id:uuid}", opt={"access": Permission.SEE_CLIENTS})
async def show_client(
    desk: NamedDependency[Desk], client_id: FromPath[UUID], days: FromQuery[str | None] = None
) -> Response[Any]:
    """One client: status and reasons, charts, alerts, check-ins."""
    await desk.require_client(client_id)
    span = days if days in (*SPANS, BY_INFUSION) else DEFAULT_SPAN
    sees_notes = await desk.reaches(Permission.SEE_NOTES, client_id)
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id) if sees_notes else None
    view = await client_page.read(
        desk.db, client_id, days=SPANS.get(span, SPANS[DEFAULT_SPAN]), zone=desk.view.zone, sealer=sealer, now=desk.now
    )
    await desk.record("client.read", client_id=client_id)
    context = {
        "view": view,
        "span": span,
        "spans": SPAN_WORDS,
        "overlaid": await _overlaid(desk, client_id) if span == BY_INFUSION else [],
        "sees_notes": sees_notes,
        "sentence_of": lambda finding: sentences.of_finding(finding, desk.today),
        "dated": lambda day: sentences.day(day, desk.today),
        "in_short": reasons.in_short,
        "by_weight": reasons.by_weight,
        "lapsed": lambda alert: leases.lapsed(alert, desk.now),
        "status_sentence": _status_sentence(view, desk.today),
        "treatment": _treatment_line(view, desk),
        "instruments": (await instruments_page.read(desk.db, client_id, now=desk.now)).series,
        "is_outside": chart_spec.is_outside,
        "sessions_on": set(view.chart.sessions),
        "infusion_on": dict(view.chart.infusions),
        "gate_of_next": await _gate_of_next(desk, view),
        **await _consents(desk, client_id),
    }
    return await desk_page.show(desk, "client.html", context, here="/caseload")


async def _overlaid(desk: Desk, client_id: UUID) -> list[Curve]:
    drawn = await curves.of(desk.db, client_id, days=overlay_spec.DAYS)
    return drawn[-overlay_spec.MOST_INFUSIONS :]


async def _consents(desk: Desk, client_id: UUID) -> dict[str, object]:
    """What the client said about recipients outside the clinic, for whoever may read it; and whether they record it."""
    sees = await desk.reaches(Permission.SEE_CONSENTS, client_id)
    return {
        "consents": await consents.history(desk.db, client_id) if sees else None,
        "records_consents": await desk.reaches(Permission.RECORD_CONSENTS, client_id),
    }


async def _gate_of_next(desk: Desk, view: client_page.ClientView) -> UUID | None:
    """The infusion whose gate is next, for whoever may see it."""
    if view.next_infusion is None or not await desk.reaches(Permission.SEE_GATES, view.client.client_id):
        return None
    return view.next_infusion.infusion_id


def _status_sentence(view: client_page.ClientView, today: date) -> str:
    """Why the client has the status, unless the reason of an open alert says so already."""
    newest = view.newest
    open_findings = [finding for _, found in view.open_alerts for finding in found]
    if view.pause is not None and not view.discharged:
        return sentences.of_pause(view.pause, today)
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
        route_handlers=[
            show_caseload,
            search_caseload,
            show_inbox,
            show_open_count,
            show_history,
            show_client,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
