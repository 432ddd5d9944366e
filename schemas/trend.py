"""What is usual for a client, and how a client day stands against it."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import msgspec

from schemas.client import RecordOrigin


class Status(StrEnum):
    NOT_ON_TRACK = "not_on_track"
    NO_DATA = "no_data"
    WATCH = "watch"
    LEARNING = "learning"
    ON_TRACK = "on_track"


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The state after one client day.

    Lists hold craving, mood, anxiety in that order, 0 to 10, mood high = good; null: unknown.
    """

    client_day: date
    status: Status
    answered: bool
    partly: bool
    craving: int | None
    mood: int | None
    anxiety: int | None
    baseline: list[float | None]
    sd: list[float | None]
    level: list[float | None]
    band_low: list[float | None]
    band_high: list[float | None]
    statistic: float
    limit_value: float
    crossing: bool
    resting: bool
    silent_days: int
    days_since_infusion: int | None
    origin: RecordOrigin
    rule_set_version: int
