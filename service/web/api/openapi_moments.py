"""Times in the API's description: each is an instant with its offset, which a plain `datetime` does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec.inspect as kinds


def mark(components: Mapping[str, Mapping[str, Any]], shapes: Iterable[object]) -> None:
    """Give `format: date-time` to every field that is a time, in the components of all shapes and of what they hold.

    Raises KeyError where two of them share a name: what a reader of the description could not tell apart either.
    """
    seen: set[type] = set()
    for shape in shapes:
        for struct in _structs_in(kinds.type_info(shape), seen):
            described = components[struct.cls.__name__]
            for field in struct.fields:
                _mark(described["properties"][field.encode_name], field.type)


def _structs_in(kind: kinds.Type, seen: set[type]) -> Iterator[kinds.StructType]:
    match kind:
        case kinds.StructType() if kind.cls not in seen:
            seen.add(kind.cls)
            yield kind
            for field in kind.fields:
                yield from _structs_in(field.type, seen)
        case kinds.UnionType():
            for one in kind.types:
                yield from _structs_in(one, seen)
        case kinds.ListType() | kinds.VarTupleType():
            yield from _structs_in(kind.item_type, seen)
        case kinds.DictType():
            yield from _structs_in(kind.value_type, seen)
        case kinds.Metadata():
            yield from _structs_in(kind.type, seen)
        case _:
            return


def _mark(schema: dict[str, Any], kind: kinds.Type) -> None:
    match kind:
        case kinds.DateTimeType():
            schema["format"] = "date-time"
        case kinds.UnionType() if any(isinstance(one, kinds.DateTimeType) for one in kind.types):
            for one in schema["anyOf"]:
                if one.get("type") == "string":
                    one["format"] = "date-time"
        case kinds.ListType() | kinds.VarTupleType():
            _mark(schema["items"], kind.item_type)
        case kinds.DictType() if isinstance(schema.get("additionalProperties"), dict):
            _mark(schema["additionalProperties"], kind.value_type)
        case kinds.Metadata():
            _mark(schema, kind.type)
        case _:
            return
