"""The JSON API for staff: the same use cases as the desk's pages, thin."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from schemas.alert import MOST_SEEN, Finding, NoteForm, ResolveForm, SnoozeForm
from schemas.desk import (
    Acknowledged,
    AlertLine,
    AlertPage,
    CaseloadLine,
    CaseloadReply,
    OpenAlertLine,
    Reason,
    TakenBack,
    TrendReply,
)
from schemas.messaging import DeliveryLine, DeliveryPage
from service import errors
from service.alerting import news
from service.desk import caseload, client_page, inbox, sentences, told
from service.desk.told import Told
from service.errors import FieldFault
from service.people.access import Permission
from service.web import alert_verbs, cursors, strict
from service.web.desk_session import Desk, open_desk

MOST_DAYS = 400
HEADERS = {"Cache-Control": "no-store"}


def made_or_known(first_time: bool) -> int:
    """201 for what was made now, 200 for what the same call made before."""
    return 201 if first_time else 200


def json_reply(value: msgspec.Struct, status: int = 200) -> Response[bytes]:
    """A value as it goes out to a program of the staff, kept by nobody on the way."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json", headers=HEADERS)


@get("/v1/alerts", opt={"access": Permission.SEE_ALERTS, "replies": {200: AlertPage}}, tags=["Staff"])
async def list_alerts(
    desk: NamedDependency[Desk], closed: FromQuery[bool] = False, before: FromQuery[str | None] = None
) -> Response[bytes]:
    """Open alerts, the most urgent first; or closed ones, the newest first, from a cursor on."""
    position = None if before is None else cursors.decode(before, field="before")
    of_open = await news.counts_of_open(desk.db)
    findings_for = desk.reach_or_none(Permission.SEE_ALERT_FINDINGS)
    page = await inbox.read(
        desk.db, desk.reach(), findings_for=findings_for, closed=closed, now=desk.now, before=position
    )
    await desk.record("inbox.read")
    events = await news.counts(desk.db, page.alert_ids) if closed else of_open
    return json_reply(
        AlertPage(
            items=[_line(entry, desk.today, events[entry.row.alert_id]) for entry in page.entries],
            next=cursors.encode(page.next) if page.next else None,
        )
    )


def _line(entry: inbox.Entry, today: date, events: int) -> AlertLine:
    row = entry.row
    return AlertLine(
        alert_id=row.alert_id,
        client_id=row.client_id,
        client=f"{row.given_name} {row.family_name}".strip(),
        tier=row.tier,
        state=row.state,
        origin=row.origin,
        opened_at=row.opened_at,
        acknowledged_by=row.acknowledged_by_name,
        lease_until=row.lease_until,
        closed_at=row.closed_at,
        # What came of it says what it was about.
        outcome=None if entry.findings is None else row.outcome,
        reasons=None if entry.findings is None else [_reason(finding, today) for finding in entry.findings],
        events=events,
    )


def _reason(finding: Finding, today: date) -> Reason:
    return Reason(
        finding_id=finding.finding_id,
        rule=finding.rule,
        client_day=finding.client_day,
        found_at=finding.found_at,
        found_late=finding.found_late,
        rule_set_version=finding.rule_set_version,
        sentence=sentences.of_finding(finding, today),
        numbers=msgspec.Raw(msgspec.json.encode(finding.numbers)),
    )


@get(
    "/v1/alerts/{alert_id:uuid}/deliveries",
    opt={"access": Permission.SEE_ALERTS, "replies": {200: DeliveryPage}},
    tags=["Staff"],
)
async def list_deliveries(desk: NamedDependency[Desk], alert_id: FromPath[UUID]) -> Response[bytes]:
    """Who was told of an alert, on which channel, and what became of each message."""
    client_id = await alert_verbs.reached(desk, alert_id)
    messages = await told.of_alert(desk.db, alert_id)
    await desk.record("alert.read", client_id=client_id, object_id=alert_id)
    return json_reply(DeliveryPage(items=[_delivery_line(each) for each in messages]))


def _delivery_line(message: Told) -> DeliveryLine:
    each = message.delivery
    return DeliveryLine(
        delivery_id=each.delivery_id,
        channel=each.channel,
        to=message.name,
        round=each.round,
        step=each.step,
        state=each.state,
        attempts=each.attempts,
        problem=each.problem,
        due_at=each.due_at,
        settled_at=each.settled_at,
        delivered_at=each.delivered_at,
        opened_at=each.opened_at,
    )


@post(
    "/v1/alerts/{alert_id:uuid}/acknowledge",
    opt={"access": Permission.ACKNOWLEDGE_ALERTS, "replies": {200: Acknowledged}, "problems": (409,)},
    tags=["Staff"],
)
async def acknowledge_alert(
    desk: NamedDependency[Desk],
    alert_id: FromPath[UUID],
    seen: Annotated[int | None, QueryParameter(ge=0, le=MOST_SEEN)] = None,
) -> Response[bytes]:
    """Take an alert on, as a lease; with `seen` not where a reason joined since."""
    client_id = await alert_verbs.reached(desk, alert_id)
    return json_reply(Acknowledged(lease_until=await alert_verbs.acknowledge(desk, client_id, alert_id, seen=seen)))


