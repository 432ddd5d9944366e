"""A client's page: the short brief on top, alerts and who was told of them, the gate, the band with its dates."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from schemas.alert import Outcome, Rule, Tier
from schemas.staff import Role
from service import database
from service.alerting import alerts
from service.config import Config
from service.database import Db, Pool
from service.desk import brief, client_page
from service.people import clients
from service.web.charts.chart_spec import spec_of
from service.web.dashboard import chart_pages
from tests.appointments import a_given_infusion, a_planned_infusion, a_session_of
from tests.builders import MASTER, a_client, an_answer
from tests.desk import SignedInAs, a_person, a_session, a_trend, a_trend_day, an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client, days_before
from tests.drawings import texts_of
from tests.telling import a_story

DAY = timedelta(days=1)


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


async def a_told_client(desk: Desk) -> UUID:
    """With a story, a trend, an infusion tomorrow, and an alert of which the person was told."""
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db, given_name="Ines", family_name="Marlow")
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=now - DAY)
        await a_trend(db, client_id, [a_trend_day(at.date()) for at in days_before(30)])
        await a_story(db, client_id, now.date())
        await a_planned_infusion(db, client_id)
        await db.execute(
            "update delivery set state = 'opened', settled_at = $2, opened_at = $2 where clinic_id = $1",
            db.clinic_id,
            now,
        )
    return client_id


def seen(page: str) -> str:
    """The page's text, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


async def test_where_older_days_are_not_drawn_the_page_says_so(desk: Desk, owner_pool: Pool) -> None:
    async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
        known = await a_followed_client(db, days=20)
        long_known = await a_followed_client(db, given_name="Ole", days=chart_pages.SPANS["all"] + 1)
    assert "what lies before" not in (await desk.get(f"/clients/{known}?days=all")).text
    assert "the newest 1500 days; what lies before" in (await desk.get(f"/clients/{long_known}?days=all")).text
    assert "what lies before" not in (await desk.get(f"/clients/{long_known}?days=70")).text


async def test_the_page_begins_with_what_changed_since_the_session_each_sentence_linked(desk: Desk) -> None:
    client_id = await a_told_client(desk)
    page = (await desk.get(f"/clients/{client_id}")).text
    text = seen(page)
    assert text.index("What changed since the session of") < text.index("Open alerts") < text.index("Gate for")
    assert text.index("Gate for") < text.index("Days") < text.index("All values as a table")
    assert "Worst day" in text
    assert "Met the old crowd. Hardly slept." in text
    assert re.search(rf'<a class="quiet" href="/clients/{client_id}#d-\d{{4}}-\d\d-\d\d">Craving for', page)
    assert f'href="/clients/{client_id}/brief?for=therapy">The whole brief</a>' in page


async def test_each_alert_says_who_was_told_of_it_and_when_open_or_closed(desk: Desk) -> None:
    client_id = await a_told_client(desk)
    text = seen((await desk.get(f"/clients/{client_id}")).text)
    assert re.search(r"told: Maren Holt by e-mail \d+ \w+ \d\d:\d\d, opened \d\d:\d\d", text)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        [alert] = await alerts.inbox(db, [client_id])
        await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=desk.person.staff_id, now=datetime.now(UTC))
    text = seen((await desk.get(f"/clients/{client_id}")).text)
    assert "None. What asks for somebody will stand here" in text
    assert re.search(r"resolved: called told: Maren Holt by e-mail", text)


