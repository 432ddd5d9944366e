"""What is found about appointments: a gate open shortly before its slot or when it was given, a window about to close.

Each is found once and withdrawn when it is no longer true, and may be found again; what was found stays on record.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Finding, NewFinding, Rule, Tier
from schemas.course import InfusionState, PauseReason
from schemas.gate import GateState
from schemas.session import Coverage, CoverageState
from service.alerting import alerts, findings
from service.database import Db
from service.facts import client_day, courses, coverage, gate_checks, infusions, pauses, sessions
from service.gate import read
from service.gate.read import Gate
from service.people import audit, clients, clinics, staff
from service.rules import rule_sets

RULES = (Rule.GATE_PENDING, Rule.UNCOVERED_WINDOW, Rule.GIVEN_NOT_CLEAR)
OF_GATES = frozenset({Rule.GATE_PENDING, Rule.GIVEN_NOT_CLEAR})
# What was found longer ago is history: whatever is recorded about it later, it stays as it was.
SETTLED_AFTER = timedelta(days=14)
# What was given longer ago is entered for the record: nobody can see to its gate any more.
GIVEN_LATELY = timedelta(days=3)
# By night the clock alone tells only what cannot wait for the morning.
NIGHT_BEGINS, NIGHT_ENDS = time(21), time(6)
NIGHT_REACH = timedelta(hours=8)


class Watched(msgspec.Struct, kw_only=True):
    """What watching did."""

    clients: int = 0
    found: int = 0
    withdrawn: int = 0

    def add(self, other: Watched) -> None:
        """Count a further client."""
        self.clients += other.clients
        self.found += other.found
        self.withdrawn += other.withdrawn


TO_WATCH = """
select distinct c.client_id
from client c
where c.clinic_id = $1
  and c.origin = 'live'
  and (
    exists (
      select
      from infusion i
      join course co
        on co.clinic_id = i.clinic_id
        and co.course_id = i.course_id
      where i.clinic_id = $1
        and i.client_id = c.client_id
        and co.phase <> 'discharged'
        and (i.planned_at between $2 and $3 or i.given_at between $4 and $2)
    )
    or exists (
      select
      from finding f
      where f.clinic_id = $1
        and f.client_id = c.client_id
        and f.rule = any ($5::text[])
        and f.client_day >= $6
        and not exists (
          select
          from finding_withdrawal w
          where w.clinic_id = f.clinic_id
            and w.finding_id = f.finding_id
        )
    )
  )
