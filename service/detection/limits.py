"""The limit of one person on one day: calibrated height, personal surface, and the cap.

The statistic crosses when it exceeds height(budget) + surface + raised. `raised` is the per-person cap: each
crossing that staff have not confirmed lifts it, every day lowers it, and it never exceeds half the limit below it. What
staff confirm is the episode, with all its crossings so far.
"""

from __future__ import annotations

import numpy as np

from service.detection.filter import Person
from service.detection.population import Array, Flags, Rules
from service.detection.state import Rows

FIRST_ALERT_DAY = 21
RESTART_DAY = 14
OWN_CHECK_INS = 7
REST_DAYS = 7
LEAST_LIMIT = 0.5
MOST_LOWERED = 0.6
"""By how much the surface may lower a limit: of people unlike any it was fitted to (two items always the same) it
knows nothing."""

FEATURES = (
    "answered",
    "answered_distance",
    "log_sd",
    "small_sd",
    "floor",
    "floor_usual",
    "floor_small_sd",
    "relief",
    "one_item",
    "two_items",
)
"""What the surface looks at, in the order of `features` and of the fields of `population.Surface`."""
FLOOR = ("floor", "floor_usual", "floor_small_sd")


def base_limit(seen: Array, rules: Rules) -> Array:
    """The limit (N,) for people of such `features`, without what their own crossings added."""
    surface = seen @ np.array([getattr(rules.surface, name) for name in FEATURES])
    limit: Array = rules.limit + np.maximum(surface, -MOST_LOWERED)
    return np.maximum(limit, LEAST_LIMIT)


def features(rows: Rows, person: Person, expected: Array) -> Array:
    """How this person answers (N, FEATURES), known before today's answer: share answered, noise, floor, and how much
    an infusion helps.

    `expected` is today's forecast (N, 3), worse is higher; sums run over the items the person answers.
    """
    in_use = rows["item_answers"] > 0
    used = in_use.sum(axis=1)
    items = np.maximum(used, 1)
    answered = (rows["check_ins"] + 8) / (rows["day"] + 10) - 0.78
    log_sd = (person.log_sd * in_use).sum(axis=1) / items
    small = np.maximum(-0.1 - log_sd, 0.0)
    floor = (np.clip(1.5 - expected / person.sd, 0.0, 1.5) * in_use).sum(axis=1) / items
    floor_usual = (np.clip(1.5 - rows["mean"][:, 0] / person.sd, 0.0, 1.5) * in_use).sum(axis=1) / items
    relief = np.clip((-rows["mean"][:, 1] / person.sd * in_use).sum(axis=1) / items, 0.0, 3.0)
    columns = (
        answered,
        np.abs(answered),
        log_sd - 0.23,
        small,
        floor,
        floor_usual,
        floor * small,
        relief * (rows["days_since_infusion"] >= 0),
    )
    seen: Array = np.stack([*columns, used == 1, used == 2], axis=1)
    return seen


def raise_and_decay(rows: Rows, crossing: Flags, limit: Array, rules: Rules) -> None:
    """Moves the person's cap after a day: up by `cap_step` at a crossing, down by its share of the budget else.

    Beside it goes what the cap would be without the crossings of the episode: an alert that is open holds them all.
    """
    daily = np.where(rows["day"] >= FIRST_ALERT_DAY, rules.cap_step / rules.budget_days, 0.0)
    most = np.maximum(limit / 2, 0.0)
    without = np.where(crossing & ~rows["not_on_track"], rows["raised"], rows["raised_without"])
    rows["raised_without"] = np.clip(without - daily, 0.0, most)
    rows["raised"] = np.clip(rows["raised"] + (rules.cap_step * crossing - daily), 0.0, most)


def lower_confirmed(rows: Rows, confirmed: Flags) -> None:
    """Takes back what the crossings of this episode, or of the last, added: a real relapse is never silenced."""
    rows["raised"] = np.where(confirmed, rows["raised_without"], rows["raised"])
