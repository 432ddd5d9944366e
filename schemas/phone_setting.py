"""What a client chose on their own phone: language, and whether and when they are reminded."""

from __future__ import annotations

from datetime import time
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.checkin import ZoneName

LocalTime = Annotated[time, Meta(tz=False)]
EmailAddress = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$(?!\n)")]


class LanguageForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The language that the client reads: a code such as "es"."""

    language: Annotated[str, Meta(min_length=2, max_length=2)]


class ReminderForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`remind_time`: on the phone's clock in `time_zone`, null for no reminders. `email`: where push shows nothing."""

    remind_time: LocalTime | None
    time_zone: ZoneName
    email: EmailAddress | None = None


class PhoneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`push`: whether this phone's browser takes messages. `push_key`: what a browser subscribes with."""

    language: str | None
    remind_time: LocalTime | None
    time_zone: str | None
    email: str | None
    push: bool
    push_key: str
