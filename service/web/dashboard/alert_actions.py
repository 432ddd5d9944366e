"""An alert's page and what people do there: acknowledge, note, resolve. Plain forms, no script needed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.alert import AlertState, Outcome, Tier
from service import errors, ids
from service.alerting import alerts, leases, undo
from service.desk import inbox, reasons, sentences
from service.people import clients
from service.people.access import Permission
from service.web import alert_verbs, desk_page, local_times, page_problems
from service.web.desk_session import Desk, form_of, open_desk, sent_id, typed_number
from service.web.pages import go_to, local_path

OUTCOMES = {
    Outcome.CALLED: "Called the client",
    Outcome.SESSION_MOVED: "Moved a session",
    Outcome.SAFETY_PLAN: "Went through the safety plan",
    Outcome.INFUSION_REVIEWED: "Reviewed the infusion plan",
    Outcome.NEW_USUAL: "This is the new usual",
    Outcome.NO_ACTION_NEEDED: "No action needed",
    Outcome.FALSE_ALARM: "False alarm",
}
# As long as an acknowledgement holds, see `leases`.
LEASE_WORDS = {
    Tier.URGENT: "for 30 minutes",
    Tier.TODAY: "to the end of the next clinic day",
    Tier.REVIEW: "for 7 days",
}


@get("/alerts/{alert_id:uuid}", opt={"access": Permission.SEE_ALERTS})
async def show_alert(desk: NamedDependency[Desk], alert_id: FromPath[UUID]) -> Response[Any]:
    """Why it fired, who was told, what happened since."""
    client_id = await alert_verbs.reached(desk, alert_id)
    sees_findings = await desk.reaches(Permission.SEE_ALERT_FINDINGS, client_id)
    sees_notes = await desk.reaches(Permission.SEE_NOTES, client_id)
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id) if sees_notes else None
    view = await inbox.view_of(desk.db, alert_id, sealer=sealer)
    await desk.record("alert.read", client_id=client_id, object_id=alert_id)
    told = {finding.finding_id: sentences.of_finding(finding, desk.today) for finding in view.findings}
    context = {
        "view": view,
        "seen": len(view.events),
        "fresh_id": ids.new(),
        "alert": view.alert,
        "is_open": view.alert.closed_at is None,
        "sees_findings": sees_findings,
        "sees_notes": sees_notes,
        "sees_client": await desk.reaches(Permission.SEE_CLIENTS, client_id),
        "may_resolve": await desk.reaches(Permission.RESOLVE_ALERTS, client_id),
        "outcomes": _outcomes_for(view),
        "lapsed": leases.lapsed(view.alert, desk.now),
        "may_snooze": view.alert.tier is not Tier.URGENT and view.alert.state is not AlertState.SNOOZED,
        "tomorrow": local_times.typed(desk.now + timedelta(days=1), desk.view.zone),
        "open_beside": await undo.open_beside(desk.db, alert_id) if view.alert.state is AlertState.RESOLVED else None,
        "just_done": (await undo.told_of(desk.db, [alert_id], to=desk.who.staff_id, now=desk.now)).get(alert_id),
        "lease_words": LEASE_WORDS[view.alert.tier],
        "standing": reasons.by_weight(view.findings),
        "withdrawn": reasons.withdrawn(view.findings),
        "settled": any(reasons.is_settled(each) for each in reasons.withdrawn(view.findings)),
        "is_settled": reasons.is_settled,
        "sentence_of": lambda finding: told[finding.finding_id],
        # What joined an alert is as much a reason as the rest of it.
        "joined": lambda event: told.get(event.finding_id) if sees_findings else None,
        "dated": lambda day: sentences.day(day, desk.today),
        "evidence_of": sentences.evidence_of,
        "changes_of": sentences.changes_of,
        "precision_of": lambda finding: sentences.precision_of(finding, desk.today),
    }
    return await desk_page.show(desk, "alert.html", context, here="/inbox")


def _outcomes_for(view: inbox.AlertView) -> dict[Outcome, str]:
    offered = alerts.offers_new_usual(view.findings)
    return {each: said for each, said in OUTCOMES.items() if offered or each is not Outcome.NEW_USUAL}


@post("/alerts/{alert_id:uuid}/acknowledge", opt={"access": Permission.ACKNOWLEDGE_ALERTS})
async def acknowledge(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[Any]:
    """Take it on."""
    client_id = await alert_verbs.reached(desk, alert_id)
    form = await form_of(request)
    await alert_verbs.acknowledge(desk, client_id, alert_id, seen=_seen_of(form))
    return go_to(local_path(form.get("next"), f"/alerts/{alert_id}"))


def _seen_of(form: dict[str, str]) -> int | None:
    """Of how many events of the alert the page told on which the form stood; None where it does not say."""
    number = typed_number(form.get("seen", ""))
    return number if isinstance(number, int) else None


@post("/alerts/{alert_id:uuid}/note", opt={"access": Permission.RESOLVE_ALERTS})
async def note(request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]) -> Response[Any]:
    """Write down what was done or seen."""
    client_id = await alert_verbs.reached(desk, alert_id)
    form = await form_of(request)
    text, seen = form.get("note", ""), _seen_of(form)
    await alert_verbs.note(desk, client_id, alert_id, text, sent_as=sent_id(form), seen=seen)
    return go_to(f"/alerts/{alert_id}")


@post("/alerts/{alert_id:uuid}/snooze", opt={"access": Permission.RESOLVE_ALERTS})
async def snooze(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[Any]:
    """Put it off for a reason."""
    client_id = await alert_verbs.reached(desk, alert_id)
    form = await form_of(request)
    until = local_times.instant_of(form.get("until", ""), desk.view.zone, "until")
    await alert_verbs.snooze(desk, client_id, alert_id, until, form.get("reason", ""), seen=_seen_of(form))
    return go_to(f"/alerts/{alert_id}")


@post("/alerts/{alert_id:uuid}/resolve", opt={"access": Permission.RESOLVE_ALERTS})
async def resolve(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[Any]:
    """Close it with what came of it."""
    client_id = await alert_verbs.reached(desk, alert_id)
    form = await form_of(request)
    outcome = next((each for each in Outcome if each == form.get("outcome")), None)
    if outcome is None:
        raise errors.Invalid("Say what came of it.", fields=(errors.FieldFault("outcome", "choose one"),))
    text = form.get("note", "").strip() or None
    await alert_verbs.resolve(desk, client_id, alert_id, outcome, text, sent_as=sent_id(form), seen=_seen_of(form))
    return go_to(f"/alerts/{alert_id}")


@post("/alerts/{alert_id:uuid}/undo", opt={"access": Permission.ACKNOWLEDGE_ALERTS})
async def take_back(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[Any]:
    """Take back what one did by mistake a moment ago."""
    client_id = await alert_verbs.reached(desk, alert_id)
    await alert_verbs.take_back(desk, client_id, alert_id)
    return go_to(local_path((await form_of(request)).get("next"), f"/alerts/{alert_id}"))


@post("/alerts/{alert_id:uuid}/open-again", opt={"access": Permission.RESOLVE_ALERTS})
async def open_again(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], alert_id: FromPath[UUID]
) -> Response[Any]:
    """Have on hand again what was resolved by mistake."""
    client_id = await alert_verbs.reached(desk, alert_id)
    why = (await form_of(request)).get("note", "").strip() or None
    await alert_verbs.open_again(desk, client_id, alert_id, why)
    return go_to(f"/alerts/{alert_id}")


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_alert, acknowledge, note, snooze, resolve, take_back, open_again],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
