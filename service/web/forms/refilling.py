"""A page's form with what somebody typed into it, and beside each refused field why: pure, on the page's own HTML.

Templates stay as they are, for every form there is and will be. A field is found by its name; what is refused under
another one is named in `data-refused`, as several words where it goes by several. A box that says "all the same" names
in `data-answers` the field that it answers for: ticked, it says what was said of that, and stands for nothing else.
A field that was only shown, and that somebody else has changed since, stands as it is by now (`as_shown`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape

from schemas.problem import FieldProblem
from service.web.forms import as_shown
from service.web.forms.forms_of_page import TICKED, Control, Form, Reader

Texts = Sequence[tuple[str, str]]
# From where to where in the page, and what stands there instead.
Change = tuple[int, int, str]
# Where the form was opened: the address of a refused page is the one that the form was sent to.
PAGE_FIELD = "form_page"
# As `desk_kept.js` says it.
NO_PLACE = (
    "Where you had typed this, nothing can be written any more. It is kept nowhere else: copy it where you need it."
)


def refill(
    page: str,
    *,
    sent_to: str,
    texts: Texts,
    says: str,
    faults: Sequence[FieldProblem],
    opened_at: str,
    as_sent: Collection[str] = (),
) -> str | None:
    """The page with its form as it was filled in; None where there is no such form, or nothing in it to fill.

    Where the form is gone, a text that was typed into it stands in the one that takes it instead.

    `sent_to` is the path that the form was sent to; `texts` are its fields in their order, several by one name where
    several boxes were ticked; `says` is what was wrong as a whole. A fold around the form is opened. What the page
    hides in its form it knows better by now, but for the fields `as_sent`.
    """
    read = Reader(page)
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
    sent = dict(texts)
    hidden = [each for each in form.controls if each.kind == "hidden" and each.name in as_sent and each.name in sent]
    changes += [_with(each, {"value": sent[each.name]}) for each in hidden]
    typed, meanwhile = _typed(form, texts), _meanwhile(form, texts)
    for number, control in enumerate(form.fillable()):
        _ask_anew(control, faults)
        told = [(f"refused-{number}", beside[number].message)] if number in beside else []
        told += [(f"meanwhile-{number}", meanwhile[number])] if number in meanwhile else []
        if number == min(beside, default=None):
            control.attributes["autofocus"] = ""
        changes += _changes(control, typed.get(control.name), told, refused=number in beside)
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


def _instead(forms: Sequence[Form], sent_to: str) -> Form | None:
    """The form that takes the texts of one that is gone."""
    return next((form for form in forms if sent_to in form.instead), None)


def _taken_over(texts: Texts, form: Form) -> Texts:
    """What was typed into the form that is gone, under the name of the field that takes it."""
    taken = [(control.name, text) for control in form.fillable() for name, text in texts if control.answers_to(name)]
    return [(name, text) for name, text in taken if text.strip()]


def told_at_head(page: str, says: str, *, written: Sequence[str] = ()) -> str | None:
    """The page, with what was wrong where it tells such things; None where it has no such place.

    What was `written` into a form that stands there no more is shown to be copied: it is kept nowhere else.
    """
    read = Reader(page)
    if not read.said_end:
        return None
    told = f'<p tabindex="-1" autofocus>{escape(says)}</p>'
    if written:
        told += f"<p>{NO_PLACE}</p>"
    for text in written:
        told += f'<textarea readonly rows="4" aria-label="What you had typed">\n{escape(text, quote=False)}</textarea>'
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


def _typed(form: Form, texts: Texts) -> dict[str, list[str]]:
    """What was typed into each field, without those that were sent as the page had shown them."""
    sent = {each.name: [text for name, text in texts if name == each.name] for each in form.fillable()}
    shown = as_shown.read(dict(texts).get(as_shown.FIELD, ""))
    return {name: given for name, given in sent.items() if shown.get(name) != as_shown.mark_of(given)}


def _meanwhile(form: Form, texts: Texts) -> dict[int, str]:
    """Beside which fields it stands that somebody else has changed them, by the number of the field or its first box;
    and to what, where something else was typed."""
    shown = as_shown.read(dict(texts).get(as_shown.FIELD, ""))
    by_now = as_shown.read(next((each.value for each in form.controls if each.name == as_shown.FIELD), ""))
    typed, told = _typed(form, texts), dict[str, tuple[int, str]]()
    for number, control in enumerate(form.fillable()):
        name = control.name
        if name in told or shown.get(name, "") == by_now.get(name, "") or name not in shown:
            continue
        if name not in typed:
            told[name] = number, "Somebody else has changed this meanwhile."
        elif as_shown.mark_of(typed[name]) != by_now.get(name):
            told[name] = number, f"Somebody else has changed this meanwhile, to: {_stands(form, name) or 'nothing'}."
    return dict(told.values())


def _stands(form: Form, name: str) -> str:
    """What a field of the page shows, in one line: of ticked boxes each."""
    shown: list[str] = []
    for control in form.fillable():
        if control.name != name:
            continue
        if control.kind in TICKED:
            shown += [control.value.replace("_", " ")] if "checked" in control.attributes else []
        elif control.tag == "select":
            shown += [each.text.strip() for each in control.options if "selected" in each.attributes]
        else:
            shown.append(control.value)
    return ", ".join(shown)


def _changes(
    control: Control, given: Sequence[str] | None, told: Sequence[tuple[str, str]], *, refused: bool
) -> Iterator[Change]:
    """What puts the given texts into a field, None leaves it as it is; and what is told beside it, each by an id."""
    changed: dict[str, str | None] = {}
    if given is not None:
        if control.kind in TICKED:
            changed["checked"] = "" if control.value in given else None
        elif control.tag == "input" and given:
            changed["value"] = given[0]
        elif control.tag == "textarea":
            yield control.tag_end, control.closes, "\n" + escape("".join(given[:1]), quote=False)
        for option in control.options:
            yield _with(option, {"selected": "" if option.value in given else None})
    if told:
        of_its_own = (control.attributes.get("aria-describedby") or "").split()
        changed["aria-describedby"] = " ".join([*of_its_own, *(name for name, _ in told)])
        at = control.label_begin if control.kind in TICKED else control.end
        yield at, at, "".join(f'<p class="refused" id="{name}">{escape(text)}</p>' for name, text in told)
    if refused:
        changed |= {"aria-invalid": "true"}
    if changed or "autofocus" in control.attributes:
        yield _with(control, changed)


def _with(control: Control, changed: Mapping[str, str | None]) -> Change:
    """The tag with some attributes changed; None takes one out."""
    kept = {name: value for name, value in control.attributes.items() if name not in changed}
    kept |= {name: value for name, value in changed.items() if value is not None}
    written = "".join(f" {name}" if not value else f' {name}="{escape(value)}"' for name, value in kept.items())
    return control.begin, control.tag_end, f"<{control.tag}{written}>"
