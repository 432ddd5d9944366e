"""What a refused value should have been, in a reader's words: msgspec's messages speak of types and patterns."""

from __future__ import annotations

import re

import msgspec

LOCATION = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")

NOUNS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "uuid": "an id",
    "date": "a date",
    "datetime": "a time with its offset",
    "bytes": "base64 text",
}
BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
UNITS = {"str": "characters", "array": "items", "object": "entries", "bytes": "bytes"}
# The message, and what it means; what a message quotes of the refused value is never passed on.
MEANINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Invalid (enum )?value .*", re.DOTALL), "not one of the allowed values"),
    (re.compile(r"Invalid UUID"), "must be a UUID"),
    (re.compile(r"Invalid RFC3339 encoded datetime"), "must be a time such as 2026-11-22T10:00:00Z"),
    (re.compile(r"Expected `datetime` with a timezone component"), "must be a time with its offset"),
    (re.compile(r"Invalid RFC3339 encoded date"), "must be a date such as 2026-11-22"),
    (re.compile(r"Invalid base64 encoded string"), "must be base64 text"),
    (re.compile(r"Object missing required field .*"), "required"),
    (re.compile(r"Object contains unknown field .*", re.DOTALL), "unknown field"),
    (re.compile(r"Expected `\w+` matching regex .*", re.DOTALL), "is not written in the form that is taken here"),
)
BETWEEN = re.compile(r"Expected `(?P<kind>\w+)` (?P<length>of length )?(?P<bound>[<>]=?) (?P<number>[-\d.e+]+)")
EXACTLY = re.compile(r"Expected `(?P<kind>\w+)` of length (?P<number>\d+)")
MULTIPLE = re.compile(r"Expected `\w+` that's a multiple of (?P<number>[\d.]+)")
OTHER_TYPE = re.compile(r"Expected `(?P<kinds>[^`]+)`, got `(?P<got>[^`]+)`")


def why_refused(error: msgspec.ValidationError) -> str:
    """Why, without the value and without the place; msgspec's own words where they are not known here."""
    text = LOCATION.sub("", str(error))
    for message, meaning in MEANINGS:
        if message.fullmatch(text):
            return meaning
    if found := BETWEEN.fullmatch(text):
        return f"must {_length(found)}{BOUNDS[found['bound']]} {_number(found)}{_unit(found)}"
    if found := EXACTLY.fullmatch(text):
        return f"must have {found['number']} {UNITS.get(found['kind'], 'items')}"
    if found := MULTIPLE.fullmatch(text):
        return f"must be a multiple of {_number(found)}"
    if found := OTHER_TYPE.fullmatch(text):
        kinds = " or ".join(NOUNS.get(kind, kind) for kind in found["kinds"].split(" | "))
        return f"must be {kinds}, not {NOUNS.get(found['got'], found['got'])}"
    return text


def place_of(error: msgspec.ValidationError) -> str:
    """The path to the refused field, empty for the whole."""
    located = LOCATION.search(str(error))
    return located["path"] if located else ""


def _length(found: re.Match[str]) -> str:
    return "have " if found["length"] else "be "


def _unit(found: re.Match[str]) -> str:
    return f" {UNITS.get(found['kind'], 'items')}" if found["length"] else ""


def _number(found: re.Match[str]) -> str:
    return found["number"].removesuffix(".0")
