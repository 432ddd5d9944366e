"""Every text of the client's page is there in every language, and every language's scripts say it."""

from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po

from docs import phone_words
from service.web import languages

OTHERS = [code for code in languages.names() if code != languages.SOURCE]
SAME_IN_BOTH = {"No", "Alcohol"}
PLACES = re.compile(r"\{\w+\}|%\(\w+\)s")


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_is_what_the_command_writes_and_lacks_nothing(language: str) -> None:
    file = languages.LOCALES / f"{language}.po"
    assert file.read_text() == phone_words.written(language), "run `python -m docs.phone_words`"
    with file.open("rb") as opened:
        entries = [entry for entry in read_po(opened, locale=language) if entry.id]
    assert {entry.id for entry in entries} == {text for text, _ in phone_words.said()}
    assert [entry.id for entry in entries if not entry.string or entry.fuzzy] == []
    assert [entry.id for entry in entries if entry.string == entry.id and entry.id not in SAME_IN_BOTH] == []
    for entry in entries:
        assert sorted(PLACES.findall(str(entry.id))) == sorted(PLACES.findall(str(entry.string))), entry.id


@pytest.mark.parametrize("language", OTHERS)
def test_no_script_says_a_text_that_its_language_s_copy_does_not_translate(language: str) -> None:
    for file in phone_words.files()[1:]:
        source, translated = file.read_text(), languages.translated(file.read_text(), language)
        said = languages.SAID.findall(source)
        assert source.count("say(") == len(said), f"{file.name}: say() takes one plain string"
        for text in set(said):
            if text.strip('"') not in SAME_IN_BOTH:
                assert f"say({text}" not in translated


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "shown"),
    [
        (None, None, "", "en"),
        (None, None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        (None, None, "de,fr;q=0.9", "en"),
        (None, "es", "en", "es"),
        ("en", "es", "es", "en"),
        (None, "xx", "es", "es"),
    ],
)
def test_the_language_is_the_chosen_one_then_the_browser_s(
    asked: str | None, remembered: str | None, accepted: str, shown: str
) -> None:
    assert languages.chosen(asked=asked, remembered=remembered, accepted=accepted) == shown
