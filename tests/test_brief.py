"""The brief before an appointment: true to what is stored, each sentence with its evidence, for whoever may read it."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from schemas.course import SessionState
from schemas.gate import Analyte
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Db, Pool
from service.facts import checkins
from service.gate import decide
from service.people import clients
from tests.appointments import a_given_infusion, a_planned_infusion, a_pressure, a_screen, a_session_of
from tests.builders import MASTER, an_answer
from tests.desk import a_person, a_session, an_alert
from tests.treatment import Treated, a_treated_client

DAY = timedelta(days=1)


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool, time_zone="America/Chicago") as here:
        yield here


async def noted(db: Db, check_in_id: UUID, note: str) -> None:
    """Give a check-in a note, sealed as intake does."""
    client_id = await db.value("select client_id from check_in where check_in_id = $1", check_in_id)
    assert isinstance(client_id, UUID)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    sealed = sealer.seal(note.encode(), bound_to=checkins.note_binding(db.clinic_id, check_in_id))
    await db.execute("update check_in set note_sealed = $2 where check_in_id = $1", check_in_id, sealed)


async def a_story(here: Treated) -> dict[date, UUID]:
    """A session nine days ago; calm before it, worse since, with a worst day in the client's own words."""
    answers = {}
    async with database.transaction(here.owner, here.clinic.clinic_id) as db:
        await a_session_of(db, here.client_id, hours_ahead=-9 * 24, state=SessionState.ATTENDED)
        await a_session_of(db, here.client_id, hours_ahead=26)
        await a_given_infusion(db, here.client_id, hours_ago=12 * 24)
        await a_given_infusion(db, here.client_id, hours_ago=5 * 24)
        for ago in range(20, 0, -1):
            if ago in (3, 4):
                continue  # two silent days
            day = here.today - ago * DAY
            craving, mood, anxiety = (2, 7, 2) if ago >= 9 else (9, 1, 8) if ago == 6 else (6, 4, 5)
            answers[day] = await an_answer(
                db, here.client_id, day, craving=craving, mood=mood, anxiety=anxiety, at=time(12)
            )
        await noted(db, answers[here.today - 6 * DAY], "Met the old crowd. Hardly slept.")
        await an_alert(db, here.client_id)
    return answers


def sections_of(brief: Any) -> dict[str, list[Any]]:
    return {section["code"]: section["sentences"] for section in brief["sections"]}


def texts(sentences: list[Any]) -> str:
    return "\n".join(sentence["text"] for sentence in sentences)


async def test_the_therapist_reads_what_changed_since_the_last_session(treated: Treated) -> None:
    answers = await a_story(treated)
    brief = await treated.get("brief?for=therapy")
    assert (brief["for"], brief["since_appointment"], brief["client"]) == ("therapy", True, "Ines Marlow")
    assert brief["appointment_at"] is not None
    told = sections_of(brief)
    assert "Craving for alcohol 6." in texts(told["changed"])
    assert "2.0 in the 14 days before" in texts(told["changed"])
    worst = told["days"][0]
    assert "craving 9, mood 1, anxiety 8" in worst["text"]
    assert worst["quote"] == "Met the old crowd. Hardly slept."
    assert [each["id"] for each in worst["evidence"]] == [str(answers[treated.today - 6 * DAY])]
    assert "Infusion 2" in texts(told["infusion"])
    assert "no answer on" in texts(told["answers"])
    assert "No use reported since" in texts(told["use"])
    assert "Nobody has it yet." in texts(told["alerts"])
    assert "Nobody has taken on 1 alert yet." in texts(told["open"])


async def test_every_sentence_rests_on_something_that_can_be_opened(treated: Treated) -> None:
    await a_story(treated)
    for brief_for in ("therapy", "infusion"):
        brief = await treated.get(f"brief?for={brief_for}")
        for section in brief["sections"]:
            for sentence in section["sentences"]:
                said_of_nothing = sentence["text"].startswith(("No ", "The question about use"))
                assert sentence["evidence"] or said_of_nothing, sentence
                for evidence in sentence["evidence"]:
                    path = evidence["href"].partition("#")[0]
                    page = await treated.http.get(path, headers=treated.person.cookie)
                    assert page.status_code == 200, evidence


