"""What lies behind a crossing: since when, which items, how much, on how many answers.

The posterior over (template, onset day) that made the statistic is the explanation. Given a hypothesis, an item's
change is the mean of its adjusted answers since the onset less the filter's baseline, over the share of the change that
the baseline has not followed; where there is little to go by, it is shrunk towards the template's size.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from service.detection.filter import Person
from service.detection.hypotheses import SHAPES, TABLES
from service.detection.population import ITEM_COUNT, ITEMS, SCALE_TOP, Array
from service.detection.state import AGES, TEMPLATE_COUNT, Rows

ONSET_MASS = 0.8
_SIZE_SPREAD = 2.0
"""Prior sd of a change as a share of its template's size. With a narrow one a large change is told as the largest
template, and 80 % intervals hold as few as 5 % of the changes made (`docs/detection.md`)."""
_MOST_FOLLOWED = 0.8
"""Share of a change that the baseline may have followed; beyond it nothing is left to measure by."""


class ItemChange(msgspec.Struct, frozen=True, kw_only=True):
    """How one item changed since the onset: points in stored orientation (mood down is negative)."""

    item: str
    change: float
    se: float
    share: float
    """Posterior probability that this item takes part in the worsening."""
    baseline: float
    sd: float
    mean_since_onset: float | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one crossing; onset days count back from the crossing's client day (0 = that day).

    `onset_days_low` <= `onset_days` <= `onset_days_high` bound the middle 80 % of the posterior.
    """

    onset_days: int
    onset_days_low: int
    onset_days_high: int
    items: tuple[ItemChange, ...]
    statistic: float
    limit: float
    raised: float
    answered_of_last_7: int
    shape: str
    again: bool
    """Whether it was not on track already: onsets count from the crossing before on, and the true one lies earlier."""


class Posterior(NamedTuple):
    """Per client: weights (N, templates, ages by days before), and per item the usual level under the mixture (N, 3),
    the mean change (N, 3) and its variance (N, 3); worse is positive."""

    weights: Array
    usual: Array
    change: Array
    variance: Array


def posterior_of(rows: Rows, weights: Array, person: Person) -> Posterior:
    """The posterior over hypotheses and what it says of each item's change; call before onsets are cleared."""
    n = len(rows)
    ages = (rows["day"][:, None] - np.arange(AGES)) % AGES
    by_age = np.argsort(ages, axis=1)
    joint = weights[:, :, None] * np.exp(rows["log_ratio"].astype(np.float64))
    joint = np.take_along_axis(joint, by_age[:, None, :], axis=2)
    joint /= np.maximum(joint.sum(axis=(1, 2), keepdims=True), 1e-300)
    absorbed = rows["absorbed"].reshape(n, 4, ITEM_COUNT, 3, 2, AGES)[:, 0].astype(np.float64)
    absorbed = np.take_along_axis(absorbed, by_age[:, None, None, None, :], axis=4)
    recent = np.take_along_axis(rows["recent"].astype(np.float64), by_age[:, None, :], axis=2)
    usual = np.empty((n, ITEM_COUNT, TEMPLATE_COUNT, AGES))
    change = np.empty_like(usual)
    variance = np.empty_like(usual)
    _moments(rows, (absorbed, recent), person, (usual, change, variance))
    weight = joint[:, None]
    mean = (weight * change).sum(axis=(2, 3))
    second = (weight * (variance + change**2)).sum(axis=(2, 3))
    return Posterior(joint, (weight * usual).sum(axis=(2, 3)), mean, np.maximum(second - mean**2, 0.0))


