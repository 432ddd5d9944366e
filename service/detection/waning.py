"""The waning of an infusion's benefit towards the personal baseline: expected, and not worsening."""

from __future__ import annotations

import numpy as np

from service.detection.population import Flags
from service.detection.state import Rows


def is_waning(rows: Rows) -> Flags:
    """Placeholder."""
    return np.zeros(len(rows), dtype=np.bool_)
