"""Strict decoding of bodies: "7" is not 7, 1 is not true, unknown fields are refused, every bad field is named."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from service import errors
from service.errors import FieldFault

T = TypeVar("T", bound=msgspec.Struct)

LOCATION = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
# msgspec quotes the refused value in these messages; a refused answer is still health data.
QUOTED_VALUE = re.compile(r"Invalid (enum value|value) .*$", re.DOTALL)
MOST_FAULTS = 20


def json_body(raw: bytes) -> object:
    """Any JSON. Raises Invalid where the bytes are none."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Invalid(
            "The body is not valid JSON.", fields=(FieldFault("", "must be JSON encoded as UTF-8"),)
        ) from error


def decode(raw: bytes, shape: type[T]) -> T:
    """A body's bytes as `shape`. Raises Invalid naming every field that is wrong, never its value."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise refusal(json_body(raw), shape, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Invalid(
            "The body is not valid JSON.", fields=(FieldFault("", "must be JSON encoded as UTF-8"),)
        ) from error


def convert(value: object, shape: type[T]) -> T:
    """An already decoded JSON value as `shape`. Raises Invalid as `decode` does."""
    try:
        # By way of bytes: only the JSON decoder knows that a date is a text and a key is never a number.
        return msgspec.json.decode(msgspec.json.encode(value), type=shape)
    except msgspec.ValidationError as error:
        raise refusal(value, shape, error) from error


def refusal(value: object, shape: type[msgspec.Struct], first: msgspec.ValidationError) -> errors.Invalid:
    """Every fault of a refused body: msgspec stops at the first, so each field is tried alone."""
    faults: list[FieldFault] = []
    if isinstance(value, dict):
        known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
        faults += [FieldFault(str(name)[:64], "unknown field") for name in value if name not in known]
        for name, field in known.items():
            if name in value:
                faults += _faults_of(name, value[name], field.type)
            elif field.required:
                faults.append(FieldFault(name, "required"))
    return errors.Invalid("The body was refused.", fields=(faults or [_fault(first)])[:MOST_FAULTS])


def _faults_of(name: str, value: object, kind: object) -> list[FieldFault]:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError as error:
        if isinstance(value, dict):
            return _faults_of_entries(name, value, kind) or [_fault(error, name)]
        return [_fault(error, name)]
    return []


def _faults_of_entries(name: str, value: dict[object, object], kind: object) -> list[FieldFault]:
    # msgspec locates a fault in an object as `[...]` without its key: try every entry alone.
    faults = []
    for key, entry in value.items():
        try:
            msgspec.json.decode(msgspec.json.encode({key: entry}), type=kind)
        except msgspec.ValidationError as error:
            faults.append(FieldFault(f"{name}.{str(key)[:64]}", _fault(error).message))
    return faults


def _fault(error: msgspec.ValidationError, name: str = "") -> FieldFault:
    text = str(error)
    located = LOCATION.search(text)
    path = located["path"] if located else ""
    separator = "." if name and path and not path.startswith("[") else ""
    return FieldFault(
        name + separator + path, QUOTED_VALUE.sub("not one of the allowed values", LOCATION.sub("", text))
    )
