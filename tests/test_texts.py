"""Every message's text is there in every language, and says no word of health in any."""

from __future__ import annotations

import pytest
from babel.messages.pofile import read_po

from service import ids
from service.notify import Counts, Message, Template, texts
from tests.builders import NOW
from tests.wording import WORDS


def a_message(template: Template, language: str) -> Message:
    counts = Counts(open=3, new=1, resolved=2) if template is Template.DIGEST else None
    return Message(
        delivery_id=ids.new(), template=template, language=language, counts=counts, to="x", link="x", written_at=NOW
    )


@pytest.mark.parametrize("language", texts.languages())
def test_no_text_says_a_word_of_health_in_any_language(language: str) -> None:
    assert set(texts.TEXTS) == set(Template)
    for template in Template:
        message = a_message(template, language)
        said = " ".join((*texts.text_of(message), texts.closing_of(message))).lower()
        assert [word for word in WORDS[language] if word in said] == []
        assert "{" not in said


@pytest.mark.parametrize("language", set(texts.languages()) - {texts.SOURCE})
def test_a_language_translates_every_text_and_nothing_that_is_gone(language: str) -> None:
    with (texts.LOCALES / f"{language}.po").open("rb") as opened:
        translated = {entry.id: entry for entry in read_po(opened, locale=language) if entry.id}
    wanted = {part for text in texts.TEXTS.values() for part in text} | {texts.CLOSING, texts.REMINDER_CLOSING}
    wanted |= {part for words in (texts.STOP, texts.STOPPED) for part in words if part}
    assert set(translated) == wanted
    assert all(entry.string and not entry.fuzzy and entry.string != entry.id for entry in translated.values())


def test_whose_language_there_is_not_is_written_to_in_english() -> None:
    assert texts.text_of(a_message(Template.ALERT, "xx")).subject == "New alert in the inbox"
    assert texts.languages() == {"en": "English", "es": "Español"}