order by c.client_id
"""


async def to_watch(db: Db, *, now: datetime) -> list[UUID]:
    """Clients with an infusion soon or a window still open, and those about whom something was found and stands."""
    setting = await gate_checks.setting_of(db)
    soon = now + timedelta(hours=setting.gate_warning_hours)
    first = now - timedelta(hours=setting.therapy_window_hours)
    oldest = (now - SETTLED_AFTER).date()
    records = await db.connection.fetch(TO_WATCH, db.clinic_id, now, soon, first, list(RULES), oldest)
    return [record["client_id"] for record in records]


async def watch(
    db: Db,
    client_id: UUID,
    *,
    now: datetime,
    given: UUID | None = None,
    after_record: bool = False,
    by_the_clock: bool = False,
) -> Watched:
    """Find for one client what is true now and was not found yet, and withdraw what was found and is true no more.

    By the job (`by_the_clock`), and in the transaction of whoever plans, records or decides: a gate of today cannot
    wait for the job. `given`: an infusion that was said just now to have been given. `after_record`: somebody is
    recording at a gate, and of one that nobody has decided yet only the clock tells. Once the client is discharged
    nothing else is found, and while the clinic pauses them no window: what is planned nevertheless has its gate.

    Raises NotFound.
    """
    counts, standing, gates, windows = await _settled(db, client_id, now=now, given=given)
    clinic_zone = ZoneInfo((await clinics.get(db)).time_zone)
    zone = client_day.zone_or_none((await clients.get(db, client_id)).time_zone) or clinic_zone
    found = [_given(each, zone) for each in gates if each.slot.infusion_id == given and was_given_not_clear(each, now)]
    if any(each.ended_on is None for each in await courses.of(db, client_id)):
        until = _told_until(now, clinic_zone) if by_the_clock else None
        soon = [each for each in gates if is_pending_soon(each, now) and _comes(each.slot.planned_at, until)]
        found += [_pending(each, zone, now) for each in soon if each.standing.decision is not None or not after_record]
        closing = [each for each in windows if closes_tomorrow_without_session(each, clinic_zone, now)]
        closing = [] if await _is_away(db, client_id, client_day.of(now, zone)) else closing
        found += [_uncovered(each, zone, now) for each in closing if _comes(each.closes_at, until)]
    stood = {_about(each) for each in standing}
    versions = await rule_sets.of(db)
    for each in found:
        if _about(each) not in stood:
            version = rule_sets.on(versions, each.client_day).version
            change = await alerts.open_or_join(db, client_id, [each], now=now, rule_set_version=version)
            counts.found += len(change.opened) + len(change.joined)
    if counts.found or counts.withdrawn:
        await audit.record(db, audit.JOB, "appointments.watch", client_id=client_id, now=now)
    return counts


def _told_until(now: datetime, clinic_zone: ZoneInfo) -> datetime | None:
    """Up to when something must come for the clock to tell of it now; None by day."""
    local = now.astimezone(clinic_zone).time()
    return now + NIGHT_REACH if local >= NIGHT_BEGINS or local < NIGHT_ENDS else None


def _comes(at: datetime, until: datetime | None) -> bool:
    return until is None or at <= until


async def _is_away(db: Db, client_id: UUID, today: date) -> bool:
    """Whether the clinic pauses them: whoever only left the monitoring has their sessions as before."""
    away = [each for each in await pauses.of(db, client_id) if each.reason is not PauseReason.LEFT_MONITORING]
    return any(each.covers(today) for each in away)


async def _settled(
    db: Db, client_id: UUID, *, now: datetime, given: UUID | None = None
) -> tuple[Watched, list[Finding], list[Gate], list[Coverage]]:
    """What was withdrawn, what stands, and the gates and windows that say so."""
    setting = await gate_checks.setting_of(db)
    recent = [each for each in await findings.standing_of_many(db, [client_id], rules=RULES) if _is_recent(each, now)]
    about = {UUID(str(each.numbers["infusion_id"])) for each in recent if each.rule in OF_GATES}
    about |= set() if given is None else {given}
    gates = await _gates(db, client_id, about, now=now, warning=timedelta(hours=setting.gate_warning_hours))
    windows = coverage.of(
        await infusions.of(db, client_id),
        await sessions.of(db, client_id),
        window_hours=setting.therapy_window_hours,
        now=now,
        gone=await staff.gone(db),
    )
    counts, standing = Watched(clients=1), []
    for finding in recent:
        why = _settled_why(finding, gates, windows)
        if why is None:
            standing.append(finding)
            continue
        counts.withdrawn += await findings.withdraw(db, finding.finding_id, why=why, now=now)
        if finding.alert_id is not None:
            await alerts.mark_recalculated(db, finding.alert_id, finding_id=finding.finding_id, now=now)
    return counts, standing, gates, windows


def _is_recent(finding: Finding, now: datetime) -> bool:
    return finding.client_day >= (now - SETTLED_AFTER).date()


async def _gates(
    db: Db, client_id: UUID, infusion_ids: Collection[UUID], *, now: datetime, warning: timedelta
) -> list[Gate]:
    """The gates of the slots that come soon, and of these infusions."""
    slots = await gate_checks.slots_between(db, [client_id], now, now + warning)
    known = {slot.infusion_id for slot in slots}
    slots += [await gate_checks.slot_of(db, client_id, each) for each in sorted(infusion_ids) if each not in known]
    return await read.of_slots(db, slots, now=now)


def _settled_why(finding: Finding, gates: Sequence[Gate], windows: Sequence[Coverage]) -> str | None:
    if finding.rule is Rule.GATE_PENDING:
        return gate_settled(finding, gates)
    return given_settled(finding, gates) if finding.rule is Rule.GIVEN_NOT_CLEAR else window_settled(finding, windows)


def is_pending_soon(gate: Gate, now: datetime) -> bool:
    """Whether the gate is pending although its slot comes soon."""
    coming = gate.slot.state in (InfusionState.PLANNED, InfusionState.HELD)
    warning = timedelta(hours=gate.setting.gate_warning_hours)
    return coming and gate.standing.state is GateState.PENDING and now <= gate.slot.planned_at < now + warning


def gate_settled(finding: Finding, gates: Sequence[Gate]) -> str | None:
    """Why a finding about a gate is no longer true; None while it is. One that was never decided stays."""
    gate = next((each for each in gates if str(each.slot.infusion_id) == finding.numbers.get("infusion_id")), None)
    if gate is None or gate.slot.state in (InfusionState.CANCELLED, InfusionState.MISSED):
        return "the infusion does not take place"
    if gate.slot.planned_at.isoformat() != finding.numbers.get("planned_at"):
        return "the infusion moved"
    if gate.standing.state is GateState.NOT_DUE:
        return "the gate is not due any more"
    return None if gate.standing.state is GateState.PENDING else "the gate was decided"


def was_given_not_clear(gate: Gate, now: datetime) -> bool:
    """Whether it was given lately although its gate was on hold, or was open where the clinic is warned of that."""
    if gate.slot.given_at is None or now - gate.slot.given_at > GIVEN_LATELY:
        return False
    if gate.standing.state in (GateState.CLEAR, GateState.OVERRIDDEN):
        return False
    return gate.standing.state is GateState.HOLD or gate.setting.gate_warning_hours > 0


def given_settled(finding: Finding, gates: Sequence[Gate]) -> str | None:
    """Why it is no longer true that an infusion was given with its gate not clear; None while it is."""
    gate = next((each for each in gates if str(each.slot.infusion_id) == finding.numbers.get("infusion_id")), None)
    if gate is None or gate.slot.given_at is None:
        return "the infusion was not given"
    if gate.slot.given_at.isoformat() != finding.numbers.get("given_at"):
        return "when it was given was corrected"
    return None


def closes_tomorrow_without_session(window: Coverage, clinic_zone: ZoneInfo, now: datetime) -> bool:
    """Whether an open window ends today or tomorrow on the clinic's calendar, and nothing is to come in it."""
    tomorrow = now.astimezone(clinic_zone).date() + timedelta(days=1)
    unheld = window.state in (CoverageState.OPEN, CoverageState.UNRECORDED) and window.closes_at > now
    return unheld and window.closes_at.astimezone(clinic_zone).date() <= tomorrow


