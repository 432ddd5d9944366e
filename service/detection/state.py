"""What is carried from one client day to the next: one fixed-size record a client.

The record is the whole memory of the detector; folding a day costs the same after a week and after ten years.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from service.detection.population import ITEM_COUNT, Rules

EFFECTS = ("baseline", "infusion", "weekday", "residual")
"""The filter's unknowns, each for every item: y = baseline + infusion kernel + weekday weight + residual."""

AGES = 28
"""Onsets up to this many days ago are held apart; older ones are given up."""
TEMPLATE_COUNT = 11
BASIS_COUNT = 6
HALF_LIFE_COUNT = 9

LAYOUT_VERSION = 3
_HEADER = struct.Struct("<4sH")
_MAGIC = b"NEAP"

LAYOUT = np.dtype(
    [
        # counts, in client days since the first
        ("day", "<i4"),
        ("check_ins", "<i4"),
        ("check_ins_since_restart", "<i4"),
        ("item_answers", "<i4", (ITEM_COUNT,)),
        ("item_silent_days", "<i4", (ITEM_COUNT,)),
        ("silent_days", "<i4"),
        ("days_since_infusion", "<i4"),
        ("answered_since_infusion", "?"),
        # the filter: posterior of (effect, item)
        ("mean", "<f8", (len(EFFECTS), ITEM_COUNT)),
        ("cov", "<f8", (len(EFFECTS) * ITEM_COUNT, len(EFFECTS) * ITEM_COUNT)),
        ("residual_squares", "<f8", (ITEM_COUNT,)),
        ("lag_product", "<f8"),
        ("lag_square", "<f8"),
        ("level", "<f8", (ITEM_COUNT,)),
        # the hypotheses: log ratios, and what the filter has absorbed of each unit change; slot = onset day mod AGES
        ("log_ratio", "<f4", (TEMPLATE_COUNT, AGES)),
        ("absorbed", "<f4", (len(EFFECTS) * ITEM_COUNT, BASIS_COUNT, AGES)),
        ("recent", "<f4", (ITEM_COUNT, AGES)),
        # the waning of infusions: running sums for each half-life
        ("since_days", "<f8"),
        ("since_sum", "<f8"),
        ("kernel_sum", "<f8", (HALF_LIFE_COUNT,)),
        ("kernel_square", "<f8", (HALF_LIFE_COUNT,)),
        ("kernel_product", "<f8", (HALF_LIFE_COUNT,)),
        # what the population said of the infusion's effect when this person's learning began
        ("effect_before", "<f8", (ITEM_COUNT,)),
        ("effect_before_cov", "<f8", (ITEM_COUNT, ITEM_COUNT)),
        # the limit of this person
        ("raised", "<f8"),
        ("raised_without", "<f8"),
        ("rest_days", "<i4"),
        # the episode of not being on track
        ("not_on_track", "?"),
        ("usual", "<f8", (ITEM_COUNT,)),
        ("change", "<f8", (ITEM_COUNT,)),
        ("days_back", "<i4"),
    ]
)

Rows = npt.NDArray[np.void]


class StateLayoutError(ValueError):
    """Stored bytes were written by another layout; fold the client's days again from the first."""


@dataclass(frozen=True)
class State:
    """The states of a batch of clients, one record each."""

    rows: Rows

    @classmethod
    def fresh(cls, n: int, rules: Rules) -> Self:
        """States of `n` clients before their first day: the population prior, nothing answered."""
        rows = np.zeros(n, dtype=LAYOUT)
        prior = rules.prior
        sd = np.exp(np.array(prior.log_sd))
        known = ITEM_COUNT * (len(EFFECTS) - 1)
        rows["mean"].reshape(n, -1)[:, :known] = prior.mean
        rows["cov"][:, :known, :known] = prior.cov
        rows["cov"][:, known:, known:] = np.array(prior.correlation) * np.outer(sd, sd)
        effect = slice(ITEM_COUNT, 2 * ITEM_COUNT)
        rows["effect_before"] = rows["mean"][:, 1]
        rows["effect_before_cov"] = rows["cov"][:, effect, effect]
        rows["days_since_infusion"] = -1
        rows["log_ratio"] = -np.inf
        rows["level"] = np.nan
        rows["recent"] = np.nan
        rows["usual"] = np.nan
        return cls(rows)

    @classmethod
    def from_rows(cls, stored: list[bytes]) -> Self:
        """States from their stored bytes; raises StateLayoutError when a row has another layout."""
        size = _HEADER.size + LAYOUT.itemsize
        for row in stored:
            if len(row) != size or _HEADER.unpack_from(row) != (_MAGIC, LAYOUT_VERSION):
                raise StateLayoutError(f"not a detector state of layout {LAYOUT_VERSION}")
        body = b"".join(row[_HEADER.size :] for row in stored)
        return cls(np.frombuffer(body, dtype=LAYOUT).copy())

    @staticmethod
    def head() -> bytes:
        """The six bytes with which a stored row of this layout begins."""
        return _HEADER.pack(_MAGIC, LAYOUT_VERSION)

    def to_rows(self) -> list[bytes]:
        """One versioned row of bytes a client (about 11 kB)."""
        head = self.head()
        return [head + self.rows[i : i + 1].tobytes() for i in range(len(self.rows))]

    def take(self, indexes: npt.ArrayLike) -> State:
        """The states of some clients, in the order asked for."""
        return State(self.rows[np.asarray(indexes, dtype=np.int64)])

    @staticmethod
    def concat(states: list[State]) -> State:
        """Several batches as one."""
        return State(np.concatenate([state.rows for state in states]))

    def __len__(self) -> int:
        return len(self.rows)
