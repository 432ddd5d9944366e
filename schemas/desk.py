"""What staff read over the API: alerts with their reasons, clients with their status."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

from schemas.alert import AlertState, Outcome, Rule, Tier
from schemas.client import RecordOrigin
from schemas.course import Substance
from schemas.trend import Status, Trend


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of an alert: the rule, its version, the sentence and, as an object, the numbers it rests on."""

    finding_id: UUID
    rule: Rule
    client_day: date
    found_at: datetime
    found_late: bool
    rule_set_version: int
    sentence: str
    numbers: msgspec.Raw


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as its list gives it; `reasons` and `outcome` null for whoever may not see findings. `events`: how many
    the alert has, which whoever does something about it sends as `seen`, so that nothing is done about what came since.
    """

    alert_id: UUID
    client_id: UUID
    client: str
    tier: Tier
    state: AlertState
    origin: RecordOrigin
    opened_at: datetime
    acknowledged_by: str | None
    lease_until: datetime | None
    closed_at: datetime | None
    outcome: Outcome | None
    reasons: list[Reason] | None
    events: int


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts; `next` is the cursor of the following page."""

    items: list[AlertLine]
    next: str | None


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Taken on, as a lease until then at the latest: it is over with the cover, the shift, the place on the team or the
    role by which one reaches the alert."""

    lease_until: datetime


class TakenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What was done by mistake is taken back; until when one has the alert now, null where one has not."""

    lease_until: datetime | None


class OpenAlertLine(msgspec.Struct, frozen=True, kw_only=True):
    alert_id: UUID
    tier: Tier
    state: AlertState
    opened_at: datetime


class CaseloadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A client as the caseload gives them, the most pressing first; `answered` of the last `of_days` client days."""

    client_id: UUID
    given_name: str
    family_name: str
    origin: RecordOrigin
    substances: list[Substance]
    status: Status | None
    client_day: date | None
    why: str
    needs_somebody: bool
    paused: bool
    craving_now: int | None
    answered: int
    of_days: int
    alerts: list[OpenAlertLine]
    next_infusion_at: datetime | None
    next_session_at: datetime | None


class CaseloadReply(msgspec.Struct, frozen=True, kw_only=True):
    items: list[CaseloadLine]


class TrendReply(msgspec.Struct, frozen=True, kw_only=True):
    """Client days, the oldest first."""

    items: list[Trend]
