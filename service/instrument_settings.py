"""What a clinic does about instruments: bring in its own, and choose how often each is asked."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from schemas.course import Phase
from schemas.instrument import Instrument, Rhythm
from schemas.instrument_response import ChosenRhythm, InstrumentLine, RhythmForm
from service import errors
from service.database import Db
from service.errors import FieldFault
from service.facts import client_day, instruments
from service.instruments import catalogue, definition
from service.people import audit, clinics
from service.people.audit import Actor


def json_of(raw: bytes) -> bytes:
    """A TOML data file as the JSON it stands for. Raises Invalid naming the line that is no TOML."""
    try:
        return msgspec.json.encode(tomllib.loads(raw.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.Invalid("The file is no TOML.", fields=(FieldFault("", str(error)),)) from error
    except (ValueError, OverflowError, RecursionError) as error:
        fault = FieldFault("", "a number too long, or lists within lists too deep")
        raise errors.Invalid("The file holds what no instrument does.", fields=(fault,)) from error


async def add(db: Db, instrument: Instrument, *, by: Actor, now: datetime) -> bool:
    """Bring in a version of the clinic's own instrument; False where exactly this was there already.

    It is asked from the clinic's day on. Raises Invalid for what contradicts itself, Conflict for a code that ships
    with Neap, or a version that is not the next one.
    """
    definition.refuse_contradictory(instrument)
    if any(code == instrument.code for code, _ in catalogue.shipped()):
        raise errors.Conflict("An instrument of this code ships with Neap. Give yours another code.")
    known = await instruments.catalogue_of(db)
    before = known.find(instrument.code, instrument.version)
    if before == instrument:
        return False
    newest = known.newest(instrument.code)
    following = 1 if newest is None else newest.version + 1
    if instrument.version != following:
        raise errors.Conflict(f"A version never changes. The next one of this instrument is {following}.")
    zone = ZoneInfo((await clinics.get(db)).time_zone)
    await instruments.add(db, instrument, added_on=client_day.of(now, zone), by=by.staff_id, now=now)
    await audit.record(db, by, "instrument.add", now=now)
    return True


async def choose(db: Db, code: str, form: RhythmForm, *, by: Actor, now: datetime) -> ChosenRhythm:
    """Choose how often an instrument is asked in a phase from today or a later day on; what was before stays.

    Raises NotFound, Invalid for a day that is over or a rhythm that cannot be.
    """
    instrument = (await instruments.catalogue_of(db)).newest(code)
    if instrument is None:
        raise errors.NotFound("Not found.")
    today = client_day.of(now, ZoneInfo((await clinics.get(db)).time_zone))
    faults = []
    if form.from_on < today:
        faults.append(FieldFault("from_on", f"{today.isoformat()} or later"))
    if form.phase is Phase.DISCHARGED:
        faults.append(FieldFault("phase", "nobody is asked after a discharge"))
    if form.open_days is not None and (form.every_days is None or form.open_days > form.every_days):
        faults.append(FieldFault("open_days", "not more than every_days"))
    if faults:
        raise errors.Invalid("The rhythm was refused.", fields=faults)
    chosen = await instruments.choose(
        db,
        code,
        form.phase,
        every_days=form.every_days,
        open_days=_open_days(instrument, form),
        from_on=form.from_on,
        by=by.staff_id,
        now=now,
    )
    await audit.record(db, by, "instrument.schedule", now=now)
    return chosen


def _open_days(instrument: Instrument, form: RhythmForm) -> int | None:
    if form.every_days is None or form.open_days is not None:
        return form.open_days
    planned = next((each.open_days for each in instrument.schedule if each.phase is form.phase), form.every_days)
    return min(planned, form.every_days)


class PhaseRhythm(NamedTuple):
    """How an instrument is asked in a phase today (None: not at all), and what was chosen for days to come."""

    phase: Phase
    rhythm: Rhythm | None
    chosen: bool
    coming: list[ChosenRhythm]


def rhythms_of(line: InstrumentLine, today: date) -> list[PhaseRhythm]:
    """How an instrument is asked in each phase that a course runs through."""
    return [
        PhaseRhythm(
            phase=phase,
            rhythm=instruments.rhythm_on(line.definition, line.chosen, phase, today),
            chosen=any(each.phase is phase and each.from_on <= today for each in line.chosen),
            coming=[each for each in line.chosen if each.phase is phase and each.from_on > today],
        )
        for phase in Phase
        if phase is not Phase.DISCHARGED
    ]


async def all_of(db: Db) -> list[InstrumentLine]:
    """Every instrument that the clinic has, by code."""
    known, choices = await instruments.catalogue_of(db), await instruments.choices_of(db)
    return [
        InstrumentLine(
            definition=newest, own=known.is_own(code), chosen=[each for each in choices if each.code == code]
        )
        for code in known.codes
        if (newest := known.newest(code)) is not None
    ]
