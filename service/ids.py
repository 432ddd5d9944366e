"""Ids: UUID version 7 (RFC 9562), made by the application so that they sort by time and need no database."""

from __future__ import annotations

from uuid import UUID

import uuid_utils.compat


def new() -> UUID:
    """A fresh UUIDv7."""
    return UUID(int=uuid_utils.compat.uuid7().int)
