"""What a form showed when its page was opened, for forms that write all their fields: whoever saves an older page sets
nothing back that somebody else has changed meanwhile, and finds on the page that comes instead what they had typed.

Such a form carries `shown`, a digest of each field. What is stored by now is compared field by field: what was only
shown, and left as it was, was not chosen by whoever sends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from service import errors

FIELD = "shown"
# What a form shows, by the names of its fields; of ticked boxes each value.
Fields = Mapping[str, str | Sequence[str]]
DIGITS = 12


def marks_of(fields: Fields) -> str:
    """What the form carries of the fields that it shows."""
    return " ".join(f"{name}.{mark_of(shown)}" for name, shown in fields.items())


def mark_of(shown: str | Sequence[str]) -> str:
    """A digest of what a field shows or is sent with: an empty text is as none, and no line's end is another."""
    texts = [shown] if isinstance(shown, str) else shown
    plain = sorted("\n".join(text.splitlines()).strip() for text in texts)
    return hashlib.sha256("\0".join(filter(None, plain)).encode()).hexdigest()[:DIGITS]


def read(marks: str) -> dict[str, str]:
    """The digest of each field, as a form carries them."""
    pairs = (each.partition(".") for each in marks.split())
    return {name: mark for name, _, mark in pairs}


def refuse_older(sent: Fields, stored: Fields) -> None:
    """Refuse to save a form whose page showed something else than what is `stored` by now, under a lock that lets
    others wait. Raises Overtaken.

    What is stored as it was sent is no reason: somebody pressed again whom no answer had reached.
    """
    marks = sent.get(FIELD)
    shown = read(marks) if isinstance(marks, str) else {}
    by_now = {name: mark_of(texts) for name, texts in stored.items()}
    changed = [name for name, mark in by_now.items() if shown.get(name, mark) != mark]
    if any(mark_of(sent.get(name, "")) != by_now[name] for name in changed):
        raise errors.Overtaken("Somebody else has changed this meanwhile. Look at what is marked, then press again.")
