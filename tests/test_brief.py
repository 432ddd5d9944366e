"""The brief before an appointment: true to what is stored, each sentence with its evidence, for whoever may read it."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.course import SessionState
from schemas.gate import Analyte
from schemas.staff import Role
from service import database, ids
from service.config import Config
from service.database import Pool
from service.desk import sentences
from service.gate import decide
from service.web import pages
from tests.answering import phq9
from tests.appointments import a_planned_infusion, a_pressure, a_screen, a_session_of
from tests.builders import a_phone
from tests.checking_in import form_now, put
from tests.desk import a_person, a_session
from tests.screening import answer
from tests.telling import DAY, a_story
from tests.treatment import Treated, a_treated_client


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool, time_zone="America/Chicago") as here:
        yield here


async def told(here: Treated) -> dict[date, UUID]:
    """The story of nine days since a session, told of this client."""
    async with database.transaction(here.owner, here.clinic.clinic_id) as db:
        return await a_story(db, here.client_id, here.today)


def sections_of(brief: Any) -> dict[str, list[Any]]:
    return {section["code"]: section["sentences"] for section in brief["sections"]}


def texts(sentences: list[Any]) -> str:
    return "\n".join(sentence["text"] for sentence in sentences)


async def test_the_therapist_reads_what_changed_since_the_last_session(treated: Treated) -> None:
    answers = await told(treated)
    brief = await treated.get("brief?for=therapy")
    assert (brief["for"], brief["since_appointment"], brief["client"]) == ("therapy", True, "Ines Marlow")
    assert brief["appointment_at"] is not None
    said = sections_of(brief)
    assert "Craving for alcohol 6." in texts(said["changed"])
    assert "2.0 in the 14 days before" in texts(said["changed"])
    worst = said["days"][0]
    assert "craving 9, mood 1, anxiety 8" in worst["text"]
    assert worst["quote"] == "Met the old crowd. Hardly slept."
    assert [each["id"] for each in worst["evidence"]] == [str(answers[treated.today - 6 * DAY])]
    assert "Infusion 2" in texts(said["infusion"])
    assert "no answer on" in texts(said["answers"])
    assert "No use reported since" in texts(said["use"])
    assert "Nobody has it yet." in texts(said["alerts"])
    assert "Nobody has taken on 1 alert yet." in texts(said["open"])


async def test_what_is_treated_no_more_is_told_for_the_days_on_which_it_was_asked(treated: Treated) -> None:
    await told(treated)
    await treated.post("course/substances", {"substances": ["cocaine"], "from_on": treated.day(2)})
    said = texts(sections_of(await treated.get("brief?for=therapy"))["changed"])
    assert "Craving for alcohol 6." in said


async def test_days_between_two_courses_are_not_missed_ones(treated: Treated) -> None:
    await told(treated)
    asked_before = texts(sections_of(await treated.get("brief?for=therapy"))["answers"])
    assert "of 8 full days answered" in asked_before
    await treated.post("course/discharge", {"last_day": treated.day(4), "reason": "completed"})
    await treated.put(f"courses/{ids.new()}", {"substances": ["alcohol"], "started_on": treated.day(2)})
    said = texts(sections_of(await treated.get("brief?for=therapy"))["answers"])
    assert "of 7 full days answered" in said


async def test_the_newest_questionnaire_stands_beside_the_one_before(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await answer(db, treated.client_id, treated.today - 15 * DAY, phq9(*[2] * 9))
        await answer(db, treated.client_id, treated.today - 2 * DAY, phq9(*[1] * 9))
    [sentence] = sections_of(await treated.get("brief?for=therapy"))["instruments"]
    assert ": 9 (" in sentence["text"]
    assert "9 lower than on" in sentence["text"]
    assert sentence["text"].endswith("a reliable change.")


async def test_every_sentence_rests_on_something_that_can_be_opened(treated: Treated) -> None:
    await told(treated)
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
    await told(treated)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, treated.client_id, hours_ahead=20)
        for form in (a_screen(Analyte.COCAINE, at=now), a_pressure(148, 92, at=now)):
            await decide.record(db, treated.client_id, infusion_id, form, by=treated.person.staff_id, now=now)
    said = sections_of(await treated.get("brief?for=infusion"))
    assert "A hold is proposed" in texts(said["gate"])
    assert "positive for cocaine, presumptive" in texts(said["records"])
    assert "148/92 mmHg, pulse 72" in texts(said["records"])
    assert said["gate"][0]["evidence"][0]["href"] == f"/infusions/{infusion_id}/gate"
    assert "full days answered" in texts(said["answers"])
    assert "Today, " in texts(said["alerts"])


async def test_a_yes_to_the_safety_question_is_the_first_thing_read_in_the_client_s_words(treated: Treated) -> None:
    await told(treated)
    assert "safety" not in sections_of(await treated.get("brief?for=therapy"))
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        phone = await a_phone(db, treated.client_id, now=datetime.now(UTC))
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))
    said = "I do not want to be alone tonight."
    assert (await put(treated.http, phone, form_now(safety=True, note=said))).is_success
    # A later answer of the day, which counts for the trend, takes nothing of it away.
    assert (await put(treated.http, phone, form_now(safety=False))).is_success
    for brief_for in ("therapy", "infusion"):
        brief = await treated.get(f"brief?for={brief_for}")
        assert brief["sections"][0]["code"] == "safety"
        [sentence] = brief["sections"][0]["sentences"]
        assert sentence["text"].startswith("Yes to the safety question on ")
        assert sentence["quote"] == said
        address = f"/v1/clients/{treated.client_id}/brief?for={brief_for}"
        assert said not in (await treated.http.get(address, headers=coordinator.bearer)).text


async def test_a_coordinator_reads_no_words_of_the_client_and_no_gate(treated: Treated) -> None:
    await told(treated)
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
    assert [each["field"] for each in refused.json()["errors"]] == ["for"]
    described = (await treated.http.get("/v1/openapi.json")).json()
    parameters = described["paths"]["/v1/clients/{client_id}/brief"]["get"]["parameters"]
    assert [each["name"] for each in parameters] == ["client_id", "for"]


async def test_before_anything_was_answered_the_brief_says_so_kindly(treated: Treated) -> None:
    said = sections_of(await treated.get("brief?for=therapy"))
    assert texts(said["use"]) == "The question about use was not answered since."
    assert texts(said["infusion"]) == "No infusion was given yet."
    page = await treated.http.get(f"/clients/{treated.client_id}/brief", headers=treated.person.cookie)
    assert page.status_code == 200


async def test_the_page_says_what_the_api_says_and_leads_to_it(treated: Treated) -> None:
    await told(treated)
    brief = await treated.get("brief?for=therapy")
    page = (
        await treated.http.get(f"/clients/{treated.client_id}/brief?for=therapy", headers=treated.person.cookie)
    ).text
    for section in brief["sections"]:
        for sentence in section["sentences"]:
            assert html.escape(sentence["text"], quote=False) in page.replace("&#39;", "'")
    client_page = (await treated.http.get(f"/clients/{treated.client_id}", headers=treated.person.cookie)).text
    assert f"/clients/{treated.client_id}/brief?for=therapy" in client_page


async def test_appointments_are_told_on_the_clinic_s_clock_as_on_every_page(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await db.execute("update client set time_zone = 'Asia/Tokyo' where clinic_id = $1", db.clinic_id)
        await a_planned_infusion(db, treated.client_id, hours_ahead=20)
    brief = await treated.get("brief?for=infusion")
    at = datetime.fromisoformat(brief["appointment_at"]).astimezone(ZoneInfo(treated.clinic.time_zone))
    assert f" {at:%H:%M}. Not decided yet" in texts(sections_of(brief)["gate"])


async def test_a_day_with_use_or_a_yes_to_the_safety_question_is_never_told_as_the_best(treated: Treated) -> None:
    answers = await told(treated)
    calm, hard = treated.today - 2 * DAY, treated.today - 5 * DAY
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await db.execute("update check_in set craving = '{\"alcohol\": 0}' where check_in_id = $1", answers[hard])
        await db.execute("update check_in set safety = true where check_in_id = $1", answers[hard])
        await db.execute("update check_in set craving = '{\"alcohol\": 4}' where check_in_id = $1", answers[calm])
    days = sections_of(await treated.get("brief?for=therapy"))["days"]
    assert "craving 9" in days[0]["text"]
    assert days[1]["text"].startswith("Best day")
    assert "craving 4" in days[1]["text"]
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await db.execute("update check_in set used = array['alcohol'] where clinic_id = $1", db.clinic_id)
    days = sections_of(await treated.get("brief?for=therapy"))["days"]
    assert days[1]["text"] == "No best day: use, or a yes to the safety question, on every answered day."


async def test_a_question_about_self_harm_that_was_left_out_is_named_and_nothing_is_judged_from_the_rest(
    treated: Treated,
) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await answer(db, treated.client_id, treated.today - 8 * DAY, phq9(2, 2, 2, 2, 2, 2, 2, 2, 2))
        await answer(db, treated.client_id, treated.today - DAY, phq9(0, 0, 0, 0, 0, 0, 0, 0, None))
    said = texts(sections_of(await treated.get("brief?for=therapy"))["instruments"])
    assert "PHQ-9" in said
    assert "0 (minimal), 18 lower than on" in said
    assert "Question 9 was left out, and filled in with the mean: no change is judged from that." in said
    assert "reliable" not in said


async def test_a_total_that_was_filled_in_is_rounded_and_said_to_be_filled_in(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await answer(db, treated.client_id, treated.today - 8 * DAY, phq9(None, 2, 1, 1, 1, 1, 1, 1, 1))
        await answer(db, treated.client_id, treated.today - 4 * DAY, phq9(1, 1, 1, 1, 1, 1, 0, 0, 0))
    said = texts(sections_of(await treated.get("brief?for=therapy"))["instruments"])
    assert "6 (mild), about 4 lower than on" in said
    assert "when a question was filled in with the mean" in said
    assert [pages.difference(each) for each in (-4.12, 4.0)] == ["-4.1", "+4"], "as the page of instruments says it"


async def test_a_treatment_that_was_only_imported_says_that_nothing_was_asked(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await db.execute("delete from course_substance where clinic_id = $1", db.clinic_id)
    said = texts(sections_of(await treated.get("brief?for=infusion"))["answers"])
    assert said == "Nothing was asked since: no substance is entered for the course on these days."


async def test_a_brief_stays_one_sheet_whatever_happened(treated: Treated) -> None:
    await told(treated)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        for hours in range(1, 11):
            await a_session_of(db, treated.client_id, hours_ahead=-hours, state=SessionState.MISSED)
        phone = await a_phone(db, treated.client_id, now=datetime.now(UTC))
    note = "Long words. " * 160
    assert (await put(treated.http, phone, form_now(craving={"alcohol": 10}, mood=0, anxiety=10, note=note))).is_success
    said = sections_of(await treated.get("brief?for=therapy"))
    assert [each["text"] for each in said["open"]].count("7 sessions before were missed, too.") == 1
    assert sum("was missed." in each["text"] for each in said["open"]) == 3
    assert len(said["days"][0]["quote"]) <= 400
    assert said["days"][0]["quote"].endswith(" …")


async def test_reading_a_brief_is_audited(treated: Treated) -> None:
    await treated.get("brief?for=infusion")
    read = await treated.value(
        "select count(*) from audit_event where clinic_id = $1 and action = 'brief.read' and client_id = $2",
        treated.clinic.clinic_id,
        treated.client_id,
    )
    assert read == 1


@pytest.mark.parametrize(("value", "said"), [(1.25, "1.3"), (2.35, "2.4"), (0.05, "0.1"), (7, "7.0"), (6.94, "6.9")])
def test_a_mean_is_rounded_as_by_hand(value: float, said: str) -> None:
    assert sentences.tenths(value) == said
    assert pages.signed_tenths(value) == f"+{said}"
    assert pages.signed_tenths(-value) == f"-{said}"
