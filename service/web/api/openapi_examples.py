"""An example for every body and reply of the API's description, made from its schemas: invented, and valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

AN_ID = "01960000-0000-7000-8000-000000000001"
OF_FORMATS: Mapping[str, str] = {
    "uuid": AN_ID,
    "date-time": "2026-11-22T19:14:03-06:00",
    "date": "2026-11-22",
    "time": "10:00:00",
}
# Maps go by substance or by item, and an item may be called so, too.
A_KEY = "alcohol"
OF_A_REFERENCE = "#/components/schemas/"
# What a name says that its schema does not.
OF_NAMES: Mapping[str, str] = {
    "time_zone": "America/Chicago",
    "url": "https://records.clinic.example/neap",
    "instrument": "phq9",
    "code": "phq9",
    "clinic": "harbour",
    "language": "en",
    "at": "10:00",
    "remind_time": "19:00:00",
    "email": "somebody@mail.example",
    "quiet_from": "21:00",
    "quiet_until": "07:00",
    "panel": "44249-1",
    "total": "44261-6",
    "loinc": "44250-9",
}


def of(schema: Schema, components: Mapping[str, Schema], *, name: str = "") -> Any:
    """An example of what the schema allows; optional fields are in it, and lists have one entry."""
    if "$ref" in schema:
        return of(components[schema["$ref"].removeprefix(OF_A_REFERENCE)], components, name=name)
    for known in ("examples", "enum"):
        if schema.get(known):
            return schema[known][0]
    if "const" in schema:
        return schema["const"]
    if "default" in schema and schema["default"] is not None and schema.get("type") not in ("array", "object"):
        return schema["default"]
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in schema:
            first = next(each for each in schema[alternatives] if each.get("type") != "null")
            return of(first, components, name=name)
    return _of_type(schema, components, name)


def _of_type(schema: Schema, components: Mapping[str, Schema], name: str) -> Any:
    match schema.get("type"):
        case "object":
            return _of_object(schema, components)
        case "array" if "prefixItems" in schema:
            return [of(each, components) for each in schema["prefixItems"]]
        case "array":
            items = schema.get("items") or {}
            return [of(items, components, name=name) for _ in range(max(1, schema.get("minItems", 0)))]
        case "integer" | "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            most = schema.get("maximum", schema.get("exclusiveMaximum", 7) / 2)
            return max(least, min(3, most))
        case "boolean":
            return False
        case "string":
            word = OF_FORMATS.get(schema.get("format", ""), OF_NAMES.get(name, "text"))
            return word.ljust(schema.get("minLength", 0), "0")[: schema.get("maxLength")]
    return {}


def _of_object(schema: Schema, components: Mapping[str, Schema]) -> dict[str, Any]:
    if "properties" in schema:
        return {name: of(each, components, name=name) for name, each in schema["properties"].items()}
    values = schema.get("additionalProperties")
    if not isinstance(values, Mapping):
        return {}
    key = schema.get("propertyNames", {}).get("examples", [A_KEY])[0]
    return {key: of(values, components)}
