"""Folding the days of some clients together: facts in, trend rows and states out. Pure."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

import numpy as np

from service import detection, trends
from service.facts import checkins, courses
from service.fold.facts import ClientFacts
from service.rules import day_rules, rule_sets
from service.rules.day_rules import Folded, FoldedDay, Scores
from service.rules.rule_sets import RuleSet
from service.trends import Checkpoint

ONE_DAY = timedelta(days=1)
SATURDAY = 5


@dataclass(frozen=True)
class FoldedClient:
    """What came of one client's days up to `last_day`, in order.

    The state after `kept_day` is kept: the last day that is over, for a day that is not may still be answered again.
    `checkpoints` are to be kept.
    """

    facts: ClientFacts
    last_day: date
    kept_day: date
    days: list[FoldedDay] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)


def run(facts: Sequence[ClientFacts], versions: Sequence[RuleSet], *, now: datetime) -> list[FoldedClient]:
    """Fold each client from the day after their state to the last day their trend goes to."""
    folded = [FoldedClient(each, each.last_day(now), each.kept_day(now)) for each in facts]
    state = detection.State.concat([_state_before(each, versions) for each in facts])
    for first, last in _stretches(folded, versions):
        within = [i for i, each in enumerate(folded) if each.facts.start <= last and each.last_day >= first]
        if not within:
            continue
        rule_set = rule_sets.on(versions, first)
        for budget_days, places in _by_budget(folded, within, rule_set).items():
            some = [folded[i] for i in places]
            rules = rule_sets.detector(rule_set, budget_days)
            state.rows[places] = _run_stretch(some, state.take(places), rules, rule_set, first, last).rows
    for each in folded:
        due = each.facts.due
        if not each.checkpoints and due.checkpoint_day is not None and due.checkpoint_state is not None:
            _keep(each, due.checkpoint_day, due.checkpoint_state, rule_sets.on(versions, due.checkpoint_day))
    return folded


def _by_budget(folded: Sequence[FoldedClient], within: Sequence[int], rule_set: RuleSet) -> dict[float, list[int]]:
    places: defaultdict[float, list[int]] = defaultdict(list)
    for i in within:
        places[rule_set.rules.budget_of(folded[i].facts.client_id)].append(i)
    return places


def _run_stretch(
    some: Sequence[FoldedClient],
    state: detection.State,
    rules: detection.Rules,
    rule_set: RuleSet,
    first: date,
    last: date,
) -> detection.State:
    calendar = [first + ONE_DAY * i for i in range((last - first).days + 1)]
    scores = [[_scores_of(each, day) for day in calendar] for each in some]
    moved, trends_of = detection.fold(state, _days(some, calendar, scores), rules)
    found = Folded.of(trends_of, rules)
    for place, each in enumerate(some):
        _collect(each, place, calendar, scores[place], found, rule_set)
        if last == each.kept_day or (trends.ends_month(last) and last < each.kept_day):
            _keep(each, last, moved.take([place]).to_rows()[0], rule_set)
    return moved


def _state_before(facts: ClientFacts, versions: Sequence[RuleSet]) -> detection.State:
    stored = facts.due.checkpoint_state
    if stored is not None:
        return detection.State.from_rows([stored])
    rule_set = rule_sets.on(versions, facts.start)
    return detection.State.fresh(1, rule_sets.detector(rule_set, rule_set.rules.budget_of(facts.client_id)))


def _stretches(folded: Sequence[FoldedClient], versions: Sequence[RuleSet]) -> Iterator[tuple[date, date]]:
    """Stretches of days under one rule set that end wherever a state is kept."""
    going = [each for each in folded if each.last_day >= each.facts.start]
    if not going:
        return
    ends = {version.valid_from - ONE_DAY for version in versions} | {each.kept_day for each in going}
    first, end = min(each.facts.start for each in going), max(each.last_day for each in going)
    day = first
    while day <= end:
        if day == end or day in ends or trends.ends_month(day):
            yield first, day
            first = day + ONE_DAY
        day += ONE_DAY


def _scores_of(each: FoldedClient, day: date) -> Scores | None:
    row = each.facts.days.get(day)
    if row is None:
        return None
    active = courses.active_on(each.facts.substances, row.client_day)
    return checkins.day_craving(row, active), row.mood, row.anxiety


def _days(
    some: Sequence[FoldedClient], calendar: Sequence[date], scores: Sequence[Sequence[Scores | None]]
) -> detection.Days:
    shape = len(some), len(calendar)
    numbers = np.full((*shape, len(detection.ITEMS)), np.nan)
    active, paused, infusion, new_usual, confirmed = (np.zeros(shape, dtype=np.bool_) for _ in range(5))
    for i, each in enumerate(some):
        facts = each.facts
        for t, day in enumerate(calendar):
            if not facts.start <= day <= each.last_day:
                continue
            active[i, t] = facts.is_active(day)
            paused[i, t] = not active[i, t]
            infusion[i, t] = day in facts.infusion_days
            new_usual[i, t] = day in facts.new_usual_days
            confirmed[i, t] = day in facts.confirmed_days
            answered = scores[i][t]
            if answered is not None:
                numbers[i, t] = [np.nan if score is None else score for score in answered]
    weekend = np.array([day.weekday() >= SATURDAY for day in calendar])
    return detection.Days(
        scores=numbers,
        active=active,
        paused=paused,
        infusion=infusion,
        weekend=np.broadcast_to(weekend, shape).copy(),
        new_usual=new_usual,
        confirmed=confirmed,
    )


def _collect(
    each: FoldedClient,
    place: int,
    calendar: Sequence[date],
    scores: Sequence[Scores | None],
    found: Folded,
    rule_set: RuleSet,
) -> None:
    for t, day in enumerate(calendar):
        if found.trends.status[place, t] >= 0:
            first = not each.days and each.facts.due.checkpoint_day is None
            folded = day_rules.folded_day(
                found,
                place,
                t,
                day=day,
                scores=scores[t] or day_rules.UNANSWERED,
                origin=each.facts.due.origin,
                rule_set_version=rule_set.version,
                begins=_begins(each.facts, day, first=first),
                active_before=partial(_active_before, each.facts, day),
            )
            each.days.append(folded)


def _begins(facts: ClientFacts, day: date, *, first: bool) -> day_rules.Learning | None:
    """Whether learning what is usual begins on this active day."""
    if first:
        return day_rules.Learning.FIRST
    return day_rules.Learning.ANEW if _is_new_usual(facts, day) else None


def _is_new_usual(facts: ClientFacts, day: date) -> bool:
    """Whether "the new usual" was said on this active day, or in the pause before it."""
    said = max((each for each in facts.new_usual_days if each <= day), default=None)
    if said is None:
        return False
    return not any(facts.is_active(said + ONE_DAY * i) for i in range((day - said).days))


def _active_before(facts: ClientFacts, day: date, days: int) -> date:
    """The day on which the client was watched for the last time but `days`, counted from `day` on."""
    while days:
        day -= ONE_DAY
        days -= facts.is_active(day)
    return day


def _keep(each: FoldedClient, day: date, state: bytes, rule_set: RuleSet) -> None:
    each.checkpoints.append(
        Checkpoint(
            client_id=each.facts.client_id,
            client_day=day,
            state=state,
            rule_set_version=rule_set.version,
        )
    )


def history_of(facts: Sequence[ClientFacts], *, now: datetime) -> detection.Days:
    """The days of some clients on one calendar, without what staff made of them: what a population is learned from."""
    folded = [FoldedClient(each, each.last_day(now), each.kept_day(now)) for each in facts]
    going = [each for each in folded if each.last_day >= each.facts.start]
    if not going:
        return detection.Days.of(np.zeros((0, 0, len(detection.ITEMS))))
    first, last = min(each.facts.start for each in going), max(each.last_day for each in going)
    calendar = [first + ONE_DAY * i for i in range((last - first).days + 1)]
    days = _days(going, calendar, [[_scores_of(each, day) for day in calendar] for each in going])
    none = np.zeros(days.active.shape, dtype=np.bool_)
    return dataclasses.replace(days, new_usual=none, confirmed=none)