@post(
    "/v1/alerts/{alert_id:uuid}/note",
    opt={"access": Permission.RESOLVE_ALERTS, "body": NoteForm, "replies": {204: None}},
    tags=["Staff"],
)
async def note_alert(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[None]:
    """Write a note to an alert."""
    client_id = await alert_verbs.reached(desk, alert_id)
    form = strict.decode(await request.body(), NoteForm)
    await alert_verbs.note(desk, client_id, alert_id, form.note, sent_as=form.id, seen=form.seen)
    return Response(None, status_code=204, headers=HEADERS)


@post(
    "/v1/alerts/{alert_id:uuid}/snooze",
    opt={"access": Permission.RESOLVE_ALERTS, "body": SnoozeForm, "replies": {204: None}, "problems": (409,)},
    tags=["Staff"],
)
async def snooze_alert(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[None]:
    """Put an alert off for a reason; then people are told again. Never one of tier 1."""
    client_id = await alert_verbs.reached(desk, alert_id)
    form = strict.decode(await request.body(), SnoozeForm)
    if form.until.tzinfo is None:
        fault = FieldFault("until", "an instant with its offset, such as 2026-11-26T09:30:00Z")
        raise errors.Invalid("The time has no offset.", fields=(fault,))
    await alert_verbs.snooze(desk, client_id, alert_id, form.until, form.reason, seen=form.seen)
    return Response(None, status_code=204, headers=HEADERS)


@post(
    "/v1/alerts/{alert_id:uuid}/undo",
    opt={"access": Permission.ACKNOWLEDGE_ALERTS, "replies": {200: TakenBack}, "problems": (409,)},
    tags=["Staff"],
)
async def undo_alert(desk: NamedDependency[Desk], alert_id: FromPath[UUID]) -> Response[bytes]:
    """Take back what one did oneself in the last minute. After a resolve or a snooze the alert is on one's hands again;
    after an acknowledgement it stands as it stood, and goes on to whoever is next."""
    client_id = await alert_verbs.reached(desk, alert_id)
    return json_reply(TakenBack(lease_until=await alert_verbs.take_back(desk, client_id, alert_id)))


@post(
    "/v1/alerts/{alert_id:uuid}/resolve",
    opt={"access": Permission.RESOLVE_ALERTS, "body": ResolveForm, "replies": {204: None}, "problems": (409,)},
    tags=["Staff"],
)
async def resolve_alert(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[None]:
    """Close an alert with what came of it."""
    client_id = await alert_verbs.reached(desk, alert_id)
    form = strict.decode(await request.body(), ResolveForm)
    await alert_verbs.resolve(desk, client_id, alert_id, form.outcome, form.note, seen=form.seen)
    return Response(None, status_code=204, headers=HEADERS)


@get("/v1/clients", opt={"access": Permission.SEE_CLIENTS, "replies": {200: CaseloadReply}}, tags=["Staff"])
async def list_clients(desk: NamedDependency[Desk]) -> Response[bytes]:
    """Every client this person may see, the most pressing first."""
    read = await caseload.read(desk.db, desk.reach(), now=desk.now)
    await desk.record("caseload.read")
    return json_reply(CaseloadReply(items=[_caseload_line(line) for line in read.lines]))


@get(
    "/v1/clients/{client_id:uuid}",
    opt={"access": Permission.SEE_CLIENTS, "replies": {200: CaseloadLine}},
    tags=["Staff"],
)
async def get_client(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """One client as the caseload gives them."""
    await desk.require_client(client_id)
    line = await caseload.line_of(desk.db, client_id, now=desk.now)
    await desk.record("client.read", client_id=client_id)
    return json_reply(_caseload_line(line))


def _caseload_line(line: caseload.Line) -> CaseloadLine:
    answered, of_days = line.answered
    return CaseloadLine(
        client_id=line.client.client_id,
        given_name=line.client.given_name,
        family_name=line.client.family_name,
        origin=line.client.origin,
        substances=line.client.substances,
        status=line.client.status,
        client_day=line.client.client_day,
        why=line.why,
        needs_somebody=line.needs,
        paused=line.pause is not None,
        craving_now=line.now,
        answered=answered,
        of_days=of_days,
        alerts=[
            OpenAlertLine(alert_id=each.alert_id, tier=each.tier, state=each.state, opened_at=each.opened_at)
            for each in line.alerts
        ],
        next_infusion_at=line.client.next_infusion_at,
        next_session_at=line.client.next_session_at,
    )


@get(
    "/v1/clients/{client_id:uuid}/trend",
    opt={"access": Permission.SEE_CLIENTS, "replies": {200: TrendReply}},
    tags=["Staff"],
)
async def get_trend(
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    days: Annotated[int, QueryParameter(ge=1, le=MOST_DAYS)] = 70,
) -> Response[bytes]:
    """The newest client days of a client's trend."""
    await desk.require_client(client_id)
    await desk.record("client.read_trend", client_id=client_id)
    return json_reply(TrendReply(items=await client_page.trend_of(desk.db, client_id, days=days)))


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            list_alerts,
            list_deliveries,
            acknowledge_alert,
            note_alert,
            resolve_alert,
            snooze_alert,
            undo_alert,
            list_clients,
            get_client,
            get_trend,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
