"""What goes into a fold and what comes out: a batch of clients by client days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from schemas.trend import Status
from service.detection.explain import Explanation
from service.detection.population import ITEM_COUNT, Array, Flags
from service.detection.status import STATUSES

Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Days:
    """Client days of N clients, T days each, every row from that client's own first day on.

    `scores` (N, T, 3): craving, mood, anxiety as stored (mood high = good), nan = not answered.
    The rest (N, T): `active` False is padding or pause, the state does not move; `paused`: a day that passes
    nonetheless for the infusion's clock; `infusion` was given on that day and acts from the day after;
    `weekend`; `new_usual` and `confirmed` are the dated facts that staff resolved the alert with "this is the new
    usual" and confirmed the episode's crossings so far. These three are heard on inactive days, too.
    """

    scores: Array
    active: Flags
    paused: Flags
    infusion: Flags
    weekend: Flags
    new_usual: Flags
    confirmed: Flags

    @classmethod
    def of(cls, scores: Array, *, infusion: Flags | None = None, weekend: Flags | None = None) -> Self:
        """Days of clients who are active throughout and whom staff have told nothing about."""
        shape = scores.shape[:2]

        def never() -> Flags:
            return np.zeros(shape, dtype=np.bool_)

        return cls(
            scores=np.asarray(scores, dtype=np.float64),
            active=np.ones(shape, dtype=np.bool_),
            paused=never(),
            infusion=never() if infusion is None else infusion,
            weekend=never() if weekend is None else weekend,
            new_usual=never(),
            confirmed=never(),
        )

    @classmethod
    def joined(cls, batches: Sequence[Days]) -> Self:
        """The clients of all batches, which must be equally long."""
        return cls(*(np.concatenate([getattr(each, f.name) for each in batches]) for f in fields(cls)))

    def part(self, clients: slice | npt.NDArray[np.int64], days: slice = slice(None)) -> Days:
        """Some clients, some days."""
        return Days(*(getattr(self, f.name)[clients, days] for f in fields(self)))

    def without(self, items: tuple[int, ...]) -> Days:
        """As if nobody had been asked these items."""
        scores = self.scores.copy()
        scores[:, :, list(items)] = np.nan
        return replace(self, scores=scores)

    def check(self) -> None:
        """Raises ValueError when shapes differ or an answer lies outside 0-10."""
        shape = self.scores.shape[:2]
        if self.scores.shape != (*shape, ITEM_COUNT):
            raise ValueError("scores must have the shape (clients, days, 3)")
        if any(getattr(self, f.name).shape != shape for f in fields(self) if f.name != "scores"):
            raise ValueError("every array of days must have the shape (clients, days)")
        known = self.scores[~np.isnan(self.scores)]
        if known.size and (known.min() < 0 or known.max() > 10):
            raise ValueError("answers lie between 0 and 10")


@dataclass(frozen=True)
class Trends:
    """The state after each client day, in stored orientation (mood high = good), rounded to 6 significant digits.

    (N, T, 3): `baseline`, `sd`, `level`, `band_low`, `band_high` in points, nan where an item was never answered.
    (N, T): `statistic` against `limit` (log odds; `raised` is the part of the limit that is this person's cap),
    `crossing`, `resting`, `learning`, `answered`, `partly`, `silent_days`, `days_since_infusion` (-1: none yet),
    `days_after_infusion` (the same, where today's infusion does not count); `half_lost_days` with its 80 % interval:
    days from an infusion to half of its benefit lost, nan while no benefit can be told; `waning`: today lies between
    half and three quarters lost; `status` (index into STATUSES).
    Inactive days hold status -1 and nan, False or -1.
    """

    baseline: Array
    sd: Array
    level: Array
    band_low: Array
    band_high: Array
    statistic: Array
    limit: Array
    raised: Array
    crossing: Flags
    resting: Flags
    learning: Flags
    answered: Flags
    partly: Flags
    waning: Flags
    half_lost_days: Array
    half_lost_low_days: Array
    half_lost_high_days: Array
    silent_days: Integers
    days_since_infusion: Integers
    days_after_infusion: Integers
    status: npt.NDArray[np.int8]
    explanations: dict[tuple[int, int], Explanation] = field(default_factory=dict)

    @classmethod
    def blank(cls, n: int, days: int) -> Self:
        """Trends of which no day has been folded."""

        def number(*more: int) -> Array:
            return np.full((n, days, *more), np.nan)

        def flag() -> Flags:
            return np.zeros((n, days), dtype=np.bool_)

        def whole() -> Integers:
            return np.full((n, days), -1, dtype=np.int32)

        items = ITEM_COUNT
        return cls(
            baseline=number(items),
            sd=number(items),
            level=number(items),
            band_low=number(items),
            band_high=number(items),
            statistic=number(),
            limit=number(),
            raised=number(),
            crossing=flag(),
            resting=flag(),
            learning=flag(),
            answered=flag(),
            partly=flag(),
            waning=flag(),
            half_lost_days=number(),
            half_lost_low_days=number(),
            half_lost_high_days=number(),
            silent_days=whole(),
            days_since_infusion=whole(),
            days_after_infusion=whole(),
            status=np.full((n, days), -1, dtype=np.int8),
        )

    def points(self) -> tuple[Array, ...]:
        """The arrays in points or days that are still to be rounded when a fold ends."""
        waning = (self.half_lost_days, self.half_lost_low_days, self.half_lost_high_days)
        return (self.baseline, self.sd, self.level, self.band_low, self.band_high, *waning)

    def status_of(self, client: int, day: int) -> Status:
        """The status of one active day; raises IndexError on an inactive one."""
        code = int(self.status[client, day])
        if code < 0:
            raise IndexError("no status on an inactive day")
        return STATUSES[code]

    def explain(self, client: int, day: int) -> Explanation:
        """What lies behind the crossing of that day; raises KeyError where there was none."""
        return self.explanations[client, day]
