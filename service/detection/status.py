"""The status of a client day, and the episode of not being on track."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from schemas.trend import Status
from service.detection.limits import FIRST_ALERT_DAY, OWN_CHECK_INS
from service.detection.population import Array, Flags
from service.detection.state import Rows

STATUSES = (Status.NOT_ON_TRACK, Status.NO_DATA, Status.WATCH, Status.LEARNING, Status.ON_TRACK)
"""In order of precedence; codes in arrays are indexes here."""

SILENT_DAYS = 3
DAYS_BACK = 5
# Of the change, in squared sd, on the items that a day answers, for the day to say anything of it.
TOLD_SHARE = 0.5
# The share of the limit from which a statistic is watched.
WATCH_SHARE = 0.5

Codes = npt.NDArray[np.int8]


def enter(rows: Rows, usual: Array, change: Array) -> None:
    """Begins an episode for clients who crossed: freezes `usual` (N, 3), the baseline with the estimated `change`
    (N, 3) taken out. A crossing within an episode leaves both as they were."""
    begins = ~rows["not_on_track"][:, None]
    rows["usual"] = np.where(begins, usual, rows["usual"])
    rows["change"] = np.where(begins, change, rows["change"])
    rows["days_back"] = 0
    rows["not_on_track"] = True


def follow(rows: Rows, answers: Flags, sd: Array) -> None:
    """Counts days on which the level lies less than half the change from the frozen baseline; the fifth running ends
    the episode. Items weigh by their change in sd. `answers` (N, 3) are today's: a day on which the items that changed
    were hardly answered says nothing of them, and counts neither way.
    """
    there = ~np.isnan(rows["level"])
    change = np.where(there, rows["change"] / sd, 0.0)
    away = np.where(there, (rows["level"] - rows["usual"]) / sd, 0.0)
    whole = (change**2).sum(axis=1)
    told = ((change**2) * answers).sum(axis=1) >= TOLD_SHARE * whole
    back = (away * change).sum(axis=1) <= 0.5 * whole
    counts = rows["not_on_track"] & answers.any(axis=1) & told
    rows["days_back"] = np.where(counts, np.where(back, rows["days_back"] + 1, 0), rows["days_back"])
    end(rows, rows["days_back"] >= DAYS_BACK)


def end(rows: Rows, chosen: Flags) -> None:
    """Ends the episode of the `chosen`."""
    rows["not_on_track"] &= ~chosen
    rows["days_back"] = np.where(chosen, 0, rows["days_back"])


def is_learning(rows: Rows) -> Flags:
    """Whether the baseline is not yet set: fewer than 7 own check-ins, or before day 21 (`day` = day just folded)."""
    learning: Flags = (rows["check_ins_since_restart"] < OWN_CHECK_INS) | (rows["day"] < FIRST_ALERT_DAY)
    return learning


def code_of(rows: Rows, statistic: Array, limit: Array, waning: Flags) -> Codes:
    """The status code of each client's day (index into STATUSES), by precedence."""
    cases = [
        rows["not_on_track"],
        rows["silent_days"] >= SILENT_DAYS,
        (statistic > WATCH_SHARE * limit) | waning,
        is_learning(rows),
    ]
    return np.select(cases, range(len(cases)), default=len(cases)).astype(np.int8)
