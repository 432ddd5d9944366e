"""Folding client days into states: the one implementation behind live use, back-test and calibration.

A day depends on the days before it only, a client on nobody else; one fold or many in pieces give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from service.detection import explain, hypotheses, improving, limits, status, waning
from service.detection import filter as kalman
from service.detection.population import SCALE_TOP, Array, Counts, Flags, Rules
from service.detection.series import Days, Trends
from service.detection.state import AGES, Rows, State

CHUNK = 64
"""Clients folded together: enough to spread the cost of each numpy call, few enough to stay in the cache."""

BAND_SDS = 1.2816
"""The usual band holds the middle 80 % of this person's usual days."""


class Sight(NamedTuple):
    """What the limit and its calibration see of a day (N, ...): the surface's features, the weighed likelihood ratio of
    onsets 0 to 27 days ago (N, AGES), and whether a crossing may come (answered, and answers enough before)."""

    features: Array
    by_age: Array
    may_cross: Flags


Observer = Callable[[Counts, int, Sight], None]
"""Told, for each day, which clients acted, the day's column and what was seen of them before it was judged."""


class Context(NamedTuple):
    """A rule version ready for use."""

    rules: Rules
    known: kalman.Constants
    benefit: waning.Expectation
    observer: Observer | None


class Judgement(NamedTuple):
    """What one day's statistic said, per client."""

    statistic: Array
    limit: Array
    raised: Array
    crossing: Flags
    resting: Flags


class Today(NamedTuple):
    """One day of the acting clients."""

    worse: Array  # (N, 3): higher is worse, nan = not answered
    weekend: Flags
    infusion: Flags
    new_usual: Flags
    confirmed: Flags


def fold(state: State, days: Days, rules: Rules, *, observer: Observer | None = None) -> tuple[State, Trends]:
    """The states after `days` and the trend of every day; neither argument changes. Raises ValueError on bad shapes.

    `observer` is for the calibration, which learns from what the limit's surface sees.
    """
    days.check()
    if len(state) != len(days.scores):
        raise ValueError("state and days must hold the same clients")
    rows = state.rows.copy()
    trends = Trends.blank(*days.active.shape)
    context = Context(rules, kalman.constants(rules), waning.expectation_of(rules), observer)
    worse = days.scores.copy()
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    for start in range(0, len(rows), CHUNK):
        some = np.arange(start, min(start + CHUNK, len(rows)))
        for day in range(days.active.shape[1]):
            _fold_day(rows, some, worse, days, day, context, trends)
    for part in trends.points():
        part[...] = _six(part)
    return State(rows), trends


def _fold_day(rows: Rows, some: Counts, worse: Array, days: Days, day: int, context: Context, trends: Trends) -> None:
    acting = some[days.active[some, day]]
    if len(acting):
        today = Today(
            worse[acting, day],
            days.weekend[acting, day],
            days.infusion[acting, day],
            days.new_usual[acting, day],
            days.confirmed[acting, day],
        )
        whole = len(acting) == len(some)
        moved = rows[some[0] : some[-1] + 1] if whole else rows[acting]
        _step(moved, today, context, trends, acting, day)
        if not whole:
            rows[acting] = moved
    resting = some[~days.active[some, day] & (days.new_usual[some, day] | days.confirmed[some, day])]
    if len(resting):
        # What staff say of a crossing counts on a day without answers, too: whoever relapses may be paused for it.
        told = rows[resting]
        _hear_staff(told, days.confirmed[resting, day], days.new_usual[resting, day], context.known)
        rows[resting] = told
    kalman.pass_by(
        rows[some[0] : some[-1] + 1], days.paused[some, day], ~days.active[some, day] & days.infusion[some, day]
    )


