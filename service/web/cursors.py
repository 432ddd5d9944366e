"""Where a page of a list ended, as opaque text: a time and an id, so that a row added meanwhile moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec

from service import base64url, errors

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


def encode(position: tuple[datetime, UUID]) -> str:
    """The cursor of a position: base64url of JSON, its time in UTC."""
    at, row_id = position
    return base64url.encode(msgspec.json.encode((at.astimezone(UTC), row_id)))


def decode(text: str, *, field: str) -> tuple[datetime, UUID]:
    """The position of a cursor, its time in UTC.

    Raises Invalid, naming `field`, for what no page gave: other text, a time without a zone or outside of the calendar.
    """
    try:
        at, row_id = msgspec.json.decode(base64url.decode(text), type=tuple[Moment, UUID])
        return at.astimezone(UTC), row_id
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        fault = errors.FieldFault(field, "must be a cursor that an earlier page gave")
        raise errors.Invalid("The cursor was refused.", fields=(fault,)) from error
