"""Playing the stories into the database: like lived days, once each, and the fresh client that crosses today."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from schemas.alert import AlertState
from schemas.client import RecordOrigin
from schemas.instrument_response import WindowState
from service import database, fold
from service.alerting import alerts
from service.database import Pool
from service.demo import clinic, fresh, player, questionnaires
from service.demo.clinic import DemoClinic
from service.demo.people import PEOPLE, VISITED_THERAPIST
from service.demo.stories import answer_on, asked_for_help_lately
from service.desk import first_steps, instruments_page
from service.facts import client_day, fold_queue
from service.instruments import catalogue, scoring
from service.people import clients, clinics
from tests.builders import MASTER
from tests.demo_days import FEW, play

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)

CONTENT = """
select
  (select count(*) from check_in where clinic_id = $1) as check_ins,
  (select md5(string_agg(t::text, ',' order by t.client_id, t.client_day)) from trend t where clinic_id = $1) as trends,
  (select count(*) from finding where clinic_id = $1) as findings,
  (select count(*) from alert_event where clinic_id = $1) as alert_events,
  (select count(*) from delivery where clinic_id = $1) as deliveries,
  (select count(*) from infusion where clinic_id = $1) as infusions,
  (select count(*) from infusion_event where clinic_id = $1) as infusion_events,
  (select count(*) from therapy_session where clinic_id = $1) as sessions
"""


async def content(pool: Pool, demo: DemoClinic) -> dict[str, object]:
    async with database.transaction(pool, demo.clinic.clinic_id) as db:
        return dict(await db.get(dict, CONTENT, demo.clinic.clinic_id))


async def count(pool: Pool, demo: DemoClinic, sql: str) -> object:
    async with database.transaction(pool, demo.clinic.clinic_id) as db:
        return await db.value(sql, demo.clinic.clinic_id)


@pytest.fixture
async def demo(owner_pool: Pool) -> DemoClinic:
    return await clinic.find_or_make(owner_pool, now=NOW)


async def test_its_first_steps_are_long_behind_it(owner_pool: Pool, demo: DemoClinic) -> None:
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        steps = await first_steps.read(db)
    assert steps.left | steps.facts >= first_steps.MAY_STAY


async def test_the_clinic_is_made_once_and_says_that_it_is_fictional(owner_pool: Pool, demo: DemoClinic) -> None:
    again = await clinic.find_or_make(owner_pool, now=NOW + timedelta(days=9))
    assert (again.clinic, again.first_day, again.staff_ids) == (demo.clinic, demo.first_day, demo.staff_ids)
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        setting = await clinics.get_setting(db)
    assert setting.fictional
    assert setting.hours == clinics.DEFAULT_HOURS
    assert "988" in {contact.contact for contact in setting.crisis}


BACKWARDS = """
select count(*)
from (
  select happened_at < lag(happened_at) over (partition by alert_id order by alert_event_id) as back
  from alert_event
  where clinic_id = $1
) as told
where back
"""
TWICE = """
select count(*)
from (
  select
  from alert_event
  where clinic_id = $1
    and kind = 'acknowledged'
  group by alert_id, happened_at
  having count(*) > 1
) as twice
"""


async def test_what_clients_answer_and_what_staff_do_about_it_goes_forward_in_time(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    await play(owner_pool, demo, until=demo.first_day + timedelta(days=79))
    told = "select count(*) from alert_event where clinic_id = $1 and kind = 'joined'"
    assert await count(owner_pool, demo, told), "a reason joins while somebody acts"
    assert await count(owner_pool, demo, BACKWARDS) == 0
    assert await count(owner_pool, demo, TWICE) == 0


async def test_days_are_played_once_and_a_story_goes_on_where_it_stopped(owner_pool: Pool, demo: DemoClinic) -> None:
    last = demo.first_day + timedelta(days=44)
    assert await play(owner_pool, demo, until=last - timedelta(days=10)) == 35
    assert await play(owner_pool, demo, until=last) == 10
    before = await content(owner_pool, demo)
    assert await play(owner_pool, demo, until=last) == 0
    assert await content(owner_pool, demo) == before
    assert await count(owner_pool, demo, "select count(*) from fold_due where clinic_id = $1") == 0


async def test_played_days_have_trends_alerts_that_staff_saw_to_and_messages_that_count_as_sent(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    await play(owner_pool, demo, until=demo.first_day + timedelta(days=70))
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        closed = await alerts.inbox(db, None, closed=True)
        events = [event for alert in closed for event in await alerts.events_of(db, alert.alert_id)]
    assert {alert.origin for alert in closed} == {RecordOrigin.LIVE}
    assert AlertState.RESOLVED in {alert.state for alert in closed}
    assert {"opened", "dispatched", "acknowledged", "noted", "resolved"} <= {event.kind for event in events}
    last_moment = datetime.combine(demo.first_day + timedelta(days=72), datetime.min.time(), UTC)
    assert all(event.happened_at < last_moment for event in events)
    assert await count(owner_pool, demo, "select count(*) from course where clinic_id = $1 and phase = 'maintenance'")
    month_over = f"started_on < '{demo.first_day + timedelta(days=25)}'"
    still = f"select count(*) from course where clinic_id = $1 and phase = 'induction' and {month_over}"
    assert await count(owner_pool, demo, still) == 0
    by_state = "select count(distinct state) from infusion where clinic_id = $1"
    assert await count(owner_pool, demo, by_state) == 4  # nothing stays held for long
    recorded = "select bool_and((state = 'given') = (dose_mg_per_kg is not null)) from infusion where clinic_id = $1"
    assert await count(owner_pool, demo, recorded) is True
    unsent = "select count(*) from delivery where clinic_id = $1 and state <> 'sent'"
    assert await count(owner_pool, demo, unsent) == 0
    in_time = (
        "select bool_and(f.found_at::date - f.client_day <= 2) from finding f where clinic_id = $1 and not found_late"
    )
    assert await count(owner_pool, demo, in_time)


async def test_a_day_that_a_phone_answered_while_the_demonstration_ran_is_not_answered_again(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    day = demo.first_day + timedelta(days=5)
    await play(owner_pool, demo, until=day)
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        await db.execute("delete from job_run where clinic_id = $1 and local_date = $2", demo.clinic.clinic_id, day)
    before = await content(owner_pool, demo)
    assert await play(owner_pool, demo, until=day) == 1
    assert (await content(owner_pool, demo))["check_ins"] == before["check_ins"]


async def test_the_fresh_client_is_quiet_until_todays_answer_and_that_one_opens_an_alert(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    today = client_day.of(NOW, demo.zone)
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        person, client_id = await fresh.bring_in(db, demo, MASTER, today, now=NOW)
        assert await alerts.inbox(db, [client_id]) == []
        await db.execute(HARD_ANSWER, demo.clinic.clinic_id, client_id, NOW, today, {"alcohol": 9}, person.time_zone)
        await fold_queue.mark_due(db, client_id, from_day=today, now=NOW)
        folded = await fold.fold_client(db, client_id, now=NOW)
        opened = await alerts.inbox(db, [client_id])
    assert folded.opened == 1
    assert [(alert.tier, alert.opened_at) for alert in opened] == [(2, NOW)]
    assert person.therapist == VISITED_THERAPIST
    answer = fresh.hard_answer(person, NOW)
    assert (answer["craving"], answer["mood"], answer["anxiety"]) == ({"alcohol": 9}, 1, 9)


HARD_ANSWER = """
insert into check_in (
  clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, scale_version, origin, content_hash
)
values ($1, gen_random_uuid(), $2, 'daily', $3, $3, $3, $3, $6, true, $4, $5, 1, 9, 1, 'phone', '')
"""


@pytest.mark.slow
async def test_the_fiftieth_start_still_finds_somebody_fresh(owner_pool: Pool) -> None:
    demo = await clinic.find_or_make(owner_pool, now=NOW)
    today = client_day.of(NOW, demo.zone)
    taken: set[str] = set()
    for _ in range(50):
        taken.add(fresh.choose(demo, today, taken=taken).key)
    assert len(taken) == 50


async def test_every_start_has_a_fresh_client_and_those_of_long_ago_are_discharged(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    today = client_day.of(NOW, demo.zone)
    people = set()
    for _ in range(fresh.KEPT + 2):
        async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
            person, _ = await fresh.bring_in(db, demo, MASTER, today, now=NOW)
        people.add(person.key)
    assert len(people) == fresh.KEPT + 2
    still = "select count(*) from course where clinic_id = $1 and ended_on is null"
    assert await count(owner_pool, demo, still) == fresh.KEPT + 1


RESPONSES = """
select r.code, count(*) as times, count(r.total) as with_total, bool_and(r.answers <> '{}') as answered
from instrument_response r
where r.clinic_id = $1
group by r.code
order by r.code
"""
URGENT = """
select count(*)
from finding
where clinic_id = $1
  and rule = 'instrument_safety'
  and instrument_response_id is not null
