"""A client as a FHIR R4 bundle, every resource built and validated by the models of fhir.resources (R4B).

The resources used here are the same in R4 (4.0.1) and R4B (4.3.0). What LOINC has no code for is named in a code system
of ours, `urn:neap:check-in`, which docs/export.md lists. Our ids are the resources' ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

from fhir.resources.R4B.bundle import Bundle

from schemas.alert import DeliveryState
from schemas.course import InfusionState, Phase, SessionState
from schemas.gate import ScreenResult
from schemas.instrument import Item
from service.export.gathered import Gathered
from service.facts.checkins import CheckInRow
from service.facts.instruments import ResponseRow

Resource = dict[str, Any]

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
OURS = "urn:neap:check-in"
CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
KETAMINE = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "6130", "display": "ketamine"}
AMBULATORY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"}
INFUSION_MINUTES = 40
APPOINTMENT_STATUS: Mapping[str, str] = MappingProxyType(
    {"planned": "booked", "held": "pending", "missed": "noshow", "cancelled": "cancelled"}
)
SENT = (DeliveryState.SENT, DeliveryState.DELIVERED, DeliveryState.OPENED)


def bundle_of(of: Gathered) -> bytes:
    """The client's bundle as JSON. Raises pydantic's ValidationError for what the models refuse: a fault of ours."""
    entries = [{"fullUrl": f"urn:uuid:{each['id']}", "resource": each} for each in _resources(of)]
    bundle = Bundle.model_validate(
        {"resourceType": "Bundle", "type": "collection", "timestamp": of.now, "entry": entries}
    )
    return bundle.model_dump_json().encode()


def _resources(of: Gathered) -> Iterator[Resource]:
    name = {"given": [of.client.given_name], **({"family": of.client.family_name} if of.client.family_name else {})}
    yield {"resourceType": "Patient", "id": str(of.client.client_id), "name": [name]}
    for row in of.check_ins:
        yield from _check_in(of, row)
    yield from _gate(of)
    yield from _decisions(of)
    for response in of.responses:
        yield from _response(of, response)
    yield from _infusions(of)
    yield from _sessions(of)
    yield from _plans(of)
    yield from _messages(of)
    yield from _consents(of)


def _patient(of: Gathered) -> Resource:
    return {"reference": f"urn:uuid:{of.client.client_id}"}


def _observation(of: Gathered, found: UUID, code: Resource, at: datetime, *, category: str, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": str(found),
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": code,
        "subject": _patient(of),
        "effectiveDateTime": at,
        **more,
    }


def _ours(code: str, text: str) -> Resource:
    return {"coding": [{"system": OURS, "code": code, "display": text}], "text": text}


def _loinc(code: str, text: str) -> Resource:
    return {"coding": [{"system": LOINC, "code": code}], "text": text}


def _check_in(of: Gathered, row: CheckInRow) -> Iterator[Resource]:
    values: list[tuple[str, str, Resource]] = [
        (f"craving-{substance}", f"Craving ({substance}), 0 to 10", {"valueInteger": score})
        for substance, score in row.craving.items()
    ]
    for name, text, score in (
        ("mood", "Mood, 0 to 10, high is good", row.mood),
        ("anxiety", "Anxiety, 0 to 10", row.anxiety),
    ):
        if score is not None:
            values.append((name, text, {"valueInteger": score}))
    if row.used is not None:
        values.append(("used", "Used since the last check-in: any", {"valueBoolean": bool(row.used)}))
        values += [
            (f"used-{each}", f"Used since the last check-in: {each}", {"valueBoolean": True}) for each in row.used
        ]
    if row.safety is not None:
        values.append(("safety", "The safety question", {"valueBoolean": row.safety}))
    if note := of.notes.get(row.check_in_id):
        values.append(("note", "The client's own words", {"valueString": note}))
    for code, text, value in values:
        found = uuid5(row.check_in_id, code)
        yield _observation(of, found, _ours(code, text), row.counted_at, category="survey", **value)


def _gate(of: Gathered) -> Iterator[Resource]:
    for screen in of.screens:
        for analyte in screen.panel:
            read = "positive" if analyte in screen.positive else "negative"
            if screen.result is ScreenResult.INVALID:
                read = "could not be read"
            code = _ours(f"screen-{analyte}", f"Drug screen: {analyte}, {screen.confirmation}")
            found = uuid5(screen.drug_screen_id, analyte)
            value = {"valueCodeableConcept": {"text": read}}
            yield _observation(of, found, code, screen.collected_at, category="laboratory", **value)
    for vital in of.vitals:
        parts = [
            {
                "code": _loinc(code, text),
                "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"},
            }
            for code, text, value in (
                ("8480-6", "Systolic blood pressure", vital.systolic),
                ("8462-4", "Diastolic blood pressure", vital.diastolic),
            )
        ]
        code = _loinc("85354-9", "Blood pressure")
        yield _observation(of, vital.vital_reading_id, code, vital.measured_at, category="vital-signs", component=parts)
        if vital.pulse is not None:
            found = uuid5(vital.vital_reading_id, "pulse")
            rate = {"value": vital.pulse, "unit": "/min", "system": UCUM, "code": "/min"}
            code = _loinc("8867-4", "Heart rate")
            yield _observation(of, found, code, vital.measured_at, category="vital-signs", valueQuantity=rate)


def _decisions(of: Gathered) -> Iterator[Resource]:
    """What people decided at the gate: about which infusion, what was missing and proposed then."""
    for each in of.decisions:
        parts = [
            {"code": _ours(f"gate-{name}", text), "valueCodeableConcept": {"text": value.replace("_", " ")}}
            for name, text, values in (
                ("missing", "Not recorded yet when it was decided", each.missing),
                ("proposal", "Spoke for a hold when it was decided", each.proposals),
            )
            for value in values
        ]
        why = of.reasons.get(each.gate_check_id)
        more: Resource = {
            "focus": [{"reference": f"urn:uuid:{each.infusion_id}"}],
            "valueCodeableConcept": {"text": each.decision},
            **({"component": parts} if parts else {}),
            **({"note": [{"text": why}]} if why else {}),
        }
        code = _ours("gate-decision", "Decision at the gate before an infusion")
        yield _observation(of, each.gate_check_id, code, each.decided_at, category="procedure", **more)


def _response(of: Gathered, row: ResponseRow) -> Iterator[Resource]:
    instrument = of.catalogue.find(row.code, row.version)
    asked: Mapping[str, Item] = {item.code: item for item in instrument.items} if instrument else {}
    yield {
        "resourceType": "QuestionnaireResponse",
        "id": str(row.instrument_response_id),
        "status": "completed",
        "questionnaire": f"urn:neap:instrument:{row.code}|{row.version}",
        "subject": _patient(of),
        "authored": row.counted_at,
        "item": [
            {**_asked(code, asked.get(code)), "answer": [{"valueInteger": value}]}
            for code, value in row.answers.items()
        ],
    }
    if row.total is not None:
        total = instrument.loinc.total if instrument and instrument.loinc else None
        text = f"{instrument.title if instrument else row.code}, total"
        code = _loinc(total, text) if total else _ours(f"total-{row.code}", text)
        found = uuid5(row.instrument_response_id, "total")
        value = {"valueQuantity": {"value": row.total, "unit": "{score}", "system": UCUM, "code": "{score}"}}
        from_ = {"derivedFrom": [{"reference": f"urn:uuid:{row.instrument_response_id}"}]}
        yield _observation(of, found, code, row.counted_at, category="survey", **value, **from_)


def _asked(code: str, item: Item | None) -> Resource:
    """The question as it was asked, by its LOINC code where it has one."""
    return {"linkId": code} if item is None else {"linkId": item.loinc or code, "text": item.text}


def _infusions(of: Gathered) -> Iterator[Resource]:
    for each in of.infusions:
        if each.state is not InfusionState.GIVEN or each.given_at is None:
            yield _appointment(of, each.infusion_id, "Ketamine infusion", each.state, each.planned_at, INFUSION_MINUTES)
            continue
        dose = {"value": each.dose_mg_per_kg, "unit": "mg/kg", "system": UCUM, "code": "mg/kg"}
        when: Resource = {"effectiveDateTime": each.given_at}
        if each.duration_minutes is not None:
            until = each.given_at + timedelta(minutes=each.duration_minutes)
            when = {"effectivePeriod": {"start": each.given_at, "end": until}}
        yield {
            "resourceType": "MedicationAdministration",
            "id": str(each.infusion_id),
            "status": "completed",
            "medicationCodeableConcept": {"coding": [KETAMINE], "text": "Ketamine infusion"},
            "subject": _patient(of),
            **when,
            **({} if each.dose_mg_per_kg is None else {"dosage": {"dose": dose}}),
        }


def _sessions(of: Gathered) -> Iterator[Resource]:
    for each in of.sessions:
        text = f"Therapy session: {each.modality}"
        if each.state is not SessionState.ATTENDED:
            yield _appointment(of, each.therapy_session_id, text, each.state, each.planned_at, each.minutes)
            continue
        yield {
            "resourceType": "Encounter",
            "id": str(each.therapy_session_id),
            "status": "finished",
            "class": AMBULATORY,
            "type": [{"text": text}],
            "subject": _patient(of),
            "period": {"start": each.planned_at, "end": each.planned_at + timedelta(minutes=each.minutes)},
        }


def _appointment(of: Gathered, found: UUID, text: str, state: str, at: datetime, minutes: int) -> Resource:
    return {
        "resourceType": "Appointment",
        "id": str(found),
        "status": APPOINTMENT_STATUS[state],
        "description": text,
        "start": at,
        "end": at + timedelta(minutes=minutes),
        "participant": [{"actor": _patient(of), "status": "needs-action" if state == "held" else "accepted"}],
    }


def _plans(of: Gathered) -> Iterator[Resource]:
    for course in of.courses:
        treated = sorted({each.substance for each in of.substances if each.course_id == course.course_id})
        planned = [each for each in of.infusions if each.course_id == course.course_id]
        over = course.phase is Phase.DISCHARGED
        period = {"start": course.started_on, **({"end": course.ended_on} if course.ended_on else {})}
        yield {
            "resourceType": "CarePlan",
            "id": str(course.course_id),
            "status": "completed" if over else "active",
            "intent": "plan",
            "title": f"Ketamine infusion therapy: {', '.join(treated)}",
            "subject": _patient(of),
            "period": period,
            "activity": [_activity(each.infusion_id, each.state) for each in planned],
        }


def _activity(infusion_id: UUID, state: InfusionState) -> Resource:
    outcome = {"reference": f"urn:uuid:{infusion_id}"}
    return {"outcomeReference": [outcome]} if state is InfusionState.GIVEN else {"reference": outcome}


def _messages(of: Gathered) -> Iterator[Resource]:
    """That the care team was told of an alert: when and by which channel; what it was about stands in the inbox."""
    for each in of.deliveries:
        if each.state in SENT and each.settled_at is not None:
            yield {
                "resourceType": "Communication",
                "id": str(each.delivery_id),
                "status": "completed",
                "category": [{"text": "alert to the care team"}],
                "medium": [{"text": each.channel}],
                "subject": _patient(of),
                "sent": each.settled_at,
                "payload": [{"contentString": "New alert in the inbox"}],
            }


def _consents(of: Gathered) -> Iterator[Resource]:
    """What the client said about recipients outside the clinic; the last one is active."""
    for number, each in enumerate(of.consents, start=1):
        text = "Recipients outside the clinic may be told that there is an alert"
        yield {
            "resourceType": "Consent",
            "id": str(each.consent_id),
            "status": "active" if number == len(of.consents) else "inactive",
            "scope": {"coding": [{"system": CONSENT_SCOPE, "code": "patient-privacy"}]},
            "category": [_loinc("59284-0", "Consent Document")],
            "patient": _patient(of),
            "dateTime": each.recorded_at,
            "policyRule": {"text": text},
            "provision": {"type": "permit" if each.given else "deny"},
        }
