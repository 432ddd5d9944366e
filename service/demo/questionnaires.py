"""What the fictional clients answer to the instruments that are due: along their stories, and always the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from uuid import UUID

import msgspec

from schemas.course import Substance
from schemas.instrument import Instrument
from service import ids, instrument_log
from service.database import Db
from service.demo import stories
from service.demo.people import Person
from service.demo.stories import Answer
from service.facts import instruments
from service.facts.instruments import ResponseRow
from service.instruments import scoring
from service.intake import instrument_intake
from service.keys.sealing import Sealer

# How many of the days on which something is due somebody takes the time.
TAKES_TIME = 0.25
LEAVES_OUT = 0.06
# For so many days after the course began a client who is treated for alcohol tells of the drinking before it.
DRINKING_DAYS = 14
# What became due in the last days of the history is left to whoever visits with the phone of a client.
VISITORS_DAYS = 7
LATER = timedelta(minutes=2)
MOST_CRAVING = 10


def takes_time(person: Person, answer: Answer) -> bool:
    """Whether the person answers what is due on that day, too."""
    return stories.share(person, answer.day, "takes time") < TAKES_TIME


async def respond(db: Db, master: Sealer, person: Person, client_id: UUID, answer: Answer, *, first_day: date) -> int:
    """Answer what is due on the day of a check-in, as it would have been sent with it; how many there were."""
    left_to_visitor = person.visitor and (answer.day - first_day).days > stories.HISTORY_DAYS - VISITORS_DAYS
    if left_to_visitor or not takes_time(person, answer):
        return 0
    facts = await instrument_log.read(db, client_id)
    began = facts.courses[-1].started_on
    due = instrument_log.due_of(facts, answer.day)
    for each in due:
        instrument = facts.catalogue.find(each.code, each.version)
        assert instrument is not None
        days_in, unsafe = (answer.day - began).days, stories.asked_for_help_lately(person, first_day, answer.day)
        given = answers_of(person, answer, instrument, days_in=days_in, unsafe=unsafe)
        row = _row(master, person, client_id, answer, instrument, given)
        if await instruments.store(db, row):
            late_days = (answer.received_at.date() - answer.day).days
            await instrument_intake.find_urgent(db, row, instrument, late_days=late_days)
    return len(due)


def _row(
    master: Sealer, person: Person, client_id: UUID, answer: Answer, instrument: Instrument, given: Mapping[str, int]
) -> ResponseRow:
    score, content = scoring.score(instrument, given), (instrument.code, answer.day, sorted(given.items()))
    return ResponseRow(
        instrument_response_id=ids.new(),
        client_id=client_id,
        code=instrument.code,
        version=instrument.version,
        answers=dict(given),
        total=score.total,
        missing=score.missing,
        answered_at=answer.answered_at + LATER,
        sent_at=answer.received_at + LATER,
        received_at=answer.received_at + LATER,
        counted_at=answer.answered_at + LATER,
        time_zone=person.time_zone,
        zone_known=True,
        client_day=answer.day,
        device_id=None,
        content_hash=master.keyed_hash(msgspec.json.encode(content), purpose="instrument_response.demo"),
    )


def answers_of(person: Person, answer: Answer, instrument: Instrument, *, days_in: int, unsafe: bool) -> dict[str, int]:
    """What the person answers on that day of the course, by the day's mood, anxiety and craving; `unsafe`: urgent."""
    if instrument.code == "audit_c":
        return _drinking(answer, days_in)
    craving = max(answer.craving.values(), default=0)
    burden = {
        "phq9": MOST_CRAVING - answer.mood,
        "gad7": answer.anxiety,
        "pacs": answer.craving.get(Substance.ALCOHOL, craving),
    }.get(instrument.code, craving)
    given = {}
    for item in instrument.items:
        values = sorted(option.value for option in instrument.options_of(item))
        wobble = stories.share(person, answer.day, f"{instrument.code} {item.code}") - 0.5
        at = round((len(values) - 1) * burden / MOST_CRAVING + wobble)
        given[item.code] = values[min(max(at, 0), len(values) - 1)]
    urgent = {each.item for each in instrument.urgent}
    for code in urgent:
        given[code] = int(unsafe)
    if stories.share(person, answer.day, f"{instrument.code} leaves out") < LEAVES_OUT:
        del given[next(code for code in given if code not in urgent)]
    return given


def _drinking(answer: Answer, days_in: int) -> dict[str, int]:
    if days_in < DRINKING_DAYS:
        return {"1": 4, "2": 2, "3": 3}
    used = Substance.ALCOHOL in answer.used or answer.craving.get(Substance.ALCOHOL, 0) > MOST_CRAVING / 2
    return {"1": 1, "2": 1, "3": 1} if used else {"1": 0}
