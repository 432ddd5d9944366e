"""Importing histories: a file of days, or of records of treatment, becomes facts, trends and closed alerts."""

from service.import_history.history import Counts, bring_in, find_or_make_clinic, zone_of
from service.import_history.treatment import RecordCounts
from service.import_history.treatment import bring_in as bring_in_treatment

__all__ = ["Counts", "RecordCounts", "bring_in", "bring_in_treatment", "find_or_make_clinic", "zone_of"]