def _step(rows: Rows, today: Today, context: Context, trends: Trends, clients: Counts, day: int) -> None:
    rules, known, benefit, observer = context
    answers = ~np.isnan(today.worse)
    answered: Flags = np.asarray(answers.any(axis=1))
    both = answers & (rows["item_answers"] > 0) & (rows["item_silent_days"] == 0)
    rows["days_since_infusion"] += rows["days_since_infusion"] >= 0
    design = kalman.design_of(rows["days_since_infusion"], today.weekend)
    person = kalman.person_of(rows, known)
    hypotheses.open_today(rows, answered, rows["check_ins_since_restart"] >= limits.OWN_CHECK_INS)
    hypotheses.weigh(rows, answered, rules.missingness)
    yesterday = rows["mean"][:, -1].copy()
    kalman.predict(rows, person, known)
    improving.follow(rows, person, known)
    expected = kalman.summed(rows["mean"], design)
    seen = limits.features(rows, person, expected)
    innovation = kalman.observe(rows, today.worse, expected, design, person, known)
    hypotheses.update(rows, innovation, person, known.scale)
    kalman.learn_correlation(rows, yesterday, both, person, known)
    plain = kalman.adjusted(rows, today.worse, design)
    kalman.track_level(rows, plain)
    waning.learn(rows, today.worse, design[:, 2])
    rows["recent"][np.arange(len(rows)), :, rows["day"] % AGES] = plain
    _count(rows, answers, answered)
    weights = hypotheses.live_weights(rows)
    may_cross = answered & (rows["check_ins_since_restart"] > limits.OWN_CHECK_INS)
    if observer is not None:
        observer(clients, day, Sight(seen, hypotheses.by_age(rows, weights), may_cross))
    judgement = _judge(rows, may_cross, weights, limits.base_limit(seen, rules), rules)
    _record_crossings(rows, judgement, weights, person, trends, clients, day)
    status.follow(rows, answers & ~judgement.crossing[:, None], person.sd)
    _hear_staff(rows, today.confirmed, today.new_usual, known)
    trends.days_after_infusion[clients, day] = rows["days_since_infusion"]
    rows["days_since_infusion"] = np.where(today.infusion, 0, rows["days_since_infusion"])
    rows["answered_since_infusion"] &= ~today.infusion
    wanes = waning.waning_of(rows, person.sd, benefit)
    _write(rows, judgement, wanes, answers, person, trends, clients, day)
    rows["day"] += 1


def _count(rows: Rows, answers: Flags, answered: Flags) -> None:
    rows["check_ins"] += answered
    rows["check_ins_since_restart"] += answered
    rows["answered_since_infusion"] |= answered
    rows["silent_days"] = np.where(answered, 0, rows["silent_days"] + 1)
    rows["item_silent_days"] = np.where(answers, 0, rows["item_silent_days"] + 1)


def _judge(rows: Rows, may_cross: Flags, weights: Array, base: Array, rules: Rules) -> Judgement:
    """Whether today crosses; a crossing on days 14 to 20 only restarts, the rest is cleared on day 21."""
    day = rows["day"]
    rows["rest_days"] = np.where(day == limits.FIRST_ALERT_DAY, 0, rows["rest_days"])
    resting = rows["rest_days"] > 0
    raised = np.minimum(rows["raised"], np.maximum(base / 2, 0.0))
    statistic = np.maximum(hypotheses.score(rows, weights), 0.0)
    statistic, limit, raised = _six(np.stack([statistic, base + raised, raised]))
    over = may_cross & ~resting & (statistic > limit) & (day >= limits.RESTART_DAY)
    if over.any():
        # A sum over many onsets can pass a low limit on nothing, as after a long silence.
        over[over] = hypotheses.by_age(rows[over], weights[over]).max(axis=1) > 1
    crossing = over & (day >= limits.FIRST_ALERT_DAY)
    rows["rest_days"] = np.where(over, limits.REST_DAYS, np.maximum(rows["rest_days"] - 1, 0))
    limits.raise_and_decay(rows, crossing, base, rules)
    restarted = over & ~crossing
    if restarted.any():
        hypotheses.clear(rows, restarted)
    return Judgement(statistic, limit, raised, crossing, resting)


