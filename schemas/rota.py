"""Who stands in: cover for somebody who is away, and shifts on call for the whole clinic."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.checkin import AwareTime


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """From `from_at` until `until_at`, `covered_by` is told in the place of `staff_id` and may see their clients."""

    cover_id: UUID
    staff_id: UUID
    covered_by: UUID
    from_at: datetime
    until_at: datetime
    recorded_by: UUID | None
    recorded_at: datetime


class CoverForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is away, who covers them, and from when until when."""

    staff_id: UUID
    covered_by: UUID
    from_at: AwareTime
    until_at: AwareTime


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is on call for the whole clinic between two instants."""

    shift_id: UUID
    staff_id: UUID
    from_at: datetime
    until_at: datetime
    recorded_by: UUID | None
    recorded_at: datetime


Weeks = Annotated[int, Meta(ge=1, le=53, description="how many weeks in a row, on the clinic's clock; 1: once")]


class ShiftForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is on call between two instants; with `weeks` also at the same local times of the weeks after."""

    staff_id: UUID
    from_at: AwareTime
    until_at: AwareTime
    weeks: Weeks = 1


class OnCall(msgspec.Struct, frozen=True, kw_only=True):
    """When somebody on call is told: a shift, or what is left of it beside the times at which they are covered."""

    shift_id: UUID
    staff_id: UUID
    from_at: datetime
    until_at: datetime


class Rota(msgspec.Struct, frozen=True, kw_only=True):
    """What holds now or is to come, by time.

    `on_call`: when who is in fact told; `disabled`: who is in the rota and does not work here any more, so that their
    shifts and covers tell nobody.
    """

    on_call_now: list[UUID]
    on_call: list[OnCall]
    shifts: list[Shift]
    covers: list[Cover]
    disabled: list[UUID]


class ShiftsReply(msgspec.Struct, frozen=True, kw_only=True):
    """The shifts that one call gave, by time."""

    items: list[Shift]
