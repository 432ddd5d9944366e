"""The tables of an export, row by row; `daily` and `treatment` have the columns that the import reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from uuid import UUID

from schemas.course import CourseEventKind, Infusion, InfusionState, SessionState, Substance
from schemas.gate import DrugScreen, ScreenResult
from service.export.gathered import Gathered

Row = Mapping[str, object]

CLIENT_COLUMNS = ("client", "given_name", "family_name", "time_zone", "enrolled_on")
DAILY_COLUMNS = (
    "client", "day", "craving_alcohol", "craving_cocaine", "craving_opioid", "craving_other", "mood", "anxiety",
    "infusion", "used", "note",
)  # fmt: skip
CHECK_IN_COLUMNS = (
    "client", "check_in", "kind", "day", "answered_at", "received_at", "counted_at", "time_zone", "craving_alcohol",
    "craving_cocaine", "craving_opioid", "craving_other", "mood", "anxiety", "used", "safety", "note",
)  # fmt: skip
TREATMENT_COLUMNS = (
    "client", "record", "at", "state", "given_at", "dose_mg_per_kg", "duration_minutes", "reason", "infusion", "panel",
    "positive", "readable", "confirmation", "systolic", "diastolic", "pulse", "unstable_cardiovascular_disease",
    "hypertension", "pregnancy", "ketamine_allergy", "raised_intracranial_pressure", "modality", "phase", "until",
    "instrument", "version", "answers",
)  # fmt: skip
PLANNED_COLUMNS = ("client", "what", "id", "planned_at", "state", "modality", "minutes")
DECISION_COLUMNS = (
    "client", "decision_id", "infusion_id", "planned_at", "decision", "decided_at", "expires_at", "decided_by",
    "missing", "proposals", "reason",
)  # fmt: skip
CONSENT_COLUMNS = ("client", "consent_id", "given", "recorded_at", "recorded_by")
LIST_ITEMS = TREATMENT_COLUMNS[16:21]
PAST = (InfusionState.GIVEN, InfusionState.HELD, InfusionState.MISSED, InfusionState.CANCELLED)


def clients(of: Gathered) -> Iterator[Row]:
    """The client by name; everywhere else by id."""
    one = of.client
    yield {
        "given_name": one.given_name,
        "family_name": one.family_name,
        "time_zone": one.time_zone,
        "enrolled_on": one.enrolled_on,
    }


def daily(of: Gathered) -> Iterator[Row]:
    """A row for each client day with an answer or an infusion; days of infusions are the clinic's calendar's."""
    given = {day_of(each, of) for each in of.infusions if each.state is InfusionState.GIVEN}
    answered = {row.client_day: row for row in of.days}
    for day in sorted(given | set(answered)):
        row = answered.get(day)
        infusion = 1 if day in given else None
        if row is None:
            yield {"day": day, "infusion": infusion}
            continue
        yield {
            "day": day,
            **_scores(row.craving, row.mood, row.anxiety),
            "infusion": infusion,
            "used": _used(row.used),
            "note": of.notes.get(row.check_in_id),
        }


def check_ins(of: Gathered) -> Iterator[Row]:
    """Every check-in of either kind with its times."""
    for row in of.check_ins:
        yield {
            "check_in": row.check_in_id,
            "kind": row.kind,
            "day": row.client_day,
            "answered_at": row.answered_at.isoformat(),
            "received_at": row.received_at.isoformat(),
            "counted_at": row.counted_at.isoformat(),
            "time_zone": row.time_zone,
            **_scores(row.craving, row.mood, row.anxiety),
            "used": _used(row.used),
            "safety": None if row.safety is None else int(row.safety),
            "note": of.notes.get(row.check_in_id),
        }


def treatment(of: Gathered) -> Iterator[Row]:
    """What lies behind: phases, pauses, infusions, what was checked before them, sessions, responses, a discharge."""
    yield from _course(of)
    past = {each.infusion_id: each for each in of.infusions if each.state in PAST and each.planned_at <= of.now}
    for each in past.values():
        given = each.state is InfusionState.GIVEN
        yield {
            "record": "infusion",
            "at": each.planned_at.isoformat(),
            "state": each.state,
            "given_at": each.given_at.isoformat() if given and each.given_at else None,
            "dose_mg_per_kg": each.dose_mg_per_kg if given else None,
            "duration_minutes": each.duration_minutes if given else None,
            "reason": each.reason,
        }
    yield from _gate(of, past)
    for session in of.sessions:
        if session.state is not SessionState.PLANNED and session.planned_at <= of.now:
            yield {
                "record": "session",
                "at": session.planned_at.isoformat(),
                "state": session.state,
                "duration_minutes": session.minutes,
                "modality": session.modality,
            }
    for response in of.responses:
        yield {
            "record": "response",
            "at": response.counted_at.isoformat(),
            "instrument": response.code,
            "version": response.version,
            "answers": ";".join(f"{code}={value}" for code, value in response.answers.items()),
        }


def _course(of: Gathered) -> Iterator[Row]:
    for event in of.events:
        if event.kind in (CourseEventKind.STARTED, CourseEventKind.PHASE_ENTERED) and event.phase:
            yield {"record": "phase", "at": event.from_on, "phase": event.phase}
    today = of.now.astimezone(of.zone).date()
    for pause in of.pauses:
        if pause.reason != "discharged" and pause.from_on <= today:
            yield {"record": "pause", "at": pause.from_on, "reason": pause.reason, "until": pause.until_on}
    ended = of.courses[-1].ended_on if of.courses else None
    if ended is not None and ended <= today:
        reasons = [each.reason for each in of.events if each.kind is CourseEventKind.DISCHARGED]
        yield {"record": "discharge", "at": ended, "reason": reasons[-1] if reasons else None}


def _gate(of: Gathered, past: Mapping[UUID, Infusion]) -> Iterator[Row]:
    def slot(infusion_id: UUID | None) -> Row:
        infusion = past.get(infusion_id) if infusion_id else None
        return {"infusion": day_of(infusion, of)} if infusion else {}

    for screen in of.screens:
        yield {"record": "screen", "at": screen.collected_at.isoformat(), **_screen(screen), **slot(screen.infusion_id)}
    for vital in of.vitals:
        numbers = {"systolic": vital.systolic, "diastolic": vital.diastolic, "pulse": vital.pulse}
        yield {"record": "pressure", "at": vital.measured_at.isoformat(), **numbers, **slot(vital.infusion_id)}
    for each in of.checklists:
        told = {name: getattr(each, name) for name in LIST_ITEMS}
        yield {"record": "contraindications", "at": each.checked_at.isoformat(), **told, **slot(each.infusion_id)}


def _screen(screen: DrugScreen) -> Row:
    return {
        "panel": ";".join(screen.panel),
        "positive": ";".join(screen.positive),
        "readable": int(screen.result is not ScreenResult.INVALID),
        "confirmation": screen.confirmation,
    }


def decisions(of: Gathered) -> Iterator[Row]:
    """What people decided at the gate, in order, with what was missing and proposed then; no import takes it."""
    for each in of.decisions:
        yield {
            "decision_id": each.gate_check_id,
            "infusion_id": each.infusion_id,
            "planned_at": each.planned_at.isoformat(),
            "decision": each.decision,
            "decided_at": each.decided_at.isoformat(),
            "expires_at": each.expires_at.isoformat() if each.expires_at else None,
            "decided_by": each.decided_by,
            "missing": ";".join(each.missing),
            "proposals": ";".join(each.proposals),
            "reason": of.reasons.get(each.gate_check_id),
        }


def consents(of: Gathered) -> Iterator[Row]:
    """What the client said about recipients outside the clinic, in order: the last row holds. No import takes it."""
    for each in of.consents:
        yield {
            "consent_id": each.consent_id,
            "given": int(each.given),
            "recorded_at": each.recorded_at.isoformat(),
            "recorded_by": each.recorded_by,
        }


def planned(of: Gathered) -> Iterator[Row]:
    """What lies ahead, which no import takes."""
    for infusion in of.infusions:
        if infusion.state in (InfusionState.PLANNED, InfusionState.HELD):
            at = infusion.planned_at.isoformat()
            yield {"what": "infusion", "id": infusion.infusion_id, "planned_at": at, "state": infusion.state}
    for session in of.sessions:
        if session.state is SessionState.PLANNED:
            yield {
                "what": "session",
                "id": session.therapy_session_id,
                "planned_at": session.planned_at.isoformat(),
                "state": session.state,
                "modality": session.modality,
                "minutes": session.minutes,
            }


def day_of(infusion: Infusion, of: Gathered) -> date:
    """The day of an infusion on the clinic's calendar."""
    return (infusion.given_at or infusion.planned_at).astimezone(of.zone).date()


def _scores(craving: Mapping[Substance, int], mood: int | None, anxiety: int | None) -> Row:
    return {**{f"craving_{each}": score for each, score in craving.items()}, "mood": mood, "anxiety": anxiety}


def _used(used: Sequence[Substance] | None) -> str | None:
    return None if used is None else ";".join(used) or "none"


TABLES: Mapping[str, tuple[Sequence[str], Callable[[Gathered], Iterator[Row]]]] = MappingProxyType(
    {
        "clients": (CLIENT_COLUMNS, clients),
        "daily": (DAILY_COLUMNS, daily),
        "check_ins": (CHECK_IN_COLUMNS, check_ins),
        "treatment": (TREATMENT_COLUMNS, treatment),
        "decisions": (DECISION_COLUMNS, decisions),
        "consents": (CONSENT_COLUMNS, consents),
        "planned": (PLANNED_COLUMNS, planned),
    }
)
"""File name without its ending → its columns, and what yields a client's rows."""
