"""Worsening, noticed early at a false-alert budget: numbers in, findings out; no I/O beside the shipped rules."""

from schemas.trend import Status
from service.detection.explain import Explanation, ItemChange
from service.detection.fold import fold
from service.detection.improving import Better, better_of
from service.detection.population import ITEMS, Rules, Shipped, shipped_rules
from service.detection.series import Days, Trends
from service.detection.state import State, StateLayoutError
from service.detection.status import STATUSES

__all__ = [
    "ITEMS",
    "STATUSES",
    "Better",
    "Days",
    "Explanation",
    "ItemChange",
    "Rules",
    "Shipped",
    "State",
    "StateLayoutError",
    "Status",
    "Trends",
    "better_of",
    "fold",
    "shipped_rules",
]
