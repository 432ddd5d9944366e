"""Findings that become alerts, and what is stored of them."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from schemas.alert import Alert, Channel, EventKind, NewFinding, Rule, Tier
from service.alerting import alerts, deliveries
from service.database import Db
from tests.builders import NOW

TODAY = date(2026, 11, 22)


def a_finding(rule: Rule = Rule.WORSENING, tier: Tier | None = Tier.TODAY, *, day: date = TODAY) -> NewFinding:
    return NewFinding(client_day=day, rule=rule, tier=tier, numbers={"statistic": 4.2})


async def opened(db: Db, client_id: UUID, *found: NewFinding, now: datetime = NOW) -> alerts.AlertChange:
    return await alerts.open_or_join(db, client_id, found, now=now, rule_set_version=1)


async def an_alert(db: Db, client_id: UUID, *found: NewFinding) -> Alert:
    change = await opened(db, client_id, *(found or (a_finding(),)))
    return await alerts.get(db, change.opened[0])


async def kinds(db: Db, alert_id: UUID) -> list[EventKind]:
    return [event.kind for event in await alerts.events_of(db, alert_id)]


async def told(db: Db, alert_id: UUID) -> list[tuple[int, UUID | None]]:
    """Round and person of every e-mail."""
    messages = await deliveries.of_alert(db, alert_id)
    return [(each.round, each.staff_id) for each in messages if each.channel is Channel.EMAIL]
