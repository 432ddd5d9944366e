"""A client's instruments as staff read them: totals by time, what changed, and every time one was asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.client import Client
from schemas.course import Course
from schemas.instrument import Instrument
from schemas.instrument_response import (
    Change,
    ClientInstruments,
    InstrumentSeries,
    RuleInWords,
    SeriesPoint,
)
from service import instrument_log
from service.database import Db
from service.facts import client_day, client_zone, instruments
from service.facts.instruments import ResponseRow
from service.instrument_log import Facts
from service.instruments import change, scoring

NO_MISSING = RuleInWords(
    formula="every item must be answered; otherwise there is no total", source="no rule is published"
)


class InstrumentsView(NamedTuple):
    """All that the page shows."""

    client: Client
    series: list[InstrumentSeries]


async def read(db: Db, client_id: UUID, *, now: datetime) -> InstrumentsView:
    """Every instrument the client is or was asked, or answered. Raises NotFound."""
    facts, rows = await instrument_log.read(db, client_id), await instruments.responses_of(db, client_id)
    zone = await client_zone.of(db, facts.client)
    today = client_day.of(now, zone)
    series = [
        _series(facts, code, [row for row in rows if row.code == code], today=today, zone=zone)
        for code in facts.catalogue.codes
    ]
    return InstrumentsView(facts.client, [each for each in series if each.points or each.windows])


def reply_of(view: InstrumentsView) -> ClientInstruments:
    """The same for the API."""
    return ClientInstruments(items=view.series)


def _series(facts: Facts, code: str, rows: Sequence[ResponseRow], *, today: date, zone: ZoneInfo) -> InstrumentSeries:
    instrument = facts.catalogue.newest(code)
    assert instrument is not None
    least, greatest = scoring.range_of(instrument)
    missing = instrument.missing
    return InstrumentSeries(
        code=code,
        version=instrument.version,
        title=instrument.title,
        attribution=instrument.attribution,
        licence=instrument.licence,
        source=instrument.source,
        worse=instrument.worse,
        least=least,
        greatest=greatest,
        missing_rule=NO_MISSING
        if missing is None
        else RuleInWords(
            formula=f"up to {missing.at_most} items may be missing: the mean of the answered ones stands in for them",
            source=missing.source,
        ),
        bands_source=instrument.bands_source,
        reliable_change=None
        if (rule := instrument.reliable_change) is None
        else RuleInWords(formula=change.formula_of_reliable(rule), source=rule.source),
        response=None
        if instrument.response is None
        else RuleInWords(formula=change.formula_of_response(instrument.response), source=instrument.response.source),
        remission=None
        if instrument.remission is None
        else RuleInWords(formula=change.formula_of_remission(instrument.remission), source=instrument.remission.source),
        points=_points(facts, code, rows, zone=zone),
        windows=instrument_log.log_of(facts, code, today),
    )


def _points(facts: Facts, code: str, rows: Sequence[ResponseRow], *, zone: ZoneInfo) -> list[SeriesPoint]:
    points: list[SeriesPoint] = []
    before: list[ResponseRow] = []
    for row in rows:
        instrument = facts.catalogue.find(code, row.version)
        if instrument is None:
            continue
        course = _course_on(facts.courses, row.client_day)
        compared = [
            each
            for each in before
            if each.version == row.version and _course_on(facts.courses, each.client_day) == course
        ]
        points.append(_point(instrument, row, compared, zone=zone))
        if row.total is not None:
            before.append(row)
    return points


def _course_on(courses: Sequence[Course], day: date) -> UUID | None:
    """The course to which a day belongs: the last that had begun."""
    return next((each.course_id for each in reversed(courses) if each.started_on <= day), None)


def _point(instrument: Instrument, row: ResponseRow, compared: Sequence[ResponseRow], *, zone: ZoneInfo) -> SeriesPoint:
    """One point; `compared`: the responses before it that have a total and may be compared with it, by time."""
    band = scoring.band_of(instrument, row.total)
    return SeriesPoint(
        response_id=row.instrument_response_id,
        client_day=row.client_day,
        counted_at=row.counted_at,
        version=row.version,
        total=row.total,
        band=None if band is None else band.name,
        missing=row.missing,
        filled_in=_is_filled_in(row),
        urgent_missing=[each.item for each in instrument.urgent if each.item in row.missing],
        urgent=[each.item.code for each in scoring.urgent_of(instrument, row.answers)],
        late=client_day.of(row.received_at, client_day.zone_or_none(row.time_zone) or zone) > row.client_day,
        answers=row.answers,
        since_first=_change(instrument, row, compared[0]) if compared else None,
        since_previous=_change(instrument, row, compared[-1]) if compared else None,
        responded=_responded(instrument, row, compared),
        remitted=_remitted(instrument, row, compared),
    )


def _is_filled_in(row: ResponseRow) -> bool:
    return bool(row.missing) and row.total is not None


def _complete(rows: Sequence[ResponseRow]) -> list[float]:
    """The totals of which nothing was filled in: what was left out may be the question that would have decided."""
    return [row.total for row in rows if row.total is not None and not _is_filled_in(row)]


def _responded(instrument: Instrument, row: ResponseRow, compared: Sequence[ResponseRow]) -> bool | None:
    first = None if instrument.response is None else change.baseline(instrument.response, _complete(compared))
    if first is None or instrument.response is None or not (total := _complete([row])):
        return None
    return change.responded(instrument.response, first, total[0])


def _remitted(instrument: Instrument, row: ResponseRow, compared: Sequence[ResponseRow]) -> bool | None:
    first = None if instrument.remission is None else change.baseline(instrument.remission, _complete(compared))
    if first is None or instrument.remission is None or not (total := _complete([row])):
        return None
    return change.remitted(instrument.remission, total[0])


def _change(instrument: Instrument, row: ResponseRow, earlier: ResponseRow) -> Change | None:
    if row.total is None or earlier.total is None:
        return None
    points = round(row.total - earlier.total, scoring.DECIMALS)
    return Change(
        points=points,
        worse=change.is_worse(instrument, points),
        reliable=None
        if instrument.reliable_change is None or _is_filled_in(row) or _is_filled_in(earlier)
        else change.is_reliable(instrument.reliable_change, points),
        since=earlier.client_day,
    )