"""


async def test_instruments_are_answered_along_the_stories_and_some_are_missed(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    last = demo.first_day + timedelta(days=74)
    in_crisis = [each for each in PEOPLE if asked_for_help_lately(each, demo.first_day, last - timedelta(days=3))]
    people = [*FEW, *in_crisis]
    await player.play(owner_pool, demo, MASTER, until=last, people=people, played=lambda day: None)
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        rows = await db.connection.fetch(RESPONSES, demo.clinic.clinic_id)
        views = [await instruments_page.read(db, each, now=NOW) for each in await clients.ids_of(db)]
    assert [row["code"] for row in rows] == ["audit_c", "gad7", "pacs", "phq9"]
    assert all(row["answered"] and row["times"] > 5 for row in rows)
    assert any(row["with_total"] < row["times"] for row in rows)
    states = Counter(line.state for view in views for series in view.series for line in series.windows)
    assert states[WindowState.ANSWERED] > 20
    assert states[WindowState.MISSED] > 20
    assert await count(owner_pool, demo, URGENT)


async def test_what_somebody_answers_depends_on_the_story_alone(owner_pool: Pool, demo: DemoClinic) -> None:
    person = FEW[0]
    days = [demo.first_day + timedelta(days=person.joins + each) for each in range(30)]
    told = [answer for day in days if (answer := answer_on(person, demo.first_day, day)) is not None]
    for instrument in catalogue.shipped().values():
        first, again = (
            [questionnaires.answers_of(person, each, instrument, days_in=20, unsafe=False) for each in told]
            for _ in range(2)
        )
        assert first == again
        assert all(scoring.faults_of(instrument, each) == [] for each in first)
        assert all(scoring.urgent_of(instrument, each) == [] for each in first)