def _moments(rows: Rows, seen: tuple[Array, Array], person: Person, out: tuple[Array, Array, Array]) -> None:
    """Usual level, change and its variance (N, 3, templates, ages) given each hypothesis."""
    absorbed, recent = seen
    usual, change, variance = out
    there = ~np.isnan(recent)
    count = there.cumsum(axis=2)
    total = np.nan_to_num(recent).cumsum(axis=2)
    since = total / np.maximum(count, 1)
    spread = (1 + person.phi) / (1 - person.phi)
    diagonal = np.arange(ITEM_COUNT)
    of_usual = rows["cov"][:, diagonal, diagonal]
    noise = person.sd[:, :, None] ** 2 * spread[:, None, None] / np.maximum(count, 1) + of_usual[:, :, None]
    now = rows["mean"][:, 0][:, :, None]
    courses = TABLES.courses.astype(np.float64)
    for row in range(TEMPLATE_COUNT):
        shape, sizes = TABLES.shape_of[row], TABLES.sizes[row].astype(np.float64)
        taken = absorbed[:, :, shape, 0] * sizes[0] + absorbed[:, :, shape, 1] * sizes[1]
        size = sizes[None, :, None] * person.sd[:, :, None] * _mean_course(courses[shape], there, count)
        takes_part = np.broadcast_to(sizes[None, :, None] > 0, size.shape)
        followed = np.where(takes_part, np.clip(taken / np.maximum(size, 1e-9), 0.0, _MOST_FOLLOWED), 0.0)
        measured = np.where(count > 0, (since - now) / (1 - followed), size)
        uncertain = noise / (1 - followed) ** 2
        prior = np.maximum((_SIZE_SPREAD * size) ** 2, 1e-9)
        trust = np.where(takes_part, prior / (prior + uncertain), 0.0)
        change[:, :, row] = np.where(takes_part, size + trust * (measured - size), 0.0)
        usual[:, :, row] = now - np.where(takes_part, followed * change[:, :, row], taken)
        variance[:, :, row] = trust * uncertain


def explanation_of(
    rows: Rows, client: int, posterior: Posterior, person: Person, numbers: tuple[float, float, float]
) -> Explanation:
    """The explanation of one client's crossing in a batch; `numbers` are (statistic, limit, raised)."""
    row = rows[client]
    joint = posterior.weights[client]
    by_age = joint.sum(axis=0)
    by_template = joint.sum(axis=1)
    low, middle, high = np.searchsorted(np.cumsum(by_age), [(1 - ONSET_MASS) / 2, 0.5, (1 + ONSET_MASS) / 2])
    days_before = (row["day"] - np.arange(AGES)) % AGES
    shares = (TABLES.sizes > 0).T @ by_template
    items = []
    for item, name in enumerate(ITEMS):
        if row["item_answers"][item] == 0:
            continue
        since = row["recent"][item][days_before <= middle]
        sign, origin = (-1.0, SCALE_TOP) if name == "mood" else (1.0, 0.0)
        usual, change = _within_episode(row, item, posterior.usual[client, item], posterior.change[client, item])
        mean = float(np.nanmean(since)) if not np.isnan(since).all() else None
        items.append(
            ItemChange(
                item=name,
                change=_six(sign * change),
                se=_six(np.sqrt(posterior.variance[client, item])),
                share=_six(min(shares[item], 1.0)),
                baseline=_six(origin + sign * usual),
                sd=_six(person.sd[client, item]),
                mean_since_onset=None if mean is None else _six(min(max(origin + sign * mean, 0.0), SCALE_TOP)),
            )
        )
    week = row["recent"][:, days_before < 7]
    return Explanation(
        onset_days=int(middle),
        onset_days_low=int(low),
        onset_days_high=int(high),
        items=tuple(items),
        statistic=float(numbers[0]),
        limit=float(numbers[1]),
        raised=float(numbers[2]),
        answered_of_last_7=int((~np.isnan(week)).any(axis=0).sum()),
        shape=SHAPES[int(np.argmax(np.bincount(TABLES.shape_of, weights=by_template)))],
        again=bool(row["not_on_track"]),
    )


def _within_episode(row: Rows, item: int, usual: float, change: float) -> tuple[float, float]:
    """The usual level that the reader sees, and the change from there: in an episode the one before it, frozen, for the
    filter has gone on learning and would tell less and less of a relapse that lasts."""
    frozen = float(row["usual"][item])
    if not row["not_on_track"] or np.isnan(frozen):
        return usual, change
    return frozen, usual + change - frozen


def _six(number: float) -> float:
    return float(f"{number:.6g}")


def _mean_course(course: Array, there: Array, count: Array) -> Array:
    """Mean of the course over the answered days since each onset (N, 3, ages)."""
    # The answer `b` days ago lies `a - b` days after an onset `a` days ago.
    steps = np.arange(len(course))
    lag = steps[:, None] - steps[None, :]
    table = np.where(lag >= 0, course[np.maximum(lag, 0)], 0.0)
    felt: Array = np.einsum("ab,nib->nia", table, there.astype(np.float64)) / np.maximum(count, 1)
    return felt
