"""What a message says and to whom, read when it is sent: people come and go while messages wait."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from schemas.alert import AlertState, Channel, DeliveryKind, Tier
from service import errors
from service.alerting import alert_states, deliveries, notices
from service.database import Db
from service.notify import Message, Notifier, Template
from service.people import webhook_endpoints
from service.sealing import Sealer

log = logging.getLogger(__name__)

CLOSED = "the alert was closed first"
SUPERSEDED = "a later round tells it again"
NOT_TO_BE_TOLD = "no longer one of those to be told"
ENDPOINT_DISABLED = "the endpoint is disabled"
UNREADABLE = "what signs for the endpoint does not open with this deployment's key"
NOT_NEEDED = "the session was moved, cancelled or given to somebody else, or the person is disabled"


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


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Not to be sent, and why; `somebody_else` is to be told instead."""

    problem: str
    somebody_else: bool = False


async def write(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Message | Blocked:
    """The message as it is now, or why there is none."""
    match claimed.kind:
        case DeliveryKind.ALERT:
            return await _of_alert(db, claimed, sending, now=now)
        case DeliveryKind.BRIEF:
            return await _of_brief(db, claimed, sending, now=now)
        case DeliveryKind.DIGEST | DeliveryKind.AUDIT_HEAD:
            return Blocked(problem=NOT_NEEDED)
        case _:
            assert_never(claimed.kind)


async def _of_alert(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Message | Blocked:
    assert claimed.alert_id is not None
    problem = _overtaken(claimed)
    if problem is not None:
        return Blocked(problem=problem)
    if claimed.webhook_endpoint_id is not None:
        return await _to_endpoint(db, claimed, claimed.webhook_endpoint_id, sending)
    alert = await deliveries.routed(db, claimed.alert_id)
    told = {each.staff_id: each.email for each in await deliveries.recipients_of(db, alert, now=now)}
    if claimed.staff_id is None or claimed.staff_id not in told:
        return Blocked(problem=NOT_TO_BE_TOLD, somebody_else=True)
    return _message(claimed, told[claimed.staff_id], Template.ALERT, link=f"{sending.base_url}/inbox")


def _overtaken(claimed: Claimed) -> str | None:
    if claimed.alert_state in alert_states.CLOSED:
        return CLOSED
    return SUPERSEDED if claimed.round < (claimed.alert_round or 0) else None


async def _to_endpoint(db: Db, claimed: Claimed, endpoint_id: UUID, sending: Sending) -> Message | Blocked:
    endpoint = await webhook_endpoints.get(db, endpoint_id)
    if endpoint.disabled_at is not None:
        return Blocked(problem=ENDPOINT_DISABLED)
    try:
        secret = webhook_endpoints.secret_of(endpoint, sending.master, clinic_id=db.clinic_id)
    except errors.Invalid:
        log.exception("webhook_secret_unreadable", extra={"clinic_id": db.clinic_id, "alert_id": claimed.alert_id})
        return Blocked(problem=UNREADABLE)
    return _message(claimed, endpoint.url, Template.ALERT, link=f"{sending.base_url}/inbox", secret=secret)


async def _of_brief(db: Db, claimed: Claimed, sending: Sending, *, now: datetime) -> Message | Blocked:
    email = await notices.reader_of_brief(db, claimed.staff_id, claimed.subject_id, claimed.planned_at, now=now)
    if email is None:
        return Blocked(problem=NOT_NEEDED)
    # Of the person nothing but the caseload: who it is about stands behind the sign-in.
    return _message(claimed, email, Template.BRIEF, link=f"{sending.base_url}/caseload")


def _message(claimed: Claimed, to: str, template: Template, *, link: str, secret: bytes = b"") -> Message:
    return Message(
        delivery_id=claimed.delivery_id,
        alert_id=claimed.alert_id,
        template=template,
        to=to,
        link=link,
        written_at=claimed.created_at,
        secret=secret,
    )
