"""What the rules find in the days of some clients, folded by the one implementation that runs live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.alert import NewFinding, Rule
from schemas.client import RecordOrigin
from schemas.trend import Trend
from service import detection
from service.backtest.answers import NOT_ANSWERED, Answers
from service.detection import ITEMS, Rules
from service.detection.fold import CHUNK
from service.detection.improving import LIMIT_SDS
from service.detection.limits import FIRST_ALERT_DAY
from service.rules import day_rules
from service.rules.day_rules import Folded, Learning

# Small enough to bound memory and to move the progress bar, large enough to fill the fold's own batches.
CHUNK_CLIENTS = 256
CHUNK_DAYS = 32_000

MOOD = ITEMS.index("mood")
SCORE_TOP = 10
WEEKEND = 5


class Row(NamedTuple):
    """A line of the file of alerts; a finding that alerts nobody has no tier.

    `statistic` against `limit`: of a worsening in log odds, of silence and waning in days, of an
    improvement in sd of the level. `level` and `baseline` are
    means over the items the client answers, 0 to 10, worse is higher (mood counts as 10 - mood).
    """

    client: str
    day: date
    rule: Rule
    tier: int | None
    statistic: float | None
    limit: float | None
    level: float | None
    baseline: float | None
    onset_estimate: date | None


class Found(NamedTuple):
    """What came of a chunk; `watched`: the client days on which a worsening could be told."""

    rows: list[Row]
    days: int
    watched: int


@dataclass(frozen=True)
class Chunk:
    """Some clients' days; row arrays as in Answers, `client` (R,) indexes `names`, `column` (R,) counts from day 0."""

    names: list[str]
    first_days: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]
    client: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int8]
    infusion: npt.NDArray[np.bool_]


