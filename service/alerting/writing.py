"""What a message says and to whom, read when it is sent: people come and go while messages wait."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import assert_never
from uuid import UUID

import msgspec

from schemas.alert import AlertState, Channel, DeliveryKind, EventKind, Tier
from service import errors
from service.alerting import alert_states, deliveries, digests, endpoints, notices, receipts
from service.database import Db
from service.keys.sealing import Sealer
from service.notify import Attachment, Counts, Event, Message, Notifier, Template
from service.people import clients, consents, staff, staff_addresses, webhook_endpoints

log = logging.getLogger(__name__)

CLOSED = "the alert was closed first"
PUT_OFF = "it had been put off first"
SUPERSEDED = "a later round tells it again"
NOT_TO_BE_TOLD = "no longer one of those to be told"
ENDPOINT_DISABLED = "the endpoint is disabled"
UNREADABLE = "what was sealed for this address does not open with this deployment's key"
NEEDLESS = frozenset({CLOSED, deliveries.TAKEN_ON, PUT_OFF, SUPERSEDED, NOT_TO_BE_TOLD})
"""Why a message is rightly not sent: nothing failed."""
NOTHING_SEALED = "nothing of the audit trail is sealed yet"
NO_ADDRESS = "the person has no address there any more"
# What can begin a round, and what a machine is told then.
EVENTS: Mapping[EventKind, Event] = MappingProxyType(
    {
        EventKind.OPENED: Event.OPENED,
        EventKind.RAISED: Event.RAISED,
        EventKind.REOPENED: Event.REOPENED,
        EventKind.LEASE_LAPSED: Event.LAPSED,
        EventKind.SNOOZE_ENDED: Event.REOPENED,
        EventKind.UNTAKEN: Event.REOPENED,
    }
)


@dataclass(frozen=True)
class Sending:
    """What sending needs beside the database."""

    notifiers: Mapping[Channel, Notifier]
    master: Sealer
    base_url: str


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A message under our lease, with what its alert says now; what is about no alert has none of that."""

    delivery_id: UUID
    kind: DeliveryKind
    alert_id: UUID | None
    client_id: UUID | None
    channel: Channel
    staff_id: UUID | None
    webhook_endpoint_id: UUID | None
    subject_id: UUID | None
    planned_at: datetime | None
    round: int
    step: int
    attempts: int
    created_at: datetime
    alert_tier: Tier | None
    alert_state: AlertState | None
    alert_round: int | None
    held: bool


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Not to be sent, and why; `somebody_else` is to be told instead, or the person on their `next_channel`."""

    problem: str
    somebody_else: bool = False
    next_channel: bool = False


async def write(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Sequence[Message] | Blocked:
    """The message as it is now, once for each address it goes to, or why there is none."""
    match claimed.kind:
        case DeliveryKind.ALERT:
            return await _of_alert(db, claimed, sending, now=now)
        case DeliveryKind.BRIEF:
            return await _of_brief(db, claimed, sending, now=now)
        case DeliveryKind.COURSE:
            return await _of_course(db, claimed, sending, now=now)
        case DeliveryKind.ENDPOINT:
            return await _of_endpoint(db, claimed, sending)
        case DeliveryKind.DIGEST:
            return await _of_digest(db, claimed, sending, now=now)
        case DeliveryKind.AUDIT_HEAD:
            return await _of_head(db, claimed, sending)
        case _:
            assert_never(claimed.kind)


async def _of_alert(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Sequence[Message] | Blocked:
    assert claimed.alert_id is not None
    problem = _overtaken(claimed)
    if problem is not None:
        return Blocked(problem=problem)
    event = await _event_of(db, claimed)
    if claimed.webhook_endpoint_id is not None:
        return await _to_endpoint(db, claimed, claimed.webhook_endpoint_id, event, sending, now=now)
    alert = await deliveries.routed(db, claimed.alert_id)
    told = {each.staff_id for each in await deliveries.recipients_of(db, alert, now=now)}
    if claimed.staff_id is None or claimed.staff_id not in told:
        return Blocked(problem=NOT_TO_BE_TOLD, somebody_else=True)
    first_of_it = event in (Event.OPENED, Event.ESCALATED)
    return await _to_person(db, claimed, sending, Template.ALERT if first_of_it else Template.ALERT_AGAIN)


def _overtaken(claimed: Claimed) -> str | None:
    if claimed.alert_state in alert_states.CLOSED:
        return CLOSED
    # What they let lapse begins another round, which tells people again.
    if claimed.alert_state is AlertState.ACKNOWLEDGED:
        return deliveries.TAKEN_ON
    if claimed.alert_state is AlertState.SNOOZED:
        return PUT_OFF
    return SUPERSEDED if claimed.round < (claimed.alert_round or 0) else None


# What began the round: the newest such event when the message was written.
BEGAN_BY = """
select kind
from alert_event
where clinic_id = $1
  and alert_id = $2
  and kind = any ($3::text[])
  and happened_at <= $4