def _record_crossings(
    rows: Rows,
    judgement: Judgement,
    weights: Array,
    person: kalman.Person,
    trends: Trends,
    clients: Counts,
    day: int,
) -> None:
    """Explains today's crossings, begins their episodes and clears their onsets."""
    crossing = judgement.crossing
    if not crossing.any():
        return
    chosen = np.flatnonzero(crossing)
    some = rows[chosen]
    theirs = kalman.Person(*(part[chosen] for part in person))
    posterior = explain.posterior_of(some, weights[chosen], theirs)
    for i, client in enumerate(chosen):
        numbers = (judgement.statistic[client], judgement.limit[client], judgement.raised[client])
        explanation = explain.explanation_of(some, i, posterior, theirs, numbers)
        trends.explanations[int(clients[client]), day] = explanation
    status.enter(some, posterior.usual, posterior.change)
    hypotheses.clear(some, np.ones(len(some), dtype=np.bool_))
    rows[chosen] = some


def _hear_staff(rows: Rows, confirmed: Flags, new_usual: Flags, known: kalman.Constants) -> None:
    """What staff resolved an alert with."""
    limits.lower_confirmed(rows, confirmed)
    _restart(rows, new_usual, known)


def _restart(rows: Rows, new_usual: Flags, known: kalman.Constants) -> None:
    """Acts on "this is the new usual": the episode ends, the baseline is learned anew from the present level."""
    if not new_usual.any():
        return
    kalman.relearn(rows, new_usual, known)
    status.end(rows, new_usual)
    hypotheses.clear(rows, new_usual)
    rows["check_ins_since_restart"] = np.where(new_usual, 0, rows["check_ins_since_restart"])


def _write(
    rows: Rows,
    judgement: Judgement,
    wanes: waning.Waning,
    answers: Flags,
    person: kalman.Person,
    trends: Trends,
    clients: Counts | slice,
    day: int,
) -> None:
    at = (clients, day)
    unused = rows["item_answers"] == 0
    baseline = np.where(rows["not_on_track"][:, None], rows["usual"], rows["mean"][:, 0])
    baseline[unused] = np.nan
    variance = rows["cov"].reshape(len(rows), -1)[:, :: rows["cov"].shape[1] + 1][:, : baseline.shape[1]]
    half = BAND_SDS * np.sqrt(person.sd**2 + np.maximum(variance, 0.0))
    trends.baseline[at] = _stored(baseline)
    trends.sd[at] = np.where(unused, np.nan, person.sd)
    trends.level[at] = _stored(rows["level"])
    low, high = _stored(baseline - half), _stored(baseline + half)
    trends.band_low[at] = np.minimum(low, high)
    trends.band_high[at] = np.maximum(low, high)
    trends.statistic[at] = judgement.statistic
    trends.limit[at] = judgement.limit
    trends.raised[at] = judgement.raised
    trends.crossing[at] = judgement.crossing
    trends.resting[at] = judgement.resting
    trends.learning[at] = status.is_learning(rows)
    answered = answers.any(axis=1)
    trends.answered[at] = answered
    trends.partly[at] = answered & ~answers.all(axis=1)
    trends.waning[at] = wanes.waning
    trends.half_lost_days[at] = wanes.half_lost_days
    trends.half_lost_low_days[at] = wanes.low_days
    trends.half_lost_high_days[at] = wanes.high_days
    trends.silent_days[at] = rows["silent_days"]
    trends.days_since_infusion[at] = rows["days_since_infusion"]
    trends.status[at] = status.code_of(rows, judgement.statistic, judgement.limit, wanes.waning)


def _stored(worse: Array) -> Array:
    """Inside orientation to stored, within the scale."""
    stored = np.clip(worse, 0.0, SCALE_TOP)
    stored[:, 1] = SCALE_TOP - stored[:, 1]
    return stored


def _six(numbers: Array) -> Array:
    """Rounded to 6 significant digits, as stored and compared."""
    factor = 10.0 ** (5 - np.floor(np.log10(np.abs(numbers) + 1e-300)))
    rounded: Array = np.round(numbers * factor) / factor
    return rounded