def window_settled(finding: Finding, windows: Sequence[Coverage]) -> str | None:
    """Why a finding about a window is no longer true; None while it is. One that closed uncovered stays."""
    window = next((each for each in windows if str(each.infusion_id) == finding.numbers.get("infusion_id")), None)
    if window is None:
        return "the infusion was not given"
    if window.closes_at.isoformat() != finding.numbers.get("closes_at"):
        return "the window changed"
    without = (CoverageState.OPEN, CoverageState.UNRECORDED, CoverageState.UNCOVERED)
    return None if window.state in without else "a session is booked"


def _pending(gate: Gate, zone: ZoneInfo, now: datetime) -> NewFinding:
    # How many things speak for a hold, and not which: whoever reads alerts need not see what a screen found.
    numbers: dict[str, object] = {
        "infusion_id": str(gate.slot.infusion_id),
        "planned_at": gate.slot.planned_at.isoformat(),
        "hours_left": round((gate.slot.planned_at - now).total_seconds() / 3600, 1),
        "warning_hours": gate.setting.gate_warning_hours,
        "missing": [str(each) for each in gate.assessment.missing],
        "speaking_for_hold": len(gate.assessment.proposals),
    }
    on = client_day.of(gate.slot.planned_at, zone)
    return NewFinding(
        client_day=on, rule=Rule.GATE_PENDING, tier=Tier.TODAY, numbers=numbers, infusion_id=gate.slot.infusion_id
    )


def _given(gate: Gate, zone: ZoneInfo) -> NewFinding:
    given_at = gate.slot.given_at
    assert given_at is not None, "only what was given is found"
    numbers: dict[str, object] = {
        "infusion_id": str(gate.slot.infusion_id),
        "given_at": given_at.isoformat(),
        "gate": str(gate.standing.state),
        "had_lapsed": gate.standing.lapse is not None,
    }
    on = client_day.of(given_at, zone)
    return NewFinding(
        client_day=on, rule=Rule.GIVEN_NOT_CLEAR, tier=Tier.TODAY, numbers=numbers, infusion_id=gate.slot.infusion_id
    )


def _uncovered(window: Coverage, zone: ZoneInfo, now: datetime) -> NewFinding:
    numbers: dict[str, object] = {
        "infusion_id": str(window.infusion_id),
        "given_on": client_day.of(window.given_at, zone).isoformat(),
        "closes_at": window.closes_at.isoformat(),
        "hours_left": round((window.closes_at - now).total_seconds() / 3600, 1),
        "window_hours": round((window.closes_at - window.given_at).total_seconds() / 3600),
        # One whose time has passed, of which nobody has recorded whether it took place.
        "unrecorded_sessions": int(window.state is CoverageState.UNRECORDED),
    }
    on = client_day.of(window.closes_at, zone)
    return NewFinding(
        client_day=on, rule=Rule.UNCOVERED_WINDOW, tier=Tier.TODAY, numbers=numbers, infusion_id=window.infusion_id
    )


def _about(finding: Finding | NewFinding) -> tuple[object, ...]:
    """What makes a finding the same one: the infusion, and the slot, the moment or the window's end it is about."""
    numbers = finding.numbers
    about = (numbers.get("planned_at"), numbers.get("given_at"), numbers.get("closes_at"))
    return finding.rule, numbers.get("infusion_id"), *about
