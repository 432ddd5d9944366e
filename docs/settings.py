"""The README's table of settings, written from the settings themselves (`python -m docs.settings`)."""

from __future__ import annotations

import typing
from pathlib import Path

import msgspec

from service import config
from service.config import Config, Setting

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- settings: begin (written by python -m docs.settings) -->", "<!-- settings: end -->"


def table() -> str:
    """The table in Markdown."""
    fields = msgspec.structs.fields(Config)
    lines = [_line(each, _choices(field.type)) for each, field in zip(config.settings(), fields, strict=True)]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *lines])


def _choices(annotation: object) -> tuple[str, ...]:
    """The words that a setting may be, where they are listed."""
    bare = typing.get_args(annotation)[0]
    return typing.get_args(bare) if typing.get_origin(bare) is typing.Literal else ()


def _line(setting: Setting, choices: tuple[str, ...]) -> str:
    variable = f"`{setting.variable}`" + (" or `…_FILE`" if setting.secret else "")
    default = f"`{setting.default}`" if setting.default else ""
    one_of = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    return f"| {variable} | {default} | {setting.meaning.replace('<', '&lt;')}{one_of} |"


def with_table(text: str) -> str:
    """The text with the table between its markers. Raises ValueError where a marker is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the markers of the table of settings are missing")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
