"""Who was told of an alert, and what became of each message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from schemas.alert import Alert, Delivery, DeliveryState
from service.alerting import deliveries, writing
from service.database import Db
from service.people import consents


class Person(msgspec.Struct, frozen=True):
    """A name for an id."""

    staff_id: UUID
    name: str


NAMES = """
select staff_id, name
from staff
where clinic_id = $1
  and staff_id = any ($2::uuid[])
"""


async def names_of(db: Db, staff_ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """The names of some people."""
    wanted = [each for each in staff_ids if each is not None]
    return {person.staff_id: person.name for person in await db.rows(Person, NAMES, db.clinic_id, wanted)}


class Told(NamedTuple):
    """One message: to whom (a person's name, or "webhook") and what became of it."""

    name: str
    delivery: Delivery

    @classmethod
    def of(cls, delivery: Delivery, names: Mapping[UUID, str]) -> Told:
        """A message with the name of its recipient."""
        return cls(names[delivery.staff_id] if delivery.staff_id else "webhook", delivery)

    @property
    def withheld(self) -> bool:
        """Whether it was not to leave the house, because the client has not consented."""
        return self.delivery.state is DeliveryState.BLOCKED and self.delivery.problem == consents.NOT_GIVEN

    @property
    def needless(self) -> bool:
        """Whether it was rightly not sent: nothing failed."""
        return self.delivery.state is DeliveryState.BLOCKED and self.delivery.problem in writing.NEEDLESS


def together(messages: Sequence[Told]) -> list[tuple[list[str], Told]]:
    """Messages that fared the same at the same minute, as one: the names, and one of them."""
    grouped: dict[tuple[object, ...], tuple[list[str], Told]] = {}
    for each in messages:
        one = each.delivery
        at = (one.settled_at or one.due_at).replace(second=0, microsecond=0)
        names, _ = grouped.setdefault((one.channel, one.state, one.problem, at, one.opened_at), ([], each))
        if each.name not in names:
            names.append(each.name)
    return list(grouped.values())


async def of_alert(db: Db, alert_id: UUID) -> list[Told]:
    """Every message of an alert, and to whom."""
    messages = await deliveries.of_alert(db, alert_id)
    names = await names_of(db, (message.staff_id for message in messages))
    return [Told.of(each, names) for each in messages]


class Known(NamedTuple):
    """Of some alerts: the messages of the present or last round, by alert, and the name of whoever has it."""

    told: Mapping[UUID, Sequence[Told]]
    has_it: Mapping[UUID, str]


async def of_alerts(db: Db, alerts: Sequence[Alert]) -> Known:
    """Who was told of these alerts in their newest round, and who has taken them on, in two queries."""
    rounds = {alert.alert_id: alert.round for alert in alerts}
    messages = [
        each for each in await deliveries.of_alerts(db, list(rounds)) if each.round == rounds.get(each.alert_id)
    ]
    people = {message.staff_id for message in messages} | {alert.acknowledged_by for alert in alerts}
    names = await names_of(db, people)
    told: defaultdict[UUID, list[Told]] = defaultdict(list)
    for message in messages:
        told[message.alert_id].append(Told.of(message, names))
    has_it = {each.alert_id: names[each.acknowledged_by] for each in alerts if each.acknowledged_by is not None}
    return Known(told, has_it)