async def test_the_gate_of_the_next_infusion_stands_there_for_whoever_treats_the_client(desk: Desk) -> None:
    client_id = await a_told_client(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        nurse = await a_person(db, Role.NURSE, name="Tomas Reyes")
        await clients.assign(db, client_id, nurse, Role.NURSE, from_at=datetime.now(UTC) - DAY)
        treats, coordinates = await a_session(db, nurse), await a_session(db, await a_person(db, Role.COORDINATOR))

    async def read_by(who: SignedInAs) -> str:
        return seen((await desk.http.get(f"/clients/{client_id}", headers=who.cookie)).text)

    own, others = await read_by(treats), await read_by(coordinates)
    assert "Still to be recorded: drug screen, blood pressure, complete list of contraindications." in own
    assert "Gate for" not in others
    assert ("Hardly slept" in own, "Hardly slept" in others) == (True, False), "notes are for the care team"
    assert "What changed since the session of" in others
    assert "told: Maren Holt" in others


async def test_consent_to_recipients_outside_the_clinic_stands_with_the_phone_and_the_care_team(desk: Desk) -> None:
    client_id = await a_told_client(desk)
    assert "outside the clinic" not in (await desk.get(f"/clients/{client_id}")).text
    assert "Recipients outside the clinic" in (await desk.get(f"/clients/{client_id}/manage")).text


async def test_the_band_is_shown_with_what_it_is_and_since_when_it_has_been_learned(desk: Desk) -> None:
    client_id, first = await a_told_client(desk), datetime.now(UTC).date() - 30 * DAY
    page = (await desk.get(f"/clients/{client_id}")).text
    assert f"usual band of each day, learned since {first.day} " in page
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        above = headings(await client_page.chart_of(db, client_id, days=28, now=datetime.now(UTC)))
    assert above[0] == ["Craving", f"up is worse · usual 2.1 to 5.2, learned since {said(first)}"]
    assert above[1] == ["Mood", f"down is worse · usual 4.7 to 7.6, learned since {said(first)}"]


async def test_what_staff_called_the_new_usual_begins_the_band_anew(desk: Desk) -> None:
    client_id, now = await a_told_client(desk), datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        [alert] = await alerts.inbox(db, [client_id])
        at = now - 5 * DAY
        await alerts.resolve(db, alert.alert_id, Outcome.NEW_USUAL, by=desk.person.staff_id, now=at)
        chart = await client_page.chart_of(db, client_id, days=28, now=datetime.now(UTC))
    assert chart.usual_since is not None
    assert 4 <= (now.date() - chart.usual_since).days <= 6


def said(day: date) -> str:
    return f"{day.day} {day:%b}"


def headings(chart: client_page.Chart) -> list[list[str]]:
    spec = msgspec.json.decode(msgspec.json.encode(spec_of(chart, "wide")))
    return [texts_of(panel) for panel in spec["vconcat"]]


async def asked_by(db: Db, client_id: UUID) -> int:
    asked: list[str] = []
    sealer = await clients.sealer_of(db, MASTER, client_id)
    now = datetime.now(UTC)
    with db.connection.query_logger(lambda query: asked.append(query.query)):
        zone = (await clients.get(db, client_id)).time_zone
        await client_page.read(db, client_id, days=70, zone=ZoneInfo(zone), sealer=sealer, now=now)
        await brief.in_short(db, client_id, sealer=sealer, now=now)
    return len(asked)


async def test_the_page_takes_the_same_number_of_queries_however_much_there_is_of_a_client(desk: Desk) -> None:
    client_id = await a_told_client(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        once = await asked_by(db, client_id)
        for hours in (30, 60, 90):
            await a_session_of(db, client_id, hours_ahead=hours)
            await a_given_infusion(db, client_id, hours_ago=24 * hours)
            await an_answer(db, client_id, datetime.now(UTC).date() - timedelta(days=hours))
            [alert, *_] = await alerts.inbox(db, [client_id])
            await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=desk.person.staff_id, now=datetime.now(UTC))
            await an_alert(db, client_id, Rule.SAFETY, Tier.URGENT, now=datetime.now(UTC) - timedelta(days=hours))
        assert await asked_by(db, client_id) == once


async def test_answers_of_one_day_are_told_apart_and_the_one_that_counts_is_marked(desk: Desk) -> None:
    days = [datetime.now(ZoneInfo("America/Chicago")).date() - timedelta(days=ago) for ago in (2, 3)]
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db)
        for hour, craving in ((8, 5), (12, 4), (18, 2)):
            await an_answer(db, client_id, days[0], craving=craving, at=time(hour))
        await an_answer(db, client_id, days[1], craving=1)
    page = (await desk.get(f"/clients/{client_id}")).text
    rows = re.findall(r"<li><time.*?</li>", page[page.index("<h2>Check-ins</h2>") :], re.DOTALL)
    told = [(re.search(r"answered \d+ \w+ (\d\d:\d\d)", row), "counts for the day" in row) for row in rows[:4]]
    assert [(at and at[1], counts) for at, counts in told] == [
        ("18:00", True),
        ("12:00", False),
        ("08:00", False),
        (None, False),
    ]


async def test_open_alerts_stand_by_urgency_whenever_they_came(desk: Desk, owner_pool: Pool) -> None:
    now = datetime.now(UTC)
    async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        await an_alert(db, client_id, Rule.SAFETY, Tier.URGENT, now=now - timedelta(hours=1))
        await an_alert(db, client_id, Rule.WORSENING, Tier.TODAY, now=now)
    page = (await desk.get(f"/clients/{client_id}")).text
    assert re.findall(r'aria-label="Acknowledge: (\w+)"', page) == ["urgent", "today"]


async def test_an_urgent_alert_marks_the_page_as_it_marks_the_caseload_and_the_status_comes_after_it(
    desk: Desk,
) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        new_id = await a_client(db, given_name="Alma")
    head = re.compile(r'<p class="statusline">(.*?)</p>', re.DOTALL)
    marks = re.compile(r'class="mark (\w+)"')

    async def marked(client: UUID) -> list[str]:
        found = head.search((await desk.get(f"/clients/{client}")).text)
        return marks.findall(found[1]) if found else []

    assert await marked(client_id) == ["on_track"]
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        for each in (client_id, new_id):
            await an_alert(db, each, Rule.SAFETY, Tier.URGENT)
    assert await marked(client_id) == ["urgent", "on_track"]
    assert await marked(new_id) == ["urgent"], "before the first day was folded, too"
    assert (await desk.get("/caseload")).text.count('<td class="st"><span class="mark urgent">') == 2


async def test_a_client_whose_zone_this_server_does_not_know_has_a_page_on_the_clinic_s_clock(desk: Desk) -> None:
    client_id = await a_told_client(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await db.execute("update client set time_zone = 'Mars/Olympus' where clinic_id = $1", db.clinic_id)
    for path in ("", "/changed?since=0", "/chart.svg"):
        assert (await desk.get(f"/clients/{client_id}{path}")).status_code < 500, path
    assert (await desk.get(f"/clients/{client_id}")).status_code == 200
