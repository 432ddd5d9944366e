"""What a client said about recipients outside the clinic."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class ConsentForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the client says now: `given`, or not given or withdrawn."""

    given: bool


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What a client said once, and who of the staff recorded it."""

    consent_id: UUID
    client_id: UUID
    given: bool
    recorded_at: datetime
    recorded_by: UUID
    recorded_by_name: str


class ConsentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Whether consent is given now, and everything that was said, the newest first."""

    given: bool
    items: list[Consent]
