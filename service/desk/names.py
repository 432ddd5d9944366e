"""Names as one looks for them and orders them, whatever marks they are written with; pure."""

from __future__ import annotations

import unicodedata

# Letters that are no letter with an accent to Unicode, and what word processors put for what is on the keys.
AS_TYPED = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ß": "ss"}
    | dict.fromkeys("’‘ʼ´`", "'")
    | dict.fromkeys("‐‑–", "-")
)


def plain(text: str) -> str:
    """Without case, accents and typographic marks: Núñez, Łukasz and O’Neill as "nunez", "lukasz" and "o'neill"."""
    parts = unicodedata.normalize("NFKD", text.casefold().translate(AS_TYPED))
    return "".join(each for each in parts if not unicodedata.combining(each))


def in_order(given_name: str, family_name: str) -> tuple[str, str]:
    """By what a list of people is ordered."""
    return plain(family_name), plain(given_name)
