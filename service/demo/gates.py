"""Gates of the fictional clinic: what its nurse records two days before an infusion, and who decides what.

Seeded like the stories: whoever used something is found out by a screen more often than not, some screens cross-react,
some pressures are high at first, and some slots are prepared on the day itself only.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.course import ChangeReason, Infusion, InfusionState, Substance
from schemas.gate import (
    Analyte,
    ChecklistForm,
    Confirmation,
    Decision,
    GateState,
    Missing,
    Presence,
    Proposal,
    ScreenForm,
    VitalForm,
)
from service.database import Db
from service.demo import stories
from service.demo.clinic import NURSE, PRESCRIBER, Appointments, DemoClinic
from service.demo.diary import CLINIC_ZONE, Slot, is_away
from service.demo.people import Person
from service.facts import infusions
from service.gate import decide, read
from service.keys.sealing import Sealer
from service.people import clients

PREPARED_BEFORE = timedelta(days=2)
PREPARED_AT = time(15)
SETTLED_BEFORE = timedelta(minutes=75)
PANEL = [
    Analyte.ALCOHOL_MARKER,
    Analyte.COCAINE,
    Analyte.OPIOID,
    Analyte.BENZODIAZEPINE,
    Analyte.AMPHETAMINE,
    Analyte.CANNABIS,
]
ANALYTE_OF = {
    Substance.ALCOHOL: Analyte.ALCOHOL_MARKER,
    Substance.COCAINE: Analyte.COCAINE,
    Substance.OPIOID: Analyte.OPIOID,
    Substance.OTHER: Analyte.CANNABIS,
}
LOOKED_BACK_DAYS = 3
# Shares of slots: prepared late, a screen that finds what nobody reported, a pressure that is high at first.
UNPREPARED, UNREPORTED, HIGH_AT_FIRST = 0.06, 0.04, 0.1

HOLD_REASONS = (
    "Screen to be confirmed by the laboratory before we go on.",
    "Talked with the client; we wait for the laboratory.",
)
HELD_BEFORE = "Another infusion was put on hold: looked at once more with the prescriber before this one."
OVERRIDE_REASONS = (
    "Talked it over with the client and the therapist; going on serves the treatment better than stopping here.",
    "Client reported it beforehand, sober for two days, well today.",
)


class Visit(msgspec.Struct, frozen=True):
    """One infusion of one fictional client, with all that is needed to act at its gate."""

    db: Db
    demo: DemoClinic
    master: Sealer
    client_id: UUID
    infusion_id: UUID

    async def record(self, form: decide.Form, *, at: datetime) -> None:
        """The nurse records something."""
        by = self.demo.staff_ids[NURSE]
        await decide.record(self.db, self.client_id, self.infusion_id, form, by=by, now=at)

    async def decide(self, decision: Decision, *, by: str, at: datetime, reason: str | None = None) -> None:
        """Somebody decides."""
        await decide.decide(
            self.db,
            self.client_id,
            self.infusion_id,
            decision,
            reason=reason,
            by=self.demo.staff_ids[by],
            now=at,
            sealer=await clients.sealer_of(self.db, self.master, self.client_id),
        )


async def on_day(
    db: Db, demo: DemoClinic, master: Sealer, person: Person, client_id: UUID, appointments: Appointments, day: date
) -> None:
    """What happens on `day` at the gates of the person's infusions: of those in two days, and of today's."""
    today = {slot.planned_at: slot for slot in appointments.of(day).infusions}
    for infusion in await infusions.of(db, client_id):
        visit = Visit(db, demo, master, client_id, infusion.infusion_id)
        if infusion.state not in (InfusionState.PLANNED, InfusionState.HELD):
            continue
        if infusion.planned_at.astimezone(CLINIC_ZONE).date() == day + PREPARED_BEFORE:
            await _prepare(visit, person, day)
        elif infusion.planned_at in today:
            await _settle(visit, person, infusion, today[infusion.planned_at], day=day)


async def _prepare(visit: Visit, person: Person, day: date) -> None:
    away = is_away(person, visit.demo.first_day, day + PREPARED_BEFORE)
    if away or stories.share(person, day, "unprepared") < UNPREPARED:
        return
    at = datetime.combine(day, PREPARED_AT, ZoneInfo(person.time_zone)).astimezone(UTC)
    positive = found_in(person, visit.demo.first_day, day)
    await visit.record(a_screen(positive, at=at), at=at + timedelta(minutes=10))
    await _measure(visit, person, day, at=at + timedelta(minutes=12))
    await visit.record(a_list(person, at=at + timedelta(minutes=40)), at=at + timedelta(minutes=40))
    decided_at = at + timedelta(minutes=45)
    if positive:
        reason = stories.pick(person, day, "hold reason", HOLD_REASONS)
        await visit.decide(Decision.HOLD, by=NURSE, at=decided_at, reason=reason)
    else:
        await clear(visit, at=decided_at)


async def _measure(visit: Visit, person: Person, day: date, *, at: datetime) -> None:
    share = stories.share(person, day, "pressure")
    systolic, diastolic = 112 + int(24 * share), 70 + int(16 * share)
    if share < HIGH_AT_FIRST:
        await visit.record(a_reading(systolic + 34, diastolic + 22, at=at), at=at)
        at += timedelta(minutes=20)
    await visit.record(a_reading(systolic, diastolic, at=at), at=at)


async def _settle(visit: Visit, person: Person, infusion: Infusion, slot: Slot, *, day: date) -> None:
    """On the day itself: what is open is closed for whoever comes, and a hold on whoever does not is taken back."""
    at = infusion.planned_at.astimezone(UTC) - SETTLED_BEFORE
    gate = await read.of_infusion(visit.db, visit.client_id, visit.infusion_id, now=at)
    state = gate.standing.state
    if slot.infusion is InfusionState.HELD:
        await _hold(visit, person, slot, at=at)
        return
    if slot.infusion is not InfusionState.GIVEN:
        if state is GateState.HOLD:
            await visit.decide(Decision.RELEASE, by=NURSE, at=at)
        return
    if state in (GateState.CLEAR, GateState.OVERRIDDEN):
        return
    if state is GateState.HOLD and stories.share(person, day, "override") < 0.5:
        reason = stories.pick(person, day, "override reason", OVERRIDE_REASONS)
        await visit.decide(Decision.OVERRIDE, by=PRESCRIBER, at=at, reason=reason)
        return
    await visit.record(a_screen([], at=at, confirmation=Confirmation.CONFIRMED), at=at)
    if Missing.PRESSURE in gate.assessment.missing or Proposal.PRESSURE_ABOVE_LIMIT in gate.assessment.proposals:
        await visit.record(a_reading(122, 79, at=at), at=at)
    if Missing.CHECKLIST in gate.assessment.missing:
        await visit.record(a_list(person, at=at), at=at)
    await clear(visit, at=at + timedelta(minutes=20))


async def clear(visit: Visit, *, at: datetime) -> None:
    """The nurse clears, once somebody has answered for a hold that another infusion was on."""
    gate = await read.of_infusion(visit.db, visit.client_id, visit.infusion_id, now=at)
    if Proposal.HELD_ELSEWHERE in gate.assessment.proposals:
        await visit.decide(Decision.HOLD, by=NURSE, at=at - timedelta(minutes=8), reason=HELD_BEFORE)
        await visit.decide(Decision.RELEASE, by=NURSE, at=at - timedelta(minutes=2))
    await visit.decide(Decision.CLEAR, by=NURSE, at=at)


async def _hold(visit: Visit, person: Person, slot: Slot, *, at: datetime) -> None:
    """Whatever the story says why: a high pressure, or a screen that found something."""
    if slot.reason is ChangeReason.DRUG_SCREEN:
        await visit.record(a_screen([ANALYTE_OF[person.substances[0]]], at=at), at=at)
        reason = HOLD_REASONS[0]
    else:
        await visit.record(a_reading(158, 98, at=at), at=at)
        reason = "Pressure twice above the limit; the client goes home and comes back another day."
    await visit.decide(Decision.HOLD, by=NURSE, at=at + timedelta(minutes=10), reason=reason)


def found_in(person: Person, first_day: date, day: date) -> list[Analyte]:
    """What a screen of that day finds: what was used in the days before, now and then something nobody reported."""
    answers = [
        stories.answer_on(person, first_day, day - timedelta(days=ago)) for ago in range(1, LOOKED_BACK_DAYS + 1)
    ]
    used = {substance for answer in answers if answer is not None for substance in answer.used}
    if stories.share(person, day, "unreported") < UNREPORTED:
        used.add(person.substances[0])
    return sorted({ANALYTE_OF[substance] for substance in used})


def a_screen(
    positive: list[Analyte], *, at: datetime, confirmation: Confirmation = Confirmation.PRESUMPTIVE
) -> ScreenForm:
    """A screen with the clinic's panel."""
    return ScreenForm(panel=PANEL, positive=positive, collected_at=at, confirmation=confirmation)


def a_reading(systolic: int, diastolic: int, *, at: datetime) -> VitalForm:
    """Blood pressure and pulse."""
    return VitalForm(systolic=systolic, diastolic=diastolic, pulse=60 + systolic % 17, measured_at=at)


def a_list(person: Person, *, at: datetime) -> ChecklistForm:
    """The list of contraindications, of which nobody in the demonstration has any."""
    applies = stories.share(person, date(2026, 1, 1), "pregnancy applies") < 0.4
    return ChecklistForm(
        unstable_cardiovascular_disease=Presence.ABSENT,
        hypertension=Presence.ABSENT,
        pregnancy=Presence.ABSENT if applies else Presence.NOT_APPLICABLE,
        ketamine_allergy=Presence.ABSENT,
        raised_intracranial_pressure=Presence.ABSENT,
        checked_at=at,
    )
