"""The forms of a page that are sent by POST, with their fields and where each stands: read from the page's own HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TICKED = frozenset({"checkbox", "radio"})
# A secret is not sent back, and what the page hides in a form it knows better by now.
LEFT_ALONE = frozenset({"hidden", "password", "file", "submit", "button", "reset", "image"})


@dataclass
class Control:
    """A field of a form, and where it stands in the page: its first tag from `begin` to `tag_end`, the tag that closes
    it from `closes` to `end`, the label around it from `label_begin`."""

    tag: str
    attributes: dict[str, str | None]
    begin: int
    tag_end: int
    closes: int
    end: int
    label_begin: int
    options: list[Control] = field(default_factory=list)
    text: str = ""

    @property
    def name(self) -> str:
        return self.attributes.get("name") or ""

    @property
    def kind(self) -> str:
        return (self.attributes.get("type") or "text").lower() if self.tag == "input" else self.tag

    @property
    def value(self) -> str:
        given = self.attributes.get("value")
        return given if given is not None else ("on" if self.kind in TICKED else self.text.strip())

    def answers_to(self, refused: str) -> bool:
        """Whether a fault of this name is one of this field's."""
        names = {self.name, *(self.attributes.get("data-refused") or "").split()}
        spelt = refused.replace(" ", "_")
        return not names.isdisjoint({refused, spelt, spelt.partition("[")[0], spelt.partition(".")[0]})


@dataclass
class Form:
    """A form that is sent by POST, to its address or to that of a button of its own (`formaction`), with the folds
    (`details`) around it that are shut; whether it makes something under
    an id that is another on each page (`data-makes`); and the addresses of forms whose texts it takes where they do not
    stand on the page any more (`data-instead`)."""

    action: str
    tag_end: int
    shut: list[int]
    makes: bool
    instead: list[str]
    controls: list[Control] = field(default_factory=list)
    of_buttons: list[str] = field(default_factory=list)

    def hidden(self) -> set[tuple[str, str]]:
        return {(each.name, each.value) for each in self.controls if each.kind == "hidden"}

    def goes_to(self, sent_to: str) -> bool:
        return sent_to in (self.action, *self.of_buttons) or (self.makes and _like(self.action, sent_to))

    def fillable(self) -> list[Control]:
        return [each for each in self.controls if each.name and each.kind not in LEFT_ALONE]


class Reader(HTMLParser):
    """The forms of a page, where its title begins, and the place where it tells what went wrong."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.title_end = 0
        self.said_end = 0
        # As `getpos` counts them: other characters that end a line for Python, such as a pasted U+2028, end none here.
        self._lines = [0]
        for line in page.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._form: Form | None = None
        self._open: list[Control] = []
        self._label = -1
        self._folds: list[tuple[int, bool]] = []
        self.feed(page)

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        begin = self._here()
        tag_end = begin + len(self.get_starttag_text() or "")
        attributes = dict(attrs)
        if tag == "title":
            self.title_end = tag_end
        elif attributes.get("id") == "said":
            self.said_end = tag_end
        elif tag == "details":
            self._folds.append((tag_end - 1, "open" in attributes))
        elif tag == "label":
            self._label = begin
        elif tag == "form" and (attributes.get("method") or "").lower() == "post":
            shut = [at for at, is_open in self._folds if not is_open]
            instead = (attributes.get("data-instead") or "").split()
            self._form = Form(attributes.get("action") or "", tag_end, shut, "data-makes" in attributes, instead)
            self.forms.append(self._form)
        elif self._form is not None and tag == "button":
            self._form.of_buttons.append(attributes.get("formaction") or "")
        elif self._form is not None and tag in ("input", "select", "textarea", "option"):
            label = self._label if self._label >= 0 else begin
            control = Control(tag, attributes, begin, tag_end, tag_end, tag_end, label)
            if tag == "option" and self._open:
                self._open[0].options.append(control)
            elif tag != "option":
                self._form.controls.append(control)
            if tag != "input":
                self._open.append(control)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "label":
            self._label = -1
        elif tag == "details" and self._folds:
            self._folds.pop()
        elif tag in ("select", "textarea", "option") and self._open:
            closed = self._open.pop()
            closed.closes = self._here()
            closed.end = closed.closes + len(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data


def _like(action: str, sent_to: str) -> bool:
    return UUID_TEXT.sub("*", action) == UUID_TEXT.sub("*", sent_to)
