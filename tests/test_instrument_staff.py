"""Instruments as staff have them: series with changes and targets, the log, a clinic's own and its rhythms."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.course import PauseReason, Phase, Substance
from schemas.staff import Role
from service import database, ids, instrument_log
from service.commands import instrument as instrument_command
from service.config import Config
from service.database import Pool
from service.facts import courses, instruments, pauses
from tests.answering import a_response, an_own, phq9, send
from tests.builders import a_client, a_phone
from tests.desk import a_person, a_session
from tests.screening import answer
from tests.treatment import STARTED_DAYS_AGO, Treated, a_treated_client, fields_of


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool) as client:
        yield client


async def answers(treated: Treated, given: dict[int, dict[str, int]]) -> None:
    """Responses by how many days ago they were given."""
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        for ago, each in given.items():
            await answer(db, treated.client_id, treated.today - timedelta(days=ago), each)


async def series_of(treated: Treated, code: str = "phq9") -> dict[str, Any]:
    items = (await treated.get("instruments"))["items"]
    found = [each for each in items if each["code"] == code]
    assert len(found) == 1
    series: dict[str, Any] = found[0]
    return series


async def test_a_response_is_judged_from_the_first_total_that_is_high_enough(treated: Treated) -> None:
    await answers(
        treated,
        {
            40: phq9(1, 1, 1, 1, 1, 1, 1, 1, 1),
            33: phq9(3, 3, 3, 3, 2, 2, 2, 1, 1),
            26: phq9(3, 3, 3, 3, 3, 3, 3, None, 3),
            19: phq9(1, 1, 1, 1, 0, 0, 0, 0, 0),
        },
    )
    points = (await series_of(treated))["points"]
    assert [each["total"] for each in points] == [9, 20, 27, 4]
    assert [(each["responded"], each["remitted"]) for each in points] == [(None, None)] * 3 + [(True, True)]


async def test_a_series_shows_totals_bands_changes_and_targets_with_their_formulas(treated: Treated) -> None:
    await answers(
        treated,
        {
            40: phq9(2, 2, 2, 2, 2, 2, 2, 2, 1),
            33: phq9(2, 2, 2, 2, 1, 1, 1, 1, 0),
            26: phq9(1, 1, 1, 1, None, None, None),
            19: phq9(1, 1, 1, 1, 0, 0, 0, None, None),
        },
    )
    series = await series_of(treated)
    points = series["points"]
    assert [each["total"] for each in points] == [17, 12, None, 5.14]
    assert [each["band"] for each in points] == ["moderately severe", "moderate", None, "mild"]
    assert [each["urgent"] for each in points] == [["9"], [], [], []]
    assert (points[2]["missing"], points[2]["filled_in"], points[2]["since_first"]) == (["5", "6", "7"], False, None)
    assert (points[3]["missing"], points[3]["filled_in"]) == (["8", "9"], True)
    first, second, _, fourth = points
    assert (first["since_first"], first["responded"], first["remitted"]) == (None, None, None)
    assert second["since_first"] == {"points": -5, "worse": False, "reliable": False, "since": treated.day(40)}
    assert (second["responded"], second["remitted"]) == (False, False)
    assert fourth["since_first"] == {"points": -11.86, "worse": False, "reliable": None, "since": treated.day(40)}
    assert fourth["since_previous"] == {"points": -6.86, "worse": False, "reliable": None, "since": treated.day(33)}
    assert (fourth["responded"], fourth["remitted"]) == (None, None), (
        "nothing is judged from a total that was filled in"
    )
    assert [each["urgent_missing"] for each in points] == [[], [], [], ["9"]]
    assert (series["least"], series["greatest"], series["worse"]) == (0, 27, "higher")
    assert series["reliable_change"]["formula"] == "a difference of at least 6 points"
    assert "NHS Talking Therapies" in series["reliable_change"]["source"]
    assert series["response"]["formula"].startswith("at least 50% less than the first total")
    assert series["remission"]["formula"].startswith("a total below 5")
    assert series["missing_rule"]["formula"].startswith("up to 2 items")


async def test_what_belongs_to_an_earlier_course_is_not_compared_with(treated: Treated) -> None:
    await answers(treated, {STARTED_DAYS_AGO + 9: phq9(3, 3, 3, 3, 3), 7: phq9(1)})
    points = (await series_of(treated))["points"]
    assert [each["since_first"] for each in points] == [None, None]


async def test_the_log_says_what_was_answered_missed_and_is_due(treated: Treated) -> None:
    await answers(treated, {STARTED_DAYS_AGO - 1: phq9(1), STARTED_DAYS_AGO - 15: phq9(2)})
    log = (await series_of(treated))["windows"]
    assert [each["state"] for each in log] == ["answered", "missed", "answered", *["missed"] * 5, "due"]
    assert [each["since"] for each in log] == [treated.day(STARTED_DAYS_AGO - 7 * week) for week in range(9)]
    assert log[0]["answered_on"] == treated.day(STARTED_DAYS_AGO - 1)
    assert log[2]["response_id"] is not None
    assert (log[-1]["until"], log[-1]["answered_on"]) == (treated.day(-2), None)


async def test_pauses_and_discharge_are_excluded_and_phases_have_their_own_rhythm(treated: Treated) -> None:
    today, now = treated.today, datetime.now(UTC)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        course = (await courses.of(db, treated.client_id))[-1]
        start = course.started_on
        await pauses.begin(
            db,
            treated.client_id,
            from_on=start + timedelta(days=9),
            until_on=start + timedelta(days=18),
            reason=PauseReason.TRAVEL,
            by=None,
            now=now,
        )
        await courses.enter_phase(
            db, course.course_id, Phase.MAINTENANCE, from_on=start + timedelta(days=30), by=None, now=now
        )
        facts = await instrument_log.read(db, treated.client_id)
        log = instrument_log.log_of(facts, "phq9", today)
        assert [(each.since - start).days for each in log] == [0, 7, 24, 30, 58]
        assert [(each.until - start).days for each in log] == [6, 23, 29, 39, 67]
        assert [each.code for each in instrument_log.due_of(facts, today)] == ["audit_c", "gad7", "pacs", "phq9"][1:]
        await courses.end(db, course.course_id, ended_on=today - timedelta(days=1), now=now)
        discharged = await instrument_log.read(db, treated.client_id)
        assert instrument_log.due_of(discharged, today) == []
        assert instrument_log.log_of(discharged, "phq9", today)[-1].state == "missed"


async def test_a_paused_client_is_asked_nothing_and_one_treated_for_cocaine_nothing_about_alcohol(
    treated: Treated,
) -> None:
    now = datetime.now(UTC)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        other = await a_client(db, substances=(Substance.COCAINE,), started_on=treated.today, time_zone="UTC", now=now)
        codes = [each.code for each in instrument_log.due_of(await instrument_log.read(db, other), treated.today)]
        assert codes == ["gad7", "phq9"]
        await pauses.begin(
            db, other, from_on=treated.today, until_on=None, reason=PauseReason.INPATIENT, by=None, now=now
        )
        assert instrument_log.due_of(await instrument_log.read(db, other), treated.today) == []


async def admin_of(treated: Treated) -> dict[str, str]:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        return (await a_session(db, await a_person(db, Role.ADMIN, name="Ruben Ellery"))).bearer


async def bring_in(treated: Treated, admin: dict[str, str], own: dict[str, object]) -> httpx.Response:
    return await treated.http.post("/v1/instruments", headers=admin, json=own)


async def test_a_clinic_brings_in_its_own_and_a_version_never_changes(treated: Treated) -> None:
    admin = await admin_of(treated)
    replies = [
        await bring_in(treated, admin, each)
        for each in (
            an_own(version=2),
            an_own(),
            an_own(),
            an_own(title="Other words"),
            an_own(title="Other words", version=2),
            an_own(code="phq9", version=2),
        )
    ]
    assert [each.status_code for each in replies] == [409, 201, 200, 409, 201, 409]
    assert "The next one of this instrument is 1." in replies[0].json()["detail"]
    listed = (await treated.http.get("/v1/instruments", headers=admin)).json()["items"]
    assert [(each["definition"]["code"], each["definition"]["version"], each["own"]) for each in listed] == [
        ("audit_c", 1, False),
        ("gad7", 1, False),
        ("own", 2, True),
        ("pacs", 1, False),
        ("phq9", 1, False),
    ]
    assert await treated.value("select count(*) from audit_event where action = 'instrument.add'") == 2


async def test_a_definition_as_a_toml_file_is_taken_too_and_refused_by_path(treated: Treated) -> None:
    admin = await admin_of(treated) | {"Content-Type": "application/toml"}
    toml = (Path(__file__).parent / "data" / "own_instrument.toml").read_text()
    reply = await treated.http.post("/v1/instruments", headers=admin, content=toml)
    assert reply.status_code == 201, reply.text
    broken = toml.replace("above = 0", "above = 9")
    assert fields_of((await treated.http.post("/v1/instruments", headers=admin, content=broken)).json()) == {
        "urgent[0].above"
    }
    no_toml = await treated.http.post("/v1/instruments", headers=admin, content="code =")
    assert no_toml.status_code == 400


async def test_an_own_instrument_is_asked_answered_and_urgent_like_any_other(treated: Treated) -> None:
    await bring_in(treated, await admin_of(treated), an_own())
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        phone = await a_phone(db, treated.client_id, now=datetime.now(UTC))
    today = (await treated.http.get("/v1/today", params={"time_zone": "UTC"}, headers=phone.headers)).json()
    (due,) = [each for each in today["instruments"] if each["code"] == "own"]
    assert (due["since"], due["items"]) == (treated.today.isoformat(), 2)
    reply = await send(treated.http, phone, a_response({"a": 1, "b": 1}, instrument="own", time_zone="UTC"))
    assert reply.status_code == 201, reply.text
    assert (reply.json()["response"]["total"], bool(reply.json()["crisis"])) == (2, True)
    series = await series_of(treated, "own")
    assert [each["state"] for each in series["windows"]] == ["answered"]
    assert series["reliable_change"] is None
    assert await treated.value("select count(*) from alert where tier = 1") == 1


async def test_another_clinic_s_instrument_is_not_there(treated: Treated, owner_pool: Pool) -> None:
    await bring_in(treated, await admin_of(treated), an_own())
    async with database.transaction(owner_pool, ids.new()) as db:
        assert (await instruments.catalogue_of(db)).newest("own") is None


async def test_a_clinic_chooses_its_rhythm_from_a_day_on(treated: Treated) -> None:
    admin, today = await admin_of(treated), treated.today

    async def choose(code: str, **fields: object) -> httpx.Response:
        form = {"phase": "induction", "every_days": None, "from_on": today.isoformat()} | fields
        return await treated.http.put(f"/v1/instruments/{code}/schedule", headers=admin, json=form)

    assert (await choose("pacs")).json()["every_days"] is None
    daily = (await choose("gad7", every_days=1)).json()
    assert (daily["every_days"], daily["open_days"]) == (1, 1)
    assert (await choose("phq9", every_days=14, open_days=3)).status_code == 200
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        facts = await instrument_log.read(db, treated.client_id)
    due = {each.code: (each.since, each.until) for each in instrument_log.due_of(facts, today)}
    assert "pacs" not in due
    assert due["gad7"] == (today, today)
    assert due["phq9"] == (today, today + timedelta(days=2))
    before = instrument_log.log_of(facts, "pacs", today)
    assert len(before) == 9
    assert before[-1].until == today - timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"from_on": "2020-01-01"}, "from_on"),
        ({"phase": "discharged"}, "phase"),
        ({"every_days": 7, "open_days": 8}, "open_days"),
        ({"open_days": 8}, "open_days"),
        ({"every_days": 0}, "every_days"),
    ],
)
async def test_a_rhythm_that_cannot_be_is_refused_by_field(
    treated: Treated, fields: dict[str, object], named: str
) -> None:
    form = {"phase": "induction", "every_days": None, "from_on": treated.today.isoformat()} | fields
    reply = await treated.http.put("/v1/instruments/phq9/schedule", headers=await admin_of(treated), json=form)
    assert reply.status_code == 400, reply.text
    assert fields_of(reply.json()) == {named}


async def test_whoever_was_imported_was_never_asked(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await db.execute("update client set origin = 'import' where clinic_id = $1", db.clinic_id)
        facts = await instrument_log.read(db, treated.client_id)
    assert instrument_log.due_of(facts, treated.today) == []
    assert instrument_log.log_of(facts, "phq9", treated.today) == []


async def test_the_page_shows_the_totals_the_rules_and_what_was_missed(treated: Treated) -> None:
    every = {40: phq9(3, 3, 3, 3, 3, 3, 3, 3, 1), 33: phq9(0, 0, 0, 0), 19: phq9(1, 1, 1, None)}
    await answers(treated, every | {12: phq9(0, 0, 0, 0, 0, 0, 0, 0, None)})
    address = f"/clients/{treated.client_id}"
    reply = await treated.http.get(f"{address}/instruments", headers=treated.person.bearer)
    assert reply.status_code == 200
    page = " ".join(reply.text.split())
    for text in (
        "0 to 27, higher is worse",
        "severe",
        "better, reliable",
        "remission",
        "question 4 not answered, filled in with the mean, and nothing is judged from it",
        "<b>question 9 was left out</b>; filled in with the mean, and nothing is judged from it",
        "Reliable change: a difference of at least 6 points. NHS Talking Therapies",
        "<b>missed</b>",
        "No rule for a reliable change is published",
        "No permission is required to reproduce",
    ):
        assert text in page, text
    client_page = await treated.http.get(address, headers=treated.person.bearer)
    assert f'href="{address}/instruments' in client_page.text
    assert await treated.value("select count(*) from audit_event where action = 'client.read_instruments'") == 1


async def test_the_command_brings_a_file_in_once_and_names_every_fault(
    treated: Treated, settings: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.toml"

    async def run(text: str, slug: str = "harbour") -> int:
        file.write_text(text)
        arguments = argparse.Namespace(file=file, clinic=slug)
        return await asyncio.to_thread(instrument_command.run, arguments, settings)

    toml = (Path(__file__).parent / "data" / "own_instrument.toml").read_text()
    assert await run(toml) == 0
    assert await run(toml) == 0
    said = capsys.readouterr().out
    assert "asked from today on" in said
    assert "it was there already" in said
    assert await run(toml.replace("value = 1,", 'value = "1",').replace("above = 0", "above = 0\nstreak = 1")) == 2
    assert await run(toml.replace("above = 0", "above = 9")) == 2
    assert await run(toml, slug="nowhere") == 2
    refused = capsys.readouterr().err
    assert "urgent[0].above: less than the item's highest option" in refused
    assert "There is no clinic nowhere." in refused
