"""The languages of the client's page: English in the code, the others in `locale/`, compiled when a process starts.

Texts are marked `_("…")` in the template, `say("…")` in the scripts and in `service/people/reading_hours.py`;
tests/test_phone_words.py says what is missing.
"""

from __future__ import annotations

import gettext
import json
import re
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

import msgspec
from babel import Locale, negotiate_locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from service.people import reading_hours
from service.people.clinics import ClinicView

LOCALES = Path(__file__).parent / "locale"
SOURCE = "en"
SCRIPTS = "phone*.js"
# A text in a script: `say("…"`, always one plain string.
SAID = re.compile(r'\bsay\(\s*("(?:[^"\\\\]|\\\\.)*")')


def read(language: str) -> Catalog:
    """A language's catalogue as it stands in the repository."""
    with (LOCALES / f"{language}.po").open("rb") as opened:
        return read_po(opened, locale=language)


@cache
def names() -> Mapping[str, str]:
    """Every language there is, by its code, each named in itself."""
    codes = [SOURCE, *sorted(path.stem for path in LOCALES.glob("*.po"))]
    return {code: (Locale.parse(code).get_display_name() or code).capitalize() for code in codes}


@cache
def texts(language: str) -> gettext.NullTranslations:
    """The texts of a language; the source's where there are none."""
    if language == SOURCE or language not in names():
        return gettext.NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, read(language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def spoken(view: ClinicView, language: str) -> ClinicView:
    """A clinic as its clients read of it in a language."""
    say = texts(language).gettext
    notice = reading_hours.notice(view.hours, view.zone, view.notice_addition, language=language, say=say)
    return msgspec.structs.replace(view, monitoring_notice=notice)


def script(language: str, name: str) -> str:
    """Where a script of the client's page is that says its texts in this language."""
    return name if language == SOURCE or language not in names() else f"{language}/{name}"


def translated(source: str, language: str) -> str:
    """A script with its texts in another language."""
    said = texts(language).gettext
    return SAID.sub(lambda found: f"say({json.dumps(said(json.loads(found[1])), ensure_ascii=False)}", source)


def chosen(*, asked: str | None, remembered: str | None, accepted: str) -> str:
    """The language to show: asked for just now, chosen before, else what the browser prefers (Accept-Language)."""
    for wish in (asked, remembered):
        if wish in names():
            return str(wish)
    return preferred(accepted)


def preferred(accepted: str) -> str:
    """The language that the browser prefers of those there are (Accept-Language)."""
    wishes = [part.partition(";")[0].strip() for part in accepted.split(",") if part.strip()]
    return negotiate_locale(wishes, list(names()), sep="-") or SOURCE
