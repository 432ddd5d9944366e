"""The person in treatment, and the care team around them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class RecordOrigin(StrEnum):
    """Where a client, trend, finding or alert comes from: a live course, or an imported history that alerts nobody."""

    LIVE = "live"
    IMPORT = "import"


class Client(msgspec.Struct, frozen=True, kw_only=True):
    client_id: UUID
    given_name: str
    family_name: str
    time_zone: str
    enrolled_on: date
    origin: RecordOrigin


class CareTeamMember(msgspec.Struct, frozen=True, kw_only=True):
    client_id: UUID
    staff_id: UUID
    role: str
    from_at: datetime
    until_at: datetime | None
