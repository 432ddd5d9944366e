"""A clinic, the tenant to which everything else belongs, and its settings."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from schemas.crisis import CrisisContact


class Clinic(msgspec.Struct, frozen=True, kw_only=True):
    clinic_id: UUID
    slug: str
    name: str
    time_zone: str


class ClinicSetting(msgspec.Struct, frozen=True, kw_only=True):
    """`hours`: opening hours by ISO weekday ("1" Monday) as ["09:00", "17:00"], a missing day is closed.

    `notice_addition`: what the clinic adds, in its own words, to what clients are told of those hours; may be empty.
    `tell_seen`: clients read that their team has seen what their answers gave rise to.
    """

    notice_addition: str
    crisis: list[CrisisContact]
    hours: dict[str, tuple[str, str]]
    therapy_window_hours: int
    tell_seen: bool
    fictional: bool
    updated_at: datetime
