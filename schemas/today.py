"""What a phone shows when it opens."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from schemas.checkin import CheckIn
from schemas.course import Substance
from schemas.crisis import CrisisContact
from schemas.instrument_response import DueInstrument


class NextInfusion(msgspec.Struct, frozen=True, kw_only=True):
    """`at_clinic`: the day and time of `planned_at` on the clinic's own clock, "2026-11-24T09:30"."""

    planned_at: datetime
    at_clinic: str


class LastInfusion(msgspec.Struct, frozen=True, kw_only=True):
    """The infusion given last: its number, and how many client days ago."""

    number: int
    days_ago: int


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """`due`: no daily check-in is stored yet for `client_day`. `substances`: in the order asked, the primary first.

    `paused`: a pause covers the day. Nobody is reminded; an answer is still taken.
    `seen_at`: when somebody of the team last took on what answers gave rise to, within two days and since the newest
    answer came; only where the clinic tells it, and no promise. `last`: the newest with any score. `instruments`: the
    questionnaires that are due, what waits longest first.
    `language`: as the client chose it, or first read; None until then. `reminder_zone`: whose clock reminders follow,
    as a phone named it; None without reminders.
    """

    client_day: date
    due: bool
    paused: bool
    substances: list[Substance]
    last: CheckIn | None
    next_infusion: NextInfusion | None
    last_infusion: LastInfusion | None
    instruments: list[DueInstrument]
    seen_at: datetime | None
    language: str | None
    reminder_zone: str | None
    monitoring: str
    crisis: list[CrisisContact]
    fictional: bool
