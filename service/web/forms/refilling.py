"""A page's form with what somebody typed into it, and beside each refused field why: pure, on the page's own HTML.

Templates stay as they are, for every form there is and will be. A field is found by its name; what is refused under
another one is named in `data-refused`, as several words where it goes by several. A box that says "all the same" names
in `data-answers` the field that it answers for: ticked, it says what was said of that, and stands for nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser

from schemas.problem import FieldProblem

Texts = Sequence[tuple[str, str]]
# From where to where in the page, and what stands there instead.
Change = tuple[int, int, str]
# Where the form was opened: the address of a refused page is the one that the form was sent to.
PAGE_FIELD = "form_page"
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


class _Reader(HTMLParser):
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


def refill(
    page: str, *, sent_to: str, texts: Texts, says: str, faults: Sequence[FieldProblem], opened_at: str
) -> str | None:
    """The page with its form as it was filled in; None where there is no such form, or nothing in it to fill.

    Where the form is gone, a text that was typed into it stands in the one that takes it instead.

    `sent_to` is the path that the form was sent to; `texts` are its fields in their order, several by one name where
    several boxes were ticked; `says` is what was wrong as a whole. A fold around the form is opened.
    """
    read = _Reader(page)
    form = _sent(read.forms, sent_to, texts) or _instead(read.forms, sent_to)
    if form is None or not form.fillable():
        return None
    if sent_to in form.instead:
        texts = _taken_over(texts, form)
        if not texts:
            return None
        says += " What you typed stands here."
    beside = _beside(form, faults)
    head = _head(says, [each for each in faults if each not in beside.values()], opened_at, seen=not beside)
    changes: list[Change] = [(at, at, " open") for at in form.shut]
    changes += [(read.title_end, read.title_end, "Refused: "), (form.tag_end, form.tag_end, head)]
    for number, control in enumerate(form.fillable()):
        _ask_anew(control, faults)
        given = [text for name, text in texts if name == control.name]
        first = number == min(beside, default=None)
        changes += _changes(control, given, number, beside.get(number), first=first)
    # From the end on, so that places before stay where they are.
    for begin, end, text in sorted(changes, reverse=True):
        page = page[:begin] + text + page[end:]
    return page


def _sent(forms: Sequence[Form], sent_to: str, texts: Texts) -> Form | None:
    """The form that was sent, and no other that is like it: what was typed for one record is not put to the next.

    Only the id of a form that makes something may differ, for a page gives it a fresh one each time.
    """
    like = [each for each in forms if each.goes_to(sent_to)]
    names, sent = {name for name, _ in texts}, set(texts)

    def fits(form: Form) -> tuple[bool, int, int]:
        own = {each.name for each in form.controls}
        return form.action == sent_to, -len(names - own), len(form.hidden() & sent)

    return max(like, key=fits, default=None)


def _like(action: str, sent_to: str) -> bool:
    return UUID_TEXT.sub("*", action) == UUID_TEXT.sub("*", sent_to)


def _instead(forms: Sequence[Form], sent_to: str) -> Form | None:
    """The form that takes the texts of one that is gone."""
    return next((form for form in forms if sent_to in form.instead), None)


def _taken_over(texts: Texts, form: Form) -> Texts:
    """What was typed into the form that is gone, under the name of the field that takes it."""
    taken = [(control.name, text) for control in form.fillable() for name, text in texts if control.answers_to(name)]
    return [(name, text) for name, text in taken if text.strip()]


def told_at_head(page: str, says: str) -> str | None:
    """The page, with what was wrong where it tells such things; None where it has no such place."""
    read = _Reader(page)
    if not read.said_end:
        return None
    told = f'<p tabindex="-1" autofocus>{escape(says)}</p>'
    page = page[: read.said_end] + told + page[read.said_end :]
    return page[: read.title_end] + "Refused: " + page[read.title_end :]


def _beside(form: Form, faults: Sequence[FieldProblem]) -> dict[int, FieldProblem]:
    """Which fault stands beside which of the form's fields, by the field's number: the first that answers to it."""
    placed: dict[int, FieldProblem] = {}
    for fault in faults:
        for number, control in enumerate(form.fillable()):
            if control.answers_to(fault.field) and number not in placed:
                placed[number] = fault
                break
    return placed


def _ask_anew(control: Control, faults: Sequence[FieldProblem]) -> None:
    """A box that says "all the same" says it of what is refused now, and is not ticked for it yet."""
    of = control.attributes.get("data-answers")
    for fault in faults:
        if of and fault.field == of:
            control.attributes["value"] = fault.message


def _head(says: str, elsewhere: Sequence[FieldProblem], opened_at: str, *, seen: bool) -> str:
    """What stands at the head of the form: what was wrong, and the faults that no field of it answers to.

    Without a field that gets the focus it is `seen` by getting it, however far down the page the form stands.
    """
    told = "".join(f"<li><b>{escape(fault.field)}</b>: {escape(fault.message)}</li>" for fault in elsewhere)
    listed = f'<ul class="faults">{told}</ul>' if told else ""
    page = f'<input type="hidden" name="{PAGE_FIELD}" value="{escape(opened_at)}">'
    focus = ' tabindex="-1" autofocus' if seen else ""
    return f'{page}<div class="say bad" role="alert"{focus}><p>{escape(says)} Nothing was kept.</p>{listed}</div>'


def _changes(
    control: Control, given: Sequence[str], mark: int, fault: FieldProblem | None, *, first: bool
) -> Iterator[Change]:
    """What puts the given texts into a field and says why it is refused; `mark` tells the page's marks apart."""
    changed: dict[str, str | None] = {}
    if control.kind in TICKED:
        changed["checked"] = "" if control.value in given else None
    elif control.tag == "input" and given:
        changed["value"] = given[0]
    elif control.tag == "textarea":
        yield control.tag_end, control.closes, "\n" + escape("".join(given[:1]), quote=False)
    for option in control.options:
        yield _with(option, {"selected": "" if option.value in given else None})
    if fault is not None:
        changed |= {"aria-invalid": "true", "aria-describedby": f"refused-{mark}"}
        if first:
            changed["autofocus"] = ""
        at = control.label_begin if control.kind in TICKED else control.end
        yield at, at, f'<p class="refused" id="refused-{mark}">{escape(fault.message)}</p>'
    if changed:
        yield _with(control, changed)


def _with(control: Control, changed: Mapping[str, str | None]) -> Change:
    """The tag with some attributes changed; None takes one out."""
    kept = {name: value for name, value in control.attributes.items() if name not in changed}
    kept |= {name: value for name, value in changed.items() if value is not None}
    written = "".join(f" {name}" if not value else f' {name}="{escape(value)}"' for name, value in kept.items())
    return control.begin, control.tag_end, f"<{control.tag}{written}>"