order by alert_event_id desc
limit 1
"""


async def _event_of(db: Db, claimed: Claimed) -> Event:
    if claimed.step:
        return Event.ESCALATED
    began_by = await db.value(BEGAN_BY, db.clinic_id, claimed.alert_id, list(EVENTS), claimed.created_at)
    return EVENTS[EventKind(str(began_by))] if began_by is not None else Event.OPENED


async def _to_endpoint(
    db: Db, claimed: Claimed, endpoint_id: UUID, event: Event, sending: Sending, *, now: datetime
) -> Sequence[Message] | Blocked:
    endpoint = await webhook_endpoints.get(db, endpoint_id)
    if endpoint.disabled_at is not None:
        return Blocked(problem=ENDPOINT_DISABLED)
    if endpoint.outside and (claimed.client_id is None or not await consents.given_now(db, claimed.client_id)):
        return Blocked(problem=consents.NOT_GIVEN)
    try:
        signing = webhook_endpoints.secrets_of(endpoint, sending.master, clinic_id=db.clinic_id, now=now)
    except errors.Invalid:
        log.exception("webhook_secret_unreadable", extra={"clinic_id": db.clinic_id, "alert_id": claimed.alert_id})
        return Blocked(problem=UNREADABLE)
    message = Message(
        delivery_id=claimed.delivery_id,
        alert_id=claimed.alert_id,
        event=event,
        to=endpoint.url,
        link=f"{sending.base_url}/inbox",
        receipt=receipts.receipt_of(sending.master, db.clinic_id, claimed.delivery_id),
        written_at=claimed.created_at,
        secrets=signing,
        outside=endpoint.outside,
    )
    return [message]


async def _of_brief(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Sequence[Message] | Blocked:
    if not await notices.brief_is_due(db, claimed.staff_id, claimed.subject_id, claimed.planned_at, now=now):
        return Blocked(problem=notices.NOT_NEEDED)
    return await _to_person(db, claimed, sending, Template.BRIEF)


async def _of_course(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Sequence[Message] | Blocked:
    assert claimed.subject_id is not None
    team = await clients.care_team_of(db, claimed.subject_id, now=now)
    if claimed.staff_id not in {each.staff_id for each in team}:
        return Blocked(problem=NOT_TO_BE_TOLD)
    return await _to_person(db, claimed, sending, Template.COURSE)


async def _of_endpoint(db: Db, claimed: Claimed, sending: Sending) -> Sequence[Message] | Blocked:
    if not await endpoints.is_news(db, claimed.subject_id, claimed.staff_id, disabled_at=claimed.planned_at):
        return Blocked(problem=NOT_TO_BE_TOLD)
    return await _to_person(db, claimed, sending, Template.ENDPOINT)


async def _of_digest(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Sequence[Message] | Blocked:
    assert claimed.staff_id is not None
    counts = await digests.counts_for(db, claimed.staff_id, at=claimed.created_at, now=now)
    template = Template.ALL_QUIET if counts.all_quiet else Template.DIGEST
    return await _to_person(db, claimed, sending, template, counts=counts)


async def _of_head(db: Db, claimed: Claimed, sending: Sending) -> Sequence[Message] | Blocked:
    attachment = await digests.head_file(db, sending.master, morning=claimed.planned_at or claimed.created_at)
    if attachment is None:
        return Blocked(problem=NOTHING_SEALED)
    return await _to_person(db, claimed, sending, Template.AUDIT_HEAD, attachment=attachment)


async def _to_person(
    db: Db,
    claimed: Claimed,
    sending: Sending,
    template: Template,
    *,
    counts: Counts | None = None,
    attachment: Attachment | None = None,
) -> Sequence[Message] | Blocked:
    """One message for each address that the person has on the channel; blocked where there is none any more."""
    assert claimed.staff_id is not None
    person = await staff.get(db, claimed.staff_id)
    if person.disabled_at is not None:
        return Blocked(problem=NOT_TO_BE_TOLD, somebody_else=True)
    addresses: Sequence[tuple[UUID | None, str]] = [(None, person.email)]
    if claimed.channel is not Channel.EMAIL:
        try:
            addresses = await staff_addresses.opened(db, sending.master, claimed.staff_id, claimed.channel)
        except errors.Invalid:
            log.exception("staff_address_unreadable", extra={"clinic_id": db.clinic_id, "staff_id": claimed.staff_id})
            return Blocked(problem=UNREADABLE, next_channel=True)
    if not addresses:
        return Blocked(problem=NO_ADDRESS, next_channel=True)
    return [
        Message(
            delivery_id=claimed.delivery_id,
            alert_id=claimed.alert_id,
            template=template,
            language=person.language,
            counts=counts,
            attachment=attachment,
            address_id=address_id,
            to=to,
            # The message's own id, so that what it leads to stands behind the sign-in.
            link=f"{sending.base_url}/messages/{claimed.delivery_id}",
            receipt=receipts.receipt_of(sending.master, db.clinic_id, claimed.delivery_id),
            written_at=claimed.created_at,
        )
        for address_id, to in addresses
    ]
