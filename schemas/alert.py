"""Findings, the alerts that group them, and the deliveries that carry them to people."""

from __future__ import annotations

from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.client import RecordOrigin


class Tier(IntEnum):
    URGENT = 1
    TODAY = 2
    REVIEW = 3

    @property
    def word(self) -> str:
        """What it asks for, in the word that stands for it wherever staff read of it: "urgent"."""
        return self.name.lower()


class Rule(StrEnum):
    """What can fire for a client day, a check-in or a response to an instrument."""

    SAFETY = "safety"
    OPIOID_USE = "opioid_use"
    OTHER_USE = "other_use"
    INSTRUMENT_SAFETY = "instrument_safety"
    WORSENING = "worsening"
    WANING = "waning"
    SILENCE_AFTER_INFUSION = "silence_after_infusion"
    SILENCE = "silence"
    LEARNING = "learning"
    IMPROVING = "improving"
    GATE_PENDING = "gate_pending"
    UNCOVERED_WINDOW = "uncovered_window"
    GIVEN_NOT_CLEAR = "given_not_clear"


class AlertState(StrEnum):
    OPEN = "open"
    DISPATCHED = "dispatched"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    AUTO_RESOLVED = "auto_resolved"


class Outcome(StrEnum):
    CALLED = "called"
    SESSION_MOVED = "session_moved"
    SAFETY_PLAN = "safety_plan"
    INFUSION_REVIEWED = "infusion_reviewed"
    NEW_USUAL = "new_usual"
    NO_ACTION_NEEDED = "no_action_needed"
    FALSE_ALARM = "false_alarm"


class EventKind(StrEnum):
    OPENED = "opened"
    JOINED = "joined"
    RAISED = "raised"
    DISPATCHED = "dispatched"
    ACKNOWLEDGED = "acknowledged"
    NOTED = "noted"
    SNOOZED = "snoozed"
    SNOOZE_ENDED = "snooze_ended"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    AUTO_RESOLVED = "auto_resolved"
    UNDONE = "undone"
    GIVEN_BACK = "given_back"
    REOPENED = "reopened"
    LEASE_LAPSED = "lease_lapsed"
    UNTAKEN = "untaken"
    RECALCULATED = "recalculated"
    UNROUTABLE = "unroutable"


class Channel(StrEnum):
    EMAIL = "email"
    WEBHOOK = "webhook"
    PUSH = "push"


class DeliveryKind(StrEnum):
    """What a message is: of an alert, or about none."""

    ALERT = "alert"
    BRIEF = "brief"
    COURSE = "course"
    ENDPOINT = "endpoint"
    DIGEST = "digest"
    AUDIT_HEAD = "audit_head"


class DeliveryState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    OPENED = "opened"
    FAILED = "failed"
    DEAD = "dead"
    BLOCKED = "blocked"


class NewFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that fired, before it is stored; tier None alerts nobody.

    `numbers` hold what it rests on, enough to replay it.
    """

    client_day: date
    rule: Rule
    tier: Tier | None
    numbers: dict[str, object]
    check_in_id: UUID | None = None
    instrument_response_id: UUID | None = None
    infusion_id: UUID | None = None
    found_late: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when a rule fired; one with `withdrawn_at` is no longer found and gives no reason any more."""

    finding_id: UUID
    client_id: UUID
    client_day: date
    rule: Rule
    tier: Tier | None
    check_in_id: UUID | None
    instrument_response_id: UUID | None
    alert_id: UUID | None
    found_at: datetime
    found_late: bool
    origin: RecordOrigin
    numbers: dict[str, object]
    rule_set_version: int
    withdrawn_at: datetime | None = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    alert_id: UUID
    client_id: UUID
    tier: Tier
    state: AlertState
    origin: RecordOrigin
    opened_at: datetime
    round: int
    acknowledged_by: UUID | None
    acknowledged_at: datetime | None
    lease_until: datetime | None
    snoozed_until: datetime | None
    recalculated_at: datetime | None
    closed_at: datetime | None
    outcome: Outcome | None


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    alert_event_id: UUID
    kind: EventKind
    staff_id: UUID | None
    finding_id: UUID | None
    detail: dict[str, object]
    note_sealed: bytes | None
    happened_at: datetime


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    delivery_id: UUID
    alert_id: UUID
    channel: Channel
    staff_id: UUID | None
    webhook_endpoint_id: UUID | None
    round: int
    step: int
    state: DeliveryState
    due_at: datetime
    attempts: int
    problem: str | None
    settled_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None


MOST_SEEN = 1_000_000


class NoteForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note; sent again under the same `id` it is written down once."""

    note: Annotated[str, Meta(min_length=1, max_length=4_000)]
    id: UUID | None = None
    seen: Annotated[int, Meta(ge=0, le=MOST_SEEN, description="of how many of its events one knew")] | None = None


Seen = Annotated[
    int, Meta(ge=0, le=MOST_SEEN, description="of how many of its events one knew; 409 for what came since")
]


class SnoozeForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put an alert off until an instant at most fourteen days ahead, for a reason."""

    until: datetime
    reason: Annotated[str, Meta(min_length=1, max_length=4_000)]
    seen: Seen | None = None


class ResolveForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    outcome: Outcome
    note: Annotated[str, Meta(max_length=4_000)] | None = None
    seen: Seen | None = None
