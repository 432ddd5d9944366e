"""`python -m docs.phone_words`: bring the catalogues of the client's page up to date with what the page says.

New texts are added empty, texts that nobody says any more are dropped; tests/test_phone_words.py fails until all are
filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import write_po

from service.people import clinics, reading_hours
from service.web import languages

WEB = Path(languages.__file__).parent
METHODS = {".html": ("jinja2.ext:babel_extract", "_"), ".js": ("javascript", "say"), ".py": ("python", "say")}
# Where no line has changed, the file does not change either: places are files without lines.
HEADER = """\
# Texts of the client's page. Plain words, as one says them to a person; no word that judges.
# Written by `python -m docs.phone_words`: only the translations are for hands.
msgid ""
msgstr ""
"Project-Id-Version: Neap\\n"
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def files() -> list[Path]:
    """The template and the scripts of the client's page."""
    return [WEB / "templates" / "phone.html", *sorted((WEB / "static").glob("phone*.js"))]


def said() -> Iterator[tuple[str, str]]:
    """Every text of the page with the file that says it; then what a clinic shows that has changed nothing."""
    for file in [*files(), Path(reading_hours.__file__)]:
        method, keyword = METHODS[file.suffix]
        options = {"parse_template_string": "true"} if file.suffix == ".js" else {}
        for _, text, _, _ in extract_from_file(method, file, keywords={keyword: None}, options=options):
            yield str(text), file.name
    for contact in clinics.NATIONAL_CRISIS_CONTACTS:
        yield contact.label, "clinics.py"


def updated(language: str) -> Catalog:
    """A language's catalogue with exactly what is said now, and the translations that it has."""
    before = languages.read(language)
    catalogue = Catalog(locale=language)
    for text, name in said():
        known = before.get(text)
        catalogue.add(text, known.string if known else "", locations=[(name, 0)])
    return catalogue


def written(language: str) -> str:
    """The file of a language as it should be."""
    text = BytesIO()
    write_po(text, updated(language), width=120, omit_header=True, include_lineno=False)
    return HEADER.format(language=language) + text.getvalue().decode()


def main() -> None:
    """Write every catalogue anew."""
    for file in sorted(languages.LOCALES.glob("*.po")):
        file.write_text(written(file.stem))


if __name__ == "__main__":
    main()
