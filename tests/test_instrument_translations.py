"""Questionnaires in other languages: whole, marked, kept with the answer; and what a definition may not leave out."""

from __future__ import annotations

import re

import httpx
import msgspec
import pytest

from schemas.instrument import Instrument, Option, Translation
from service import database, errors
from service.database import Pool
from service.instruments import catalogue, definition
from service.web import languages
from tests.answering import a_response, an_own, phq9, send
from tests.checking_in import Setting, a_setting, count

SHIPPED = list(catalogue.shipped().values())
OTHERS = [code for code in languages.names() if code != languages.SOURCE]
# No translation is known that may be shipped; docs/instruments.md says so.
ONLY_ENGLISH = {"pacs"}
OUTING = re.compile(r"alcohol|beb|droga|depres|ansi|suicid|PHQ|GAD|AUDIT|PACS", re.IGNORECASE)


@pytest.fixture
async def here(owner_pool: Pool) -> Setting:
    return await a_setting(owner_pool)


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_of_the_page_has_all_that_ships_but_what_is_known_to_have_none(language: str) -> None:
    assert {each.code for each in SHIPPED if language not in each.translations} == ONLY_ENGLISH


def texts_of(words: Instrument | Translation) -> list[str]:
    """Every text that a client reads, in the order of the definition."""
    every = [words.asks, words.lead, *(option.text for option in words.options or ())]
    for item in words.items:
        every += [item.text, *(option.text for option in item.options or ())]
    return every


@pytest.mark.parametrize("instrument", [each for each in SHIPPED if each.translations], ids=lambda each: each.code)
def test_a_translation_says_everything_in_its_own_words_and_where_they_come_from(instrument: Instrument) -> None:
    for language, translation in instrument.translations.items():
        own, other = texts_of(instrument), texts_of(translation)
        assert len(own) == len(other)
        assert [one for one, two in zip(own, other, strict=True) if one == two] == [], language
        assert all(each.strip() for each in other)
        assert "free to reproduce" in translation.source or "no permission required" in translation.source
        assert translation.attribution
        assert not OUTING.search(translation.asks)


TRANSLATED = {
    "asks": "Tres",
    "lead": "Hoy",
    "attribution": "Nosotros",
    "source": "Nosotros",
    "options": [{"value": 0, "text": "No"}, {"value": 1, "text": "Sí"}],
    "items": [{"code": "a", "text": "¿Una?"}, {"code": "b", "text": "¿Dos?"}],
}
OWN_OPTIONS = [{"value": 0, "text": "Nada"}, {"value": 1, "text": "Mucho"}]


@pytest.mark.parametrize(
    ("language", "parts", "fields"),
    [
        ("es", {}, []),
        ("en", {}, ["translations.en"]),
        ("es", {"items": [{"code": "a", "text": "¿Una?"}]}, ["translations.es.items"]),
        ("es", {"items": list(reversed(TRANSLATED["items"]))}, ["translations.es.items"]),
        ("es", {"options": None}, ["translations.es.options"]),
        ("es", {"options": [{"value": 0, "text": "No"}, {"value": 2, "text": "Sí"}]}, ["translations.es.options"]),
        (
            "es",
            {"options": [{"value": 0, "text": "No"}, {"value": 1, "text": "No"}]},
            ["translations.es.options[1].text"],
        ),
        (
            "es",
            {"items": [{"code": "a", "text": "¿Una?", "options": OWN_OPTIONS}, {"code": "b", "text": "¿Dos?"}]},
            ["translations.es.items[0].options"],
        ),
    ],
)
def test_a_translation_that_lacks_something_or_adds_something_is_refused_by_name(
    language: str, parts: dict[str, object], fields: list[str]
) -> None:
    own = an_own(
        translations={language: {**TRANSLATED, **parts}},
        options=[{"value": 0, "text": "No"}, {"value": 1, "text": "Yes"}],
    )
    own["items"] = [{"code": "a", "text": "One?"}, {"code": "b", "text": "Two?"}]
    own["language"] = "en"
    refused: list[str] = []
    try:
        definition.refuse_contradictory(msgspec.convert(own, Instrument))
    except errors.Invalid as error:
        refused = [each.field for each in error.fields]
    assert refused == fields


def test_what_is_read_in_another_language_scores_the_same() -> None:
    for instrument in SHIPPED:
        for translation in instrument.translations.values():
            for item, translated in zip(instrument.items, translation.items, strict=True):
                offered: list[Option] = translated.options or translation.options or []
                assert [each.value for each in offered] == [each.value for each in instrument.options_of(item)]


@pytest.mark.usefixtures("settings")
async def test_a_response_keeps_the_language_in_which_it_was_asked(http: httpx.AsyncClient, here: Setting) -> None:
    for language in ("es", "en", None):
        said = {} if language is None else {"language": language}
        reply = await send(http, here.phone, a_response(phq9(1, 2, 1)) | said)
        assert reply.status_code == 201, reply.text
        assert reply.json()["response"]["language"] == language
    async with database.transaction(here.owner, here.clinic_id) as db:
        rows = await db.connection.fetch("select language from instrument_response order by received_at")
    assert [row["language"] for row in rows] == ["es", "en", None]


@pytest.mark.usefixtures("settings")
async def test_a_language_in_which_it_is_not_asked_is_refused(http: httpx.AsyncClient, here: Setting) -> None:
    for language in ("fr", "español"):
        reply = await send(http, here.phone, a_response(phq9(1, 2, 1), language=language))
        assert reply.status_code == 400
        assert reply.json()["errors"][0]["field"] == "language"
    assert await count(here, "instrument_response") == 0
