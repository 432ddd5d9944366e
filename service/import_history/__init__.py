"""Importing daily histories: a file becomes facts, trends and closed alerts of origin import."""

from service.import_history.history import Counts, bring_in, find_or_make_clinic

__all__ = ["Counts", "bring_in", "find_or_make_clinic"]
