"""Every way things may have got worse: shape x onset day, each with its log likelihood ratio against no change.

A hypothesis says "since `age` days ago, the items move by `size` sd in the course of `shape`". Window-limited
likelihood ratios: Lai 1998; the mixture over the onset: Shiryaev 1963, Roberts 1966.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.detection.filter import Innovation, Person, summed
from service.detection.population import ITEMS, Array, Counts, Flags, Missingness
from service.detection.state import AGES, BASIS_COUNT, TEMPLATE_COUNT, Rows

Floats32 = npt.NDArray[np.float32]

SHAPES = ("step", "ramp", "spike")
RAMP_DAYS = 14
SPIKE_DAYS = 3.0
SPIKE_PLATEAU = 0.15
LOG_RATIO_CAP = 40.0
SILENT_DAYS = 3


class Template(NamedTuple):
    """A worsening: its shape, how many sd craving moves, how many mood and anxiety move, its prior weight."""

    shape: str
    craving: float
    others: float
    weight: float


TEMPLATES = (
    Template("step", 1.0, 0.75, 0.23),
    Template("step", 1.4, 1.05, 0.1),
    Template("step", 1.9, 1.425, 0.15),
    Template("step", 3.0, 2.25, 0.035),
    Template("ramp", 2.5, 1.875, 0.115),
    Template("spike", 3.5, 2.625, 0.12),
    Template("step", 1.25, 0.0, 0.14),
    Template("spike", 4.0, 0.0, 0.035),
    Template("ramp", 2.5, 0.0, 0.015),
    Template("step", 0.0, 1.25, 0.035),
    Template("step", 0.0, 2.5, 0.025),
)
assert len(TEMPLATES) == TEMPLATE_COUNT

# The baseline filter is linear, so what it absorbs of a template is the template's two sizes times what it absorbs
# of these six unit changes: each shape in craving alone and in mood with anxiety alone.
PATTERNS: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0))
assert len(SHAPES) * len(PATTERNS) == BASIS_COUNT


def course(shape: str, age_days: Array) -> Array:
    """Share of the change that is present `age_days` after its onset (0 on the first changed day)."""
    if shape == "step":
        return np.ones_like(age_days)
    if shape == "ramp":
        return np.minimum((age_days + 1) / RAMP_DAYS, 1.0)
    return (1 - SPIKE_PLATEAU) * np.exp(-age_days / SPIKE_DAYS) + SPIKE_PLATEAU


class Tables(NamedTuple):
    """Constants of the hypotheses as arrays (float32: they meet the ratios, 308 a client)."""

    courses: npt.NDArray[np.float32]  # (shapes, ages)
    patterns: npt.NDArray[np.float32]  # (items, patterns)
    to_ratio: npt.NDArray[np.float32]  # (templates, 6 + 9): from unit changes to -2 q1 + q2
    craving: npt.NDArray[np.float32]  # (templates, ages): expected craving change in sd
    sizes: npt.NDArray[np.float32]  # (templates, items)
    shape_of: npt.NDArray[np.int64]  # (templates,)
    weights: Array  # (templates,)


def _tables() -> Tables:
    ages = np.arange(AGES, dtype=np.float64)
    courses = np.stack([course(shape, ages) for shape in SHAPES])
    shape_of = np.array([SHAPES.index(template.shape) for template in TEMPLATES])
    shapes = len(SHAPES)
    to_ratio = np.zeros((TEMPLATE_COUNT, BASIS_COUNT + 3 * shapes))
    for row, template in enumerate(TEMPLATES):
        shape, sizes = shape_of[row], (template.craving, template.others)
        for pattern, size in enumerate(sizes):
            to_ratio[row, shape * 2 + pattern] = -2 * size
        quadratic = (sizes[0] ** 2, 2 * sizes[0] * sizes[1], sizes[1] ** 2)
        for term, factor in enumerate(quadratic):
            to_ratio[row, BASIS_COUNT + term * shapes + shape] = factor
    sizes_by_item = np.array([(t.craving, t.others, t.others) for t in TEMPLATES])
    return Tables(
        courses=courses.astype(np.float32),
        patterns=np.array(PATTERNS, dtype=np.float32).T.copy(),
        to_ratio=to_ratio.astype(np.float32),
        craving=(courses[shape_of] * sizes_by_item[:, :1]).astype(np.float32),
        sizes=sizes_by_item.astype(np.float32),
        shape_of=shape_of,
        weights=np.array([t.weight for t in TEMPLATES]),
    )


TABLES = _tables()


def weigh(rows: Rows, answered: Flags, missingness: Missingness) -> None:
    """Adds what answering or missing today says: a person whose craving rose misses more days.

    Only the first SILENT_DAYS of a silence speak: longer ones have other reasons, and a finding of their own.
    """
    if not missingness.per_craving_sd:
        return
    missed_before = rows["day"] - rows["check_ins"]
    share = (10 * missingness.share + missed_before) / (10 + rows["day"])
    yesterday = rows["silent_days"] > 0
    logit = np.log(share / (1 - share)) + missingness.after_missed * (yesterday - share)
    chance = (1 / (1 + np.exp(-logit))).astype(np.float32)[:, None, None]
    odds = np.exp(np.float32(missingness.per_craving_sd) * TABLES.craving)[:, _ages(rows)].transpose(1, 0, 2)
    ratio = np.where(answered[:, None, None], np.float32(1), odds) / (1 + chance * (odds - 1))
    speaks = (answered | (rows["silent_days"] < SILENT_DAYS))[:, None, None]
    rows["log_ratio"] += np.where(speaks, np.log(ratio), np.float32(0))


def open_today(rows: Rows, answered: Flags, may_open: Flags) -> None:
    """Lets today be an onset (where `may_open`), in the slot of the onset that is now too old.

    Nothing tells the days of a silence apart, and were each of them an onset, one in five who come back as they were
    would cross at their first answer. So a silence counts for SILENT_DAYS: its first ones, and once more as many for
    the day that ends it.
    """
    slot = rows["day"] % AGES
    index = np.arange(len(rows))
    is_long = rows["silent_days"] >= SILENT_DAYS
    weight = np.where(is_long, SILENT_DAYS * answered, 1) * may_open
    with np.errstate(divide="ignore"):
        rows["log_ratio"][index, :, slot] = np.log(weight, dtype=np.float32)[:, None]
    rows["absorbed"][index, :, :, slot] = 0.0


def update(rows: Rows, innovation: Innovation, person: Person, scale: float) -> None:
    """Adds today's log likelihood ratio to every hypothesis, and what the filter has now absorbed of each change.

    With e the innovation, S its covariance and r the change of the innovation under a hypothesis,
    q1 = r' S^-1 e and q2 = r' S^-1 r; for t noise of 1/iv degrees and scale a in d items the ratio grows by
    -(1/iv + d)/2 * ln[(1 + (E - 2 q1 + q2) iv/a) / (1 + E iv/a)], E = e' S^-1 e (Gaussian limit: q1 - q2/2).
    """
    n = len(rows)
    shift = _expected_shift(rows, innovation, person)
    inverse = innovation.precision
    pulled = innovation.error[:, None, :] @ inverse
    factors = np.concatenate([pulled, inverse, innovation.gain], axis=1).astype(np.float32)
    product = factors @ shift.reshape(n, len(ITEMS), -1)
    rows["absorbed"] += product[:, 4:].reshape(n, -1, BASIS_COUNT, AGES)
    features = np.empty((n, TABLES.to_ratio.shape[1], AGES), dtype=np.float32)
    features[:, :BASIS_COUNT] = product[:, 0].reshape(n, BASIS_COUNT, AGES)
    weighted = product[:, 1:4].reshape(shift.shape)
    for term, (left, right) in enumerate(((0, 0), (0, 1), (1, 1))):
        at = BASIS_COUNT + term * len(SHAPES)
        features[:, at : at + len(SHAPES)] = (shift[:, :, :, left] * weighted[:, :, :, right]).sum(axis=1)
    energy_change = TABLES.to_ratio @ features
    narrow = innovation.inverse_degrees / scale
    slope = (narrow / (1 + innovation.energy * narrow)).astype(np.float32)[:, None, None]
    power = (-0.5 * (1 / innovation.inverse_degrees + innovation.seen.sum(axis=1))).astype(np.float32)[:, None, None]
    log_ratio = rows["log_ratio"] + power * np.log(np.maximum(1 + energy_change * slope, np.float32(1e-6)))
    rows["log_ratio"] = np.minimum(log_ratio, np.float32(LOG_RATIO_CAP))


def _expected_shift(rows: Rows, innovation: Innovation, person: Person) -> Floats32:
    """What each unit change would add to today's innovation (N, items, shapes, patterns, ages): the change itself,
    less what the filter has already absorbed of it."""
    n = len(rows)
    taken = summed(rows["absorbed"].reshape(n, 4, len(ITEMS), -1), innovation.design.astype(np.float32))
    courses = TABLES.courses[:, _ages(rows)].transpose(1, 0, 2)
    sized = person.sd.astype(np.float32)[:, :, None] * TABLES.patterns
    shift = sized[:, :, None, :, None] * courses[:, None, :, None, :]
    shift -= taken.reshape(shift.shape)
    shift *= innovation.seen[:, :, None, None, None]
    return shift


def _ages(rows: Rows) -> Counts:
    ages: Counts = (rows["day"][:, None] - np.arange(AGES)) % AGES
    return ages


def live_weights(rows: Rows) -> Array:
    """Prior weight of each template for each person (N, templates): only templates that move an item the person
    answers (7 answers, one of them within the window), summing to one."""
    in_use = (rows["item_answers"] >= 7) & (rows["item_silent_days"] < AGES)
    moves = TABLES.sizes > 0
    live = (in_use[:, None, :] & moves[None]).any(axis=2) * TABLES.weights
    shared: Array = live / np.maximum(live.sum(axis=1, keepdims=True), 1e-9)
    return shared


def score(rows: Rows, weights: Array) -> Array:
    """Log of the weighted sum of all likelihood ratios (N,); -inf while no onset is open."""
    by_template = np.exp(rows["log_ratio"]).sum(axis=2, dtype=np.float64)
    total = (by_template * weights).sum(axis=1)
    with np.errstate(divide="ignore"):
        logarithm: Array = np.log(total)
    return logarithm


def by_age(rows: Rows, weights: Array) -> Array:
    """The weighted likelihood ratio of each onset (N, AGES), today's first; `score` is the log of their sum."""
    weighted = (np.exp(rows["log_ratio"]) * weights[:, :, None]).sum(axis=1, dtype=np.float64)
    ordered: Array = np.take_along_axis(weighted, (rows["day"][:, None] - np.arange(AGES)) % AGES, axis=1)
    return ordered


def clear(rows: Rows, chosen: Flags) -> None:
    """Gives up every onset up to today for the `chosen`: what follows is judged afresh."""
    rows["log_ratio"][chosen] = -np.inf
