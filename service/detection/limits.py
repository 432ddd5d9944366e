"""The limit of one person on one day: calibrated height, early days, personal surface, and the cap.

The statistic crosses when it exceeds height(budget) + early + surface + raised. `raised` is the per-person cap: each
crossing that staff have not confirmed lifts it, every day lowers it, and it never exceeds half the limit below it.
"""

from __future__ import annotations

import numpy as np

from service.detection.filter import Person
from service.detection.population import Array, Flags, Rules, Surface
from service.detection.state import AGES, Rows

FIRST_ALERT_DAY = 21
RESTART_DAY = 14
OWN_CHECK_INS = 7
REST_DAYS = 7
EARLY_UNTIL_DAY = 60


def base_limit(rows: Rows, person: Person, expected: Array, rules: Rules) -> Array:
    """The limit (N,) without what this person's crossings added; `expected` is today's forecast (N, 3), worse high."""
    surface = rules.surface
    early = np.maximum(EARLY_UNTIL_DAY - rows["day"], 0) / (EARLY_UNTIL_DAY - FIRST_ALERT_DAY)
    limit: Array = rules.limit + surface.early * early + personal_offset(rows, person, expected, surface)
    return limit


def personal_offset(rows: Rows, person: Person, expected: Array, surface: Surface) -> Array:
    """What this person's way of answering adds to the limit (N,): share answered, noise, floor, infusion effect."""
    in_use = rows["item_answers"] > 0
    items = np.maximum(in_use.sum(axis=1), 1)
    answered = (rows["check_ins"] + 8) / (rows["day"] + 11) - 0.78
    log_sd = (person.log_sd * in_use).sum(axis=1) / items
    small = np.maximum(-0.1 - log_sd, 0.0)
    floor = (np.clip(1.5 - expected / person.sd, 0.0, 1.5) * in_use).sum(axis=1) / items
    relief = (-rows["mean"][:, 1] / person.sd * in_use).sum(axis=1) / items
    recent = (rows["days_since_infusion"] >= 0) & (rows["days_since_infusion"] <= AGES)
    offset: Array = (
        surface.answered * answered
        + surface.answered_distance * np.abs(answered)
        + surface.log_sd * (log_sd - 0.23)
        + surface.small_sd * small
        + surface.floor * floor
        + surface.floor_small_sd * floor * small
        + surface.infusion * np.where(recent, np.clip(relief, 0.0, 3.0), 0.0)
        + np.array(surface.by_items)[in_use.sum(axis=1)]
    )
    return offset


def raise_and_decay(rows: Rows, crossing: Flags, limit: Array, rules: Rules) -> None:
    """Moves the person's cap after a day: up by `cap_step` at a crossing, down by its share of the budget else."""
    step = rules.cap_step
    counted = rows["day"] >= FIRST_ALERT_DAY
    moved = rows["raised"] + counted * (step * crossing - step / rules.budget_days)
    rows["raised"] = np.clip(moved, 0.0, np.maximum(limit / 2, 0.0))
    rows["raised_last"] = np.where(crossing, step, rows["raised_last"])


def lower_confirmed(rows: Rows, confirmed: Flags) -> None:
    """Takes back what the last crossing added, once, when staff confirmed it: a real relapse is never silenced."""
    lowered = np.maximum(rows["raised"] - rows["raised_last"], 0.0)
    rows["raised"] = np.where(confirmed, lowered, rows["raised"])
    rows["raised_last"] = np.where(confirmed, 0.0, rows["raised_last"])
