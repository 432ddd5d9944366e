"""Messages outside the inbox as the API takes and gives them: what became of them, browsers, endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.alert import Channel, DeliveryState
from schemas.staff import PushSubscription


class DeliveryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One message of an alert; `to` is a person's name, or "webhook"."""

    delivery_id: UUID
    channel: Channel
    to: str
    round: int
    step: int
    state: DeliveryState
    attempts: int
    problem: str | None
    due_at: datetime
    settled_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Every message of an alert, in the order in which they were written."""

    items: list[DeliveryLine]


class PushForm(PushSubscription, frozen=True, kw_only=True):
    """A browser's subscription, as `JSON.stringify(subscription)` writes it; fields of others are passed over."""


class PushLine(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that takes one's push messages."""

    subscription_id: UUID
    label: str
    created_at: datetime


class PushReply(msgspec.Struct, frozen=True, kw_only=True):
    """One's own browsers, and the key with which a further one subscribes (`applicationServerKey`)."""

    key: str
    items: list[PushLine]


class ReceiptForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a message held for its receiver to hand back."""

    receipt: Annotated[str, Meta(max_length=200)]


class EndpointForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further endpoint; one `outside` the clinic is told only of clients who consented."""

    url: Annotated[str, Meta(max_length=2_000)]
    outside: bool = False


class OutsideForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether an endpoint belongs to somebody outside the clinic."""

    outside: bool


class EndpointLine(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook endpoint; `previous_until`: so long the secret before this one signs, too; `outside`: it belongs to
    somebody outside the clinic.
    """

    endpoint_id: UUID
    url: str
    created_at: datetime
    previous_until: datetime | None
    disabled_at: datetime | None
    disabled_why: str | None
    outside: bool


class EndpointPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[EndpointLine]


class EndpointSecret(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's secret, told this once."""

    endpoint_id: UUID
    secret: str
