"""The sentence that clients read of who reads follows from the clinic's hours, in each of their languages."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import DatabaseUrls
from service.people.reading_hours import Hours, notice
from service.storage import schema
from service.web import languages
from tests.builders import a_clinic
from tests.conftest import a_pool

CHICAGO = ZoneInfo("America/Chicago")
DAY, SHORT = ("09:00", "17:00"), ("09:30", "13:00")
TIMES = st.times().map(lambda at: f"{at:%H:%M}")
HOURS = st.dictionaries(st.sampled_from("1234567"), st.tuples(TIMES, TIMES))


def on(days: str, span: tuple[str, str] = DAY) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(days, span)


@pytest.mark.parametrize(
    ("hours", "english", "spanish"),
    [
        (
            on("12345"),
            "Read on working days, 9 to 17, Chicago time.",
            "Se lee en días laborables, de 9 a 17, hora de Chicago.",
        ),
        (
            on("1234567", ("00:00", "23:59")),
            "Read every day, 0 to 23:59, Chicago time.",
            "Se lee todos los días, de 0 a 23:59, hora de Chicago.",
        ),
        (
            on("1234") | on("5", SHORT),
            "Read Monday to Thursday 9 to 17; Friday 9:30 to 13, Chicago time.",
            "Se lee: de lunes a jueves de 9 a 17; viernes de 9:30 a 13, hora de Chicago.",
        ),
        (
            on("67", SHORT) | on("2"),
            "Read Tuesday 9 to 17; Saturday and Sunday 9:30 to 13, Chicago time.",
            "Se lee: martes de 9 a 17; sábado y domingo de 9:30 a 13, hora de Chicago.",
        ),
        (
            {},
            "There is no fixed time at which answers are read.",
            "No hay una hora fija en que se lean las respuestas.",
        ),
    ],
)
def test_the_sentence_says_the_hours_in_either_language(hours: Hours, english: str, spanish: str) -> None:
    assert notice(hours, CHICAGO, "") == english
    assert notice(hours, CHICAGO, "¡Ánimo!", language="es", say=languages.texts("es").gettext) == f"{spanish} ¡Ánimo!"


@settings(deadline=None)  # the first of a language reads its file
@given(hours=HOURS, zone=st.sampled_from(sorted(available_timezones())), language=st.sampled_from(["en", "es"]))
def test_whatever_the_hours_and_the_zone_there_is_one_sentence(hours: Hours, zone: str, language: str) -> None:
    said = notice(hours, ZoneInfo(zone), "", language=language, say=languages.texts(language).gettext)
    assert said.endswith(".")
    assert "%" not in said
    assert said.count("; ") < 7


async def test_words_of_a_clinic_s_own_become_its_addition_and_those_that_all_began_with_go(
    database: DatabaseUrls,
) -> None:
    up, _, down = next(schema.MIGRATIONS.glob("*_notice_from_hours.sql")).read_text().partition("-- migrate:down")
    began, own = "Read on working days, 9 to 17.", "Read daily. Call us at night."
    async with a_pool(database.owner) as pool:
        written = {(await a_clinic(pool, slug=slug)).clinic_id: text for slug, text in (("a", began), ("b", own))}
    owner = await asyncpg.connect(database.owner)
    try:
        await owner.execute(down)
        for clinic_id, text in written.items():
            await owner.execute(
                f"begin; set local neap.clinic_id = '{clinic_id}';"
                f" update clinic_setting set monitoring_notice = '{text}'; commit"
            )
        await owner.execute(up)
        kept = []
        for clinic_id in written:
            await owner.execute(f"set neap.clinic_id = '{clinic_id}'")
            kept.append(await owner.fetchval("select notice_addition from clinic_setting"))
        assert kept == ["", own]
        secured = "select relforcerowsecurity from pg_class where relname = 'clinic_setting'"
        assert await owner.fetchval(secured)
    finally:
        await owner.close()
