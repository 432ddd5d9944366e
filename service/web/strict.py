"""Strict decoding of bodies: "7" is not 7, 1 is not true, unknown fields are refused, every bad field is named."""

from __future__ import annotations

import json
import re
from types import UnionType
from typing import Annotated, TypeVar, Union, get_args, get_origin

import msgspec

from service import errors, plain_words
from service.errors import FieldFault

T = TypeVar("T", bound=msgspec.Struct)

BODY_REFUSED = "The body was refused."
# The same to people, who fill in forms; bodies are for programs.
FORM_REFUSED = "Please look at what is marked."
MOST_FAULTS = 20
# A string, or a mark that opens, parts or closes; everything else between them is passed over. A string that never ends
# goes to the end of the body: were it no token, each quotation mark in it would be tried, and a body take hours.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def json_body(raw: bytes) -> object:
    """Any JSON. Raises Invalid where the bytes are none."""
    try:
        return msgspec.json.decode(_readable(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json() from error


def decode(raw: bytes, shape: type[T]) -> T:
    """A body's bytes as `shape`. Raises Invalid naming every field that is wrong, never its value."""
    readable = _readable(raw)
    try:
        return msgspec.json.decode(readable, type=shape)
    except msgspec.ValidationError as error:
        raise refusal(json_body(readable), shape, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json() from error


def items_of(raw: bytes, *, most: int) -> list[bytes]:
    """The items of a JSON array, undecoded, so that one that cannot be read loses no other.

    Raises Invalid where the bytes are no array, or one of more than `most` items.
    """
    items, depth, start = [], 0, 0
    body = raw.strip()
    if not (body.startswith(b"[") and body.endswith(b"]")):
        raise _no_array(most)
    for token in TOKEN.finditer(body):
        mark = token[0]
        if mark in b"[{":
            depth += 1
            start = token.end() if depth == 1 else start
        elif mark in b"]}" or (mark == b"," and depth == 1):
            if depth == 1:
                items.append(body[start : token.start()].strip())
                start = token.end()
            depth -= mark in b"]}"
            if len(items) > most or (depth == 0 and token.end() != len(body)):
                raise _no_array(most)
    if depth:  # a string or a bracket that never ends: what is left is one item, to be refused as such
        items.append(body[start:-1].strip())
    return [] if items == [b""] else items


def _readable(raw: bytes) -> bytes:
    """The same JSON, with half characters replaced: a phone that cuts a note in the middle of one sends such a half."""
    if b"\\u" not in raw or not HALF_CHARACTER.search(raw):
        return raw
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return raw


def _no_json() -> errors.Invalid:
    return errors.Invalid("The body is not valid JSON.", fields=(FieldFault("", "must be JSON encoded as UTF-8"),))


def _no_array(most: int) -> errors.Invalid:
    return errors.Invalid("The batch was refused.", fields=(FieldFault("", f"must be an array of at most {most}"),))


def refusal(value: object, shape: type[msgspec.Struct], first: msgspec.ValidationError) -> errors.Invalid:
    """Every fault of a refused body: msgspec stops at the first, so each field is tried alone."""
    faults = _faults_of_struct(value, shape) if isinstance(value, dict) else []
    return errors.Invalid(BODY_REFUSED, fields=(faults or [_fault(first)])[:MOST_FAULTS])


def _faults_of_struct(value: dict[object, object], shape: type[msgspec.Struct]) -> list[FieldFault]:
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    # Where a shape passes over what it does not know, that is no fault beside another one either.
    unknown = (name for name in value if name not in known) if shape.__struct_config__.forbid_unknown_fields else ()
    faults = [FieldFault(str(name)[:64], "unknown field") for name in unknown]
    for name, field in known.items():
        if name in value:
            faults += _faults_of(name, value[name], field.type)
        elif field.required:
            faults.append(FieldFault(name, "required"))
    return faults


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    """The Struct that a field holds, also where it may be null."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    parts = get_args(kind) if get_origin(kind) in (Annotated, Union, UnionType) else ()
    return next((found for part in parts if (found := _struct_in(part)) is not None), None)


def _faults_of(name: str, value: object, kind: object) -> list[FieldFault]:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError as error:
        shape = _struct_in(kind)
        if isinstance(value, dict) and shape is not None:
            within = _faults_of_struct(value, shape)
            return [FieldFault(f"{name}.{each.field}", each.message) for each in within] or [_fault(error, name)]
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
            if len(faults) == MOST_FAULTS:
                break
    return faults


def _fault(error: msgspec.ValidationError, name: str = "") -> FieldFault:
    path = plain_words.place_of(error)
    separator = "." if name and path and not path.startswith("[") else ""
    return FieldFault(name + separator + path, plain_words.why_refused(error))
