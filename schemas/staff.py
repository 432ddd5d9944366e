"""People who work for the clinic, and their sign-in."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.treatment import LocalTime


class Role(StrEnum):
    THERAPIST = "therapist"
    PRESCRIBER = "prescriber"
    NURSE = "nurse"
    COORDINATOR = "coordinator"
    PRIVACY_OFFICER = "privacy_officer"
    ADMIN = "admin"


CLINICAL_ROLES = (Role.THERAPIST, Role.PRESCRIBER, Role.NURSE)
"""Whoever treats clients."""
CARE_TEAM_ROLES = (*CLINICAL_ROLES, Role.COORDINATOR)
"""Whoever may be on a client's care team."""


class PushKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A browser's public key (P-256 point) and its authentication secret (16 bytes), base64url."""

    p256dh: Annotated[str, Meta(max_length=100)]
    auth: Annotated[str, Meta(max_length=40)]


class PushSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """Where a browser takes push messages, as `PushSubscription.toJSON()` gives it."""

    endpoint: Annotated[str, Meta(max_length=2_000)]
    keys: PushKeys


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    staff_id: UUID
    email: str
    name: str
    roles: list[Role]
    language: str
    disabled_at: datetime | None


class Tempo(StrEnum):
    """How soon a person is told of what is not urgent; tier 1 always comes at once."""

    NOW = "now"
    WITHIN_3_HOURS = "within_3_hours"
    DAILY = "daily"


class MessageTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How soon a person is told of what is not urgent, the hours in which they are not, and by which channel first.

    `first_channel` null: a browser that takes push messages, else e-mail. The other one follows where the first fails.
    """

    tempo: Tempo = Tempo.NOW
    quiet_from: LocalTime | None = None
    quiet_until: LocalTime | None = None
    first_channel: Literal["push", "email"] | None = None


class MessageTimesForm(MessageTimes, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person chooses; what is left out is as at first: at once, and never quiet."""


class SessionStage(StrEnum):
    """How far a sign-in has come: password given, TOTP still to be set up, or signed in."""

    PASSWORD = "password"  # noqa: S105
    ENROL_TOTP = "enrol_totp"
    FULL = "full"


class LinkPurpose(StrEnum):
    SET_PASSWORD = "set_password"  # noqa: S105
    DEMO_SIGN_IN = "demo_sign_in"
