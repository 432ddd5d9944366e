"""Why a value was refused, in words that a person who knows no Python can follow."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from service.plain_words import place_of, why_refused


class Colour(StrEnum):
    RED = "red"


class Item(msgspec.Struct, forbid_unknown_fields=True):
    craving: int


def refused(kind: object, value: object) -> msgspec.ValidationError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Annotated[int, Meta(ge=0)], -1, "must be at least 0"),
        (Annotated[float, Meta(le=3)], 3.5, "must be at most 3"),
        (Annotated[float, Meta(gt=0.5)], 0.5, "must be more than 0.5"),
        (Annotated[str, Meta(max_length=2)], "abc", "must have at most 2 characters"),
        (Annotated[list[int], Meta(min_length=1)], [], "must have at least 1 items"),
        (tuple[int, int], [1], "must have 2 items"),
        (Annotated[int, Meta(multiple_of=5)], 3, "must be a multiple of 5"),
        (Annotated[str, Meta(pattern="^[a-z]+$")], "A secret", "is not written in the form that is taken here"),
        (int, "7", "must be a whole number, not text"),
        (int | None, "7", "must be a whole number or null, not text"),
        (bool, 1, "must be true or false, not a whole number"),
        (Colour, "secret", "not one of the allowed values"),
        (UUID, "secret", "must be a UUID"),
        (datetime, "secret", "must be a time such as 2026-11-22T10:00:00Z"),
        (Annotated[datetime, Meta(tz=True)], "2026-11-22T10:00:00", "must be a time with its offset"),
        (date, "secret", "must be a date such as 2026-11-22"),
        (bytes, "?", "must be base64 text"),
        (Item, {}, "required"),
        (Item, {"craving": 1, "secret": 2}, "unknown field"),
    ],
)
def test_a_refusal_says_what_is_taken_and_never_the_value(kind: object, value: object, words: str) -> None:
    assert why_refused(refused(kind, value)) == words


def test_the_place_is_told_apart_from_the_reason() -> None:
    error = refused(list[Item], [{"craving": "5"}])
    assert place_of(error) == "[0].craving"
    assert why_refused(error) == "must be a whole number, not text"