async def test_the_nurse_reads_gate_screen_pressure_use_and_missed_days(treated: Treated) -> None:
    now = datetime.now(UTC)
    await a_story(treated)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, treated.client_id, hours_ahead=20)
        for form in (a_screen(Analyte.COCAINE, at=now), a_pressure(148, 92, at=now)):
            await decide.record(db, treated.client_id, infusion_id, form, by=treated.person.staff_id, now=now)
    told = sections_of(await treated.get("brief?for=infusion"))
    assert "A hold is proposed" in texts(told["gate"])
    assert "positive for cocaine, presumptive" in texts(told["records"])
    assert "148/92 mmHg, pulse 72" in texts(told["records"])
    assert told["gate"][0]["evidence"][0]["href"] == f"/infusions/{infusion_id}/gate"
    assert "full days answered" in texts(told["answers"])
    assert "Tier 2" in texts(told["alerts"])


async def test_a_coordinator_reads_no_words_of_the_client_and_no_gate(treated: Treated) -> None:
    await a_story(treated)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await a_planned_infusion(db, treated.client_id, hours_ahead=20)
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))
        stranger = await a_session(db, await a_person(db, Role.NURSE))
    for brief_for in ("therapy", "infusion"):
        address = f"/v1/clients/{treated.client_id}/brief?for={brief_for}"
        reply = await treated.http.get(address, headers=coordinator.bearer)
        assert reply.status_code == 200
        assert "old crowd" not in reply.text
        assert not {"gate", "records"} & set(sections_of(reply.json()))
        assert (await treated.http.get(address, headers=stranger.bearer)).status_code == 404


async def test_what_is_asked_for_is_one_of_two_and_named_so_in_the_description(treated: Treated) -> None:
    address = f"/v1/clients/{treated.client_id}/brief?for=lunch"
    refused = await treated.http.get(address, headers=treated.person.bearer)
    assert refused.status_code == 400
    assert "for" in str(refused.json()["errors"])
    described = (await treated.http.get("/v1/openapi.json")).json()
    parameters = described["paths"]["/v1/clients/{client_id}/brief"]["get"]["parameters"]
    assert [each["name"] for each in parameters] == ["client_id", "for"]


async def test_before_anything_was_answered_the_brief_says_so_kindly(treated: Treated) -> None:
    told = sections_of(await treated.get("brief?for=therapy"))
    assert texts(told["use"]) == "The question about use was not answered since."
    assert texts(told["infusion"]) == "No infusion was given yet."
    page = await treated.http.get(f"/clients/{treated.client_id}/brief", headers=treated.person.cookie)
    assert page.status_code == 200


async def test_the_page_says_what_the_api_says_and_leads_to_it(treated: Treated) -> None:
    await a_story(treated)
    brief = await treated.get("brief?for=therapy")
    page = (
        await treated.http.get(f"/clients/{treated.client_id}/brief?for=therapy", headers=treated.person.cookie)
    ).text
    for section in brief["sections"]:
        for sentence in section["sentences"]:
            assert html.escape(sentence["text"], quote=False) in page.replace("&#39;", "'")
    client_page = (await treated.http.get(f"/clients/{treated.client_id}", headers=treated.person.cookie)).text
    assert f"/clients/{treated.client_id}/brief?for=therapy" in client_page


async def test_reading_a_brief_is_audited(treated: Treated) -> None:
    await treated.get("brief?for=infusion")
    read = await treated.value(
        "select count(*) from audit_event where clinic_id = $1 and action = 'brief.read' and client_id = $2",
        treated.clinic.clinic_id,
        treated.client_id,
    )
    assert read == 1
