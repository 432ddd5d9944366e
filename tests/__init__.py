"""Flat: one file an area; builders and the in-process web client beside them."""
