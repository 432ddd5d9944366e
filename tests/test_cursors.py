"""Cursors: what a page gave comes back as it was, anything else is refused by the field's name."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest

from service import errors
from service.web import cursors

AN_ID = UUID(int=7)


def a_cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def test_a_cursor_comes_back_as_the_position_it_was_in_utc() -> None:
    at = datetime(2026, 11, 22, 17, 0, 0, 123456, tzinfo=timezone(-timedelta(hours=6)))
    back, row_id = cursors.decode(cursors.encode((at, AN_ID)), field="before")
    assert (back, row_id) == (at, AN_ID)
    assert back.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "käse",
        "\x00",
        a_cursor("9999-12-31T23:59:59-14:00", AN_ID),
        a_cursor("0001-01-01T00:00:00+14:00", AN_ID),
        a_cursor("2026-11-22T17:00:00", AN_ID),
        a_cursor("2026-11-22T17:00:00Z"),
        a_cursor("2026-11-22T17:00:00Z", "7"),
    ],
)
def test_what_no_page_gave_is_refused_by_the_fields_name(text: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        cursors.decode(text, field="before")
    assert [fault.field for fault in refused.value.fields] == ["before"]
