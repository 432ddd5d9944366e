"""An alert in a clinic whose people stand on the ladder, and who was told."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from schemas.alert import Channel, NewFinding, Rule, Tier
from schemas.staff import Role
from service.alerting import alerts, deliveries
from service.database import Db
from service.people import clients, staff
from tests.builders import NOW, a_client

TODAY = date(2026, 11, 22)


MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


PEOPLE = ("therapist", "nurse", "coordinator", "admin")


async def a_house(db: Db) -> tuple[UUID, dict[UUID, str]]:
    """A client, and the people whom the ladder goes to, by id."""
    client_id, people = await a_client(db), {}
    for name in PEOPLE:
        staff_id = await staff.add(db, email=f"{name}@x.example", name=name, roles=[Role(name)], now=NOW - DAY)
        people[staff_id] = name
        if name in ("therapist", "nurse"):
            await clients.assign(db, client_id, staff_id, Role(name), from_at=NOW - 30 * DAY)
    return client_id, people


async def an_alert(db: Db, client_id: UUID, tier: Tier, *, rule: Rule = Rule.WORSENING) -> UUID:
    finding = NewFinding(client_day=TODAY, rule=rule, tier=tier, numbers={})
    return (await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)).opened[0]


async def told(db: Db, alert_id: UUID, people: dict[UUID, str]) -> list[tuple[int, int, str]]:
    """Round, step and name of every message to a person, each once on each channel."""
    messages = await deliveries.of_alert(db, alert_id)
    return [
        (each.round, each.step, people[each.staff_id])
        for each in messages
        if each.staff_id and each.channel is Channel.EMAIL
    ]
