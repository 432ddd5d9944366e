"""An example for every body and reply of the API's description, made from its schemas: invented, and valid.

Where one field of a body says what another may be, the whole body is written out here.
"""

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
ANOTHER_ID = "01960000-0000-7000-8000-000000000002"
WHOLE: Mapping[str, Mapping[str, object]] = {
    "StateForm": {
        "state": "given",
        "given_at": "2026-11-22T10:00:00-06:00",
        "dose_mg_per_kg": 0.5,
        "duration_minutes": 40,
        "version": 1,
    },
    "MoveForm": {"planned_at": "2026-11-25T10:00:00-06:00", "reason": "client_wish", "version": 1},
    "ScheduleForm": {
        "template": "three_times_a_week",
        "starts_on": "2026-11-22",
        "at": "10:00",
        "weeks": 4,
        "weekdays": [1, 3, 5],
        "boosters": {"every_weeks": 4, "count": 3},
    },
    "CourseForm": {"substances": ["alcohol"], "started_on": "2026-11-22", "phase": "induction"},
    "PhaseForm": {"phase": "maintenance", "from_on": "2026-11-22"},
    "PauseForm": {"from_on": "2026-11-22", "until_on": "2026-11-29", "reason": "travel"},
    "SessionForm": {
        "planned_at": "2026-11-25T10:00:00-06:00",
        "staff_id": AN_ID,
        "modality": "other",
        "minutes": 50,
    },
    "SessionChange": {"planned_at": "2026-11-26T10:00:00-06:00", "staff_id": AN_ID, "minutes": 50, "version": 1},
    "ScreenForm": {
        "panel": ["cocaine"],
        "collected_at": "2026-11-22T09:00:00-06:00",
        "positive": [],
        "valid": True,
        "confirmation": "presumptive",
    },
    "VitalForm": {"systolic": 128, "diastolic": 82, "pulse": 72, "measured_at": "2026-11-22T09:10:00-06:00"},
    "ChecklistForm": {
        "unstable_cardiovascular_disease": "absent",
        "hypertension": "absent",
        "pregnancy": "absent",
        "ketamine_allergy": "absent",
        "raised_intracranial_pressure": "absent",
        "checked_at": "2026-11-22T09:15:00-06:00",
    },
    "SnoozeForm": {"until": "2026-11-25T09:00:00-06:00", "reason": "Seen at the session of that day."},
    "ResponseForm": {
        "instrument": "gad7",
        "version": 1,
        "answered_at": "2026-11-22T19:14:03-06:00",
        "sent_at": "2026-11-22T19:14:05-06:00",
        "time_zone": "America/Chicago",
        "answers": {"1": 1, "2": 0, "3": 2, "4": 1, "5": 0, "6": 1, "7": 0},
        "language": "en",
    },
    "RhythmForm": {"phase": "induction", "every_days": 14, "open_days": 3, "from_on": "2026-11-24"},
    "Instrument": {
        "code": "sleep_2",
        "version": 1,
        "title": "Sleep, two questions",
        "asks": "The last week: sleep",
        "lead": "Think of the last seven days.",
        "language": "en",
        "licence": "Invented for this example; nobody's.",
        "attribution": "Nobody.",
        "source": "Invented, 2026; not validated.",
        "scoring": "sum",
        "items": [
            {"code": "1", "text": "How often did you lie awake?"},
            {"code": "2", "text": "How often did you wake up tired?"},
        ],
        "options": [{"value": 0, "text": "Never"}, {"value": 1, "text": "Sometimes"}, {"value": 2, "text": "Often"}],
    },
    "CoverForm": {
        "staff_id": AN_ID,
        "covered_by": ANOTHER_ID,
        "from_at": "2026-11-23T08:00:00-06:00",
        "until_at": "2026-11-30T08:00:00-06:00",
    },
    "ShiftForm": {
        "staff_id": AN_ID,
        "from_at": "2026-11-23T18:00:00-06:00",
        "until_at": "2026-11-24T08:00:00-06:00",
        "weeks": 4,
    },
    "PushForm": {
        "endpoint": "https://push.example.com/send/invented",
        "keys": {
            # The public point of an example in RFC 8291, 5, and its secret.
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
        },
    },
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
        shape = schema["$ref"].removeprefix(OF_A_REFERENCE)
        return WHOLE[shape] if shape in WHOLE else of(components[shape], components, name=name)
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
