"""Ids: UUID version 7 (RFC 9562), made by the application so that they sort by time and need no database."""

from __future__ import annotations

from uuid import UUID

import uuid_utils.compat


def new() -> UUID:
    """A fresh UUIDv7."""
    return UUID(int=uuid_utils.compat.uuid7().int)


def after(last: UUID | None) -> UUID:
    """A fresh UUIDv7 that sorts after `last`, also where that was made by a clock that is ahead (RFC 9562, 6.2)."""
    made = new()
    return made if last is None or made > last else UUID(int=last.int + 1)
