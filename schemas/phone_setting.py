"""What a client chose on their own phone: language, and whether and when they are reminded."""

from __future__ import annotations

from datetime import time
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.checkin import ZoneName

LocalTime = Annotated[time, Meta(tz=False)]
# One address and nothing that a header reads as more than that: no list, comment, quotation or encoded word.
_PART = r'[^@\s,:;<>()"\[\]\\\x00-\x1f\x7f]+'
EmailAddress = Annotated[str, Meta(max_length=254, pattern=rf"^(?!.*=\?){_PART}@{_PART}\.{_PART}$(?!\n)")]


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