def chunks(answers: Answers) -> Iterator[Chunk]:
    """Clients of like length together; which they are rests on the file alone, so no worker changes a digit."""
    spans = answers.spans
    order = np.argsort(-spans, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, min(CHUNK_CLIENTS, CHUNK_DAYS // int(spans[order[start]])))
        # Whole batches of the fold, where there are any.
        end = start + (size - size % CHUNK if size > CHUNK else size)
        yield chunk_of(answers, order[start:end])
        start = end


def chunk_of(answers: Answers, some: npt.NDArray[np.int64]) -> Chunk:
    """The days of the clients of these indexes."""
    begin, end = answers.starts[some], answers.starts[some + 1]
    rows = np.concatenate([np.arange(first, last) for first, last in zip(begin, end, strict=True)])
    client = np.arange(len(some)).repeat(end - begin)
    first_days = answers.first_days[some]
    return Chunk(
        names=[answers.clients[index] for index in some],
        first_days=first_days,
        spans=answers.spans[some],
        client=client,
        column=answers.day[rows] - first_days[client],
        scores=answers.scores[rows],
        infusion=answers.infusion[rows],
    )


def days_of(chunk: Chunk) -> detection.Days:
    """The days as the detector wants them: each client's from their own first day on."""
    shape = len(chunk.names), int(chunk.spans.max())
    scores = np.full((*shape, len(ITEMS)), np.nan)
    scores[chunk.client, chunk.column] = np.where(chunk.scores == NOT_ANSWERED, np.nan, chunk.scores)
    infusion = np.zeros(shape, dtype=np.bool_)
    infusion[chunk.client, chunk.column] = chunk.infusion
    columns = np.arange(shape[1])
    none = np.zeros(shape, dtype=np.bool_)
    return detection.Days(
        scores=scores,
        active=columns < chunk.spans[:, None],
        paused=none,
        infusion=infusion,
        # The first of January of the year 1 was a Monday, and is day 1.
        weekend=(chunk.first_days[:, None] + columns - 1) % 7 >= WEEKEND,
        new_usual=none,
        confirmed=none,
    )


def find(chunk: Chunk, rules: Rules) -> Found:
    """Every finding of these clients' days, as if they had been followed live."""
    days = days_of(chunk)
    _, trends = detection.fold(detection.State.fresh(len(chunk.names), rules), days, rules)
    folded = Folded.of(trends, rules)
    rows = [row for client in range(len(chunk.names)) for row in _rows_of(chunk, client, days, folded)]
    watched = np.maximum(chunk.spans - FIRST_ALERT_DAY, 0).sum()
    return Found(rows, int(chunk.spans.sum()), int(watched))


def _rows_of(chunk: Chunk, client: int, days: detection.Days, found: Folded) -> Iterator[Row]:
    looked_at = day_rules.worth_a_look(found, client)
    looked_at[0] = True
    first_day = date.fromordinal(int(chunk.first_days[client]))
    known: day_rules.Found = {}
    for column in np.flatnonzero(looked_at).tolist():
        craving, mood, anxiety = (
            None if score != score else int(score) for score in days.scores[client, column].tolist()
        )
        day = first_day + timedelta(days=column)
        folded = day_rules.folded_day(
            found,
            client,
            column,
            day=day,
            scores=(craving, mood, anxiety),
            origin=RecordOrigin.LIVE,
            rule_set_version=0,
            begins=Learning.FIRST if column == 0 else None,
            active_before=partial(_day_before, day),
        )
        # An infusion that lies ahead in the file was not known on the day, so none is booked.
        for finding in day_rules.findings_of_day(folded, known, booked_days=(), silent_from=first_day):
            known[finding.rule, finding.client_day] = finding.tier
            yield _row(chunk.names[client], finding, folded.trend)


def _day_before(day: date, days: int) -> date:
    """So many days before: nobody pauses in a file."""
    return day - timedelta(days=days)


def _row(client: str, finding: NewFinding, trend: Trend) -> Row:
    statistic, limit, onset_on = _measured(finding, trend)
    return Row(
        client=client,
        day=finding.client_day,
        rule=finding.rule,
        tier=None if finding.tier is None else int(finding.tier),
        statistic=statistic,
        limit=limit,
        level=_how_bad(trend.level, trend.baseline),
        baseline=_how_bad(trend.baseline, trend.level),
        onset_estimate=onset_on,
    )


def _measured(finding: NewFinding, trend: Trend) -> tuple[float | None, float | None, date | None]:
    """Statistic, limit and estimated onset in the rule's own terms."""
    on, numbers = finding.client_day, finding.numbers
    match finding.rule:
        case Rule.WORSENING:
            # Onsets up to the crossing before were given up, so a later one of an episode knows nothing of its onset.
            onset_on = None if numbers["again"] else date.fromisoformat(str(numbers["onset_on"]))
            return trend.statistic, trend.limit_value, onset_on
        case Rule.WANING:
            since, half = trend.days_since_infusion or 0, numbers["days_to_half"]
            assert isinstance(half, float), "a benefit that wanes has a half-life"
            return float(since), round(half, 4), on - timedelta(days=since - round(half))
        case Rule.SILENCE | Rule.SILENCE_AFTER_INFUSION:
            after_infusion = finding.rule is Rule.SILENCE_AFTER_INFUSION
            limit = day_rules.SILENT_DAYS_AFTER_INFUSION if after_infusion else day_rules.SILENT_DAYS
            return float(trend.silent_days), float(limit), on - timedelta(days=trend.silent_days - 1)
        case Rule.IMPROVING:
            assert isinstance(numbers["statistic"], float), "an improvement has been measured"
            return numbers["statistic"], LIMIT_SDS, None
        case _:
            return None, None, None


def _how_bad(numbers: list[float | None], beside: list[float | None]) -> float | None:
    """The mean of the items that both lists hold, worse is higher."""
    worse = [
        SCORE_TOP - number if item == MOOD else number
        for item, (number, other) in enumerate(zip(numbers, beside, strict=True))
        if number is not None and other is not None
    ]
    return round(sum(worse) / len(worse), 4) if worse else None
