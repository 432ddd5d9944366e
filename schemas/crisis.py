"""Whom a person in danger can reach at once."""

from __future__ import annotations

import msgspec


class CrisisContact(msgspec.Struct, frozen=True):
    """Somebody who can be reached at once: "988 Suicide & Crisis Lifeline", "988"."""

    label: str
    contact: str
