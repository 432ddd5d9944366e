"""The desk's reading pages: caseload, inbox, a client with the charts."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery

from schemas.client import RecordOrigin
from service.alerting import leases, news, undo
from service.desk import caseload, caseload_filter, inbox, names, sentences
from service.people import access
from service.people.access import Permission, Reach, Scope
from service.web import cursors, desk_page, page_problems
from service.web.charts.sparklines import spark_of
from service.web.dashboard import changes, hidden_words, inbox_live
from service.web.desk_session import Desk, form_of, open_desk
from service.web.pages import HEADERS, go_to, how_long

# As long as the page's field.
MOST_LETTERS = 100


class Asked(NamedTuple):
    """Which of the caseload's lines are asked for, and in which order; empty: all, by need."""

    find: str = ""
    status: str = ""
    whose: str = ""
    sort: str = ""


@get("/caseload", opt={"access": Permission.SEE_CLIENTS})
async def show_caseload(
    desk: NamedDependency[Desk],
    status: FromQuery[str] = "",
    whose: FromQuery[str] = "",
    sort: FromQuery[str] = "",
    found: FromQuery[str] = "",
) -> Response[Any]:
    """Who needs me, and why."""
    find = hidden_words.read(found, desk.services.master, clinic_id=desk.db.clinic_id, staff_id=desk.who.staff_id)
    return await _caseload_page(desk, Asked(find, status, whose, sort))


@post("/caseload", opt={"access": Permission.SEE_CLIENTS})
async def search_caseload(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Those of a name, a status, or on whose care team I am: a form, so that no name stands in an address.

    What is asked for has an address all the same, so that one can come back to it: a name is hidden in it.
    """
    form = await form_of(request)
    told = {name: text for name in ("status", "whose", "sort") if (text := form.get(name, ""))}
    if find := form.get("find", "").strip()[:MOST_LETTERS]:
        staff_id = desk.who.staff_id
        told["found"] = hidden_words.hide(find, desk.services.master, clinic_id=desk.db.clinic_id, staff_id=staff_id)
    return go_to(f"/caseload?{urlencode(told)}" if told else "/caseload")


async def _caseload_page(desk: Desk, asked: Asked) -> Response[Any]:
    read = await caseload.read(desk.db, desk.reach(), now=desk.now)
    await desk.record("caseload.read")
    asked = asked._replace(status=asked.status if asked.status in caseload_filter.STATUSES else "")
    own = await _own_clients(desk) if asked.whose == "mine" else None
    alone = await changes.left_alone(desk, read)
    lines = caseload_filter.of(read.lines, find=asked.find, status=asked.status, own=own, alone=alone)
    if asked.sort == "name":
        lines.sort(key=lambda line: names.in_order(line.client.given_name, line.client.family_name))
    elif asked.sort == "session":
        lines.sort(key=lambda line: (line.next_session_at is None, line.next_session_at or desk.now))
    soon = read.next_session_at
    context = {
        "caseload": read,
        "version": changes.version_of_caseload(read, alone),
        "lines": lines,
        "alone": alone,
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
    seen_of = await news.counts_of_open(desk.db)
    page, version = await inbox_live.read_open(desk)
    by_itself = request.headers.get("hx-request") == "true"
    if by_itself and seen == version:
        return Response(None, status_code=204, headers=dict(HEADERS))
    await desk.record("inbox.read")
    mine = await undo.told_of(desk.db, page.alert_ids, to=desk.who.staff_id, now=desk.now)
    context = {"page": page, "version": version, "just_done": mine, "seen_of": seen_of, **_inbox_words(desk)}
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
    }


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_caseload,
            search_caseload,
            show_inbox,
            show_open_count,
            show_history,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
