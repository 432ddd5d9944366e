"""What messages say: a fixed set of neutral texts, in the recipient's language by gettext.

English is the source. `locale/<language>.po` holds a language's texts; a further one is a file.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from service.notify.message import Message, Template

LOCALES = Path(__file__).parent / "locale"
SOURCE = "en"


class Text(NamedTuple):
    """A subject, and the text below it without the link."""

    subject: str
    body: str


# No word of health, no name. A digest says how many; that is all that any of them says.
DIGEST = """\
Open now: {open}
New since the last one: {new}
Resolved since the last one: {resolved}

This comes every morning. If it does not come one day, please say so to whoever runs Neap at your clinic."""
ALL_QUIET = """\
All quiet: nothing is open, nothing is new.

This comes every morning. If it does not come one day, please say so to whoever runs Neap at your clinic."""
AUDIT_HEAD = """\
Attached is this morning's seal of the audit trail. Please keep it outside of Neap: it proves that no row was changed.
Whoever runs Neap compares them by `python -m service audit verify --head FILE`."""
TEXTS: Mapping[Template, Text] = MappingProxyType(
    {
        Template.ALERT: Text("New alert in the inbox", "There is a new alert in your inbox."),
        Template.ALERT_AGAIN: Text(
            "An alert waits in the inbox", "There is an alert in your inbox that waits for you."
        ),
        Template.ALERTS: Text("Alerts wait in the inbox", "There are several alerts in your inbox that wait for you."),
        Template.BRIEF: Text("Before an appointment", "There is something to read before an appointment."),
        Template.COURSE: Text("A change to look at", "Something was changed in a plan that you look after."),
        Template.ENDPOINT: Text(
            "A webhook was disabled", "An address in the settings took nothing any more. Nothing is sent there now."
        ),
        Template.DIGEST: Text("This morning's inbox", DIGEST),
        Template.ALL_QUIET: Text("This morning's inbox: all quiet", ALL_QUIET),
        Template.REMINDER: Text("Your page is ready", "Your page is ready, whenever it suits you."),
        Template.AUDIT_HEAD: Text("Seal of the audit trail", AUDIT_HEAD),
    }
)
CLOSING = """\
This message says nothing about it on purpose: please sign in to read it.
It is sent automatically; answers to it are not read."""

REMINDER_CLOSING = """\
You chose this hour on the page. There, under "This phone", you can change it or turn it off.
Not for you, or not by e-mail any more? This ends it: {stop}
It is sent automatically; answers to it are not read."""


class Words(NamedTuple):
    """What the page says that ends them; `button` empty where nothing is left to press."""

    title: str
    words: str
    button: str = ""


STOP = Words(
    "No more of these messages?",
    "Then nothing is sent to this e-mail address any more. It can be chosen again on the phone.",
    "Send no more",
)
STOPPED = Words("Nothing more is sent", "This e-mail address gets no more of these messages. You can close this page.")


@cache
def languages() -> Mapping[str, str]:
    """Every language that there are texts in, by its code, each named in itself."""
    codes = [SOURCE, *sorted(path.stem for path in LOCALES.glob("*.po"))]
    return {code: (Locale.parse(code).get_display_name() or code).capitalize() for code in codes}


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The texts of a language; the source's where there are none."""
    file = LOCALES / f"{language}.po"
    if language not in languages() or language == SOURCE:
        return gettext.NullTranslations()
    compiled = BytesIO()
    with file.open("rb") as opened:
        write_mo(compiled, read_po(opened, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def text_of(message: Message) -> Text:
    """Subject and body of a message in its recipient's language."""
    said, subject_and_body = catalogue(message.language).gettext, TEXTS[message.template]
    counts = msgspec.structs.asdict(message.counts) if message.counts is not None else {}
    return Text(said(subject_and_body.subject), said(subject_and_body.body).format(**counts))


def closing_of(message: Message) -> str:
    """What stands below the link of a letter."""
    closing = REMINDER_CLOSING if message.template is Template.REMINDER else CLOSING
    return catalogue(message.language).gettext(closing).format(stop=message.stop)
