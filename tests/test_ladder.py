"""The ladder: whoever is next hears of what nobody took on in its time, each step once a round; and putting off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import auto_resolve, climb_ladders
from jobs.work import Tools
from schemas.alert import AlertState, EventKind, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.trend import Status
from service import database, errors
from service.alerting import alerts, ladder, notes, rounds
from service.alerting.writing import Sending
from service.database import Db, Pool
from service.facts import clinic_hours
from service.people import clients, staff
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.climbing import DAY, HOUR, MINUTE, PEOPLE, TODAY, a_house, an_alert, told
from tests.desk import a_trend, a_trend_day


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def db(clinic: Clinic, web_pool: Pool) -> AsyncIterator[Db]:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


async def test_an_urgent_alert_climbs_at_15_30_and_60_minutes_each_step_once(db: Db) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    for minutes, names in ((0, 1), (14, 1), (15, 2), (29, 2), (30, 3), (59, 3), (60, 4), (119, 4)):
        for _ in range(2):
            await rounds.climb(db, now=NOW + minutes * MINUTE)
        assert await told(db, alert_id, people) == [(1, step, PEOPLE[step]) for step in range(names)]
    kinds = [event.kind for event in await alerts.events_of(db, alert_id)]
    assert kinds.count(EventKind.ESCALATED) == 3


async def test_an_urgent_alert_that_nobody_takes_on_is_told_again_round_after_round(db: Db) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    for minutes in range(0, 5 * 60 + 1, 5):
        await rounds.climb(db, now=NOW + minutes * MINUTE)
    ladder_of = [(step, PEOPLE[step]) for step in range(4)]
    expected = [(number, *each) for number in (1, 2) for each in ladder_of] + [(3, *each) for each in ladder_of]
    assert await told(db, alert_id, people) == expected
    kinds = [event.kind for event in await alerts.events_of(db, alert_id)]
    assert kinds.count(EventKind.UNTAKEN) == 2
    await alerts.acknowledge(db, alert_id, by=next(iter(people)), now=NOW + 5 * HOUR)
    assert await rounds.climb(db, now=NOW + 9 * HOUR) == 0


async def test_a_last_step_that_comes_late_leaves_the_next_round_at_its_time(db: Db) -> None:
    client_id, _ = await a_house(db)
    await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    late = [await rounds.climb(db, now=NOW + minutes * MINUTE) for minutes in (15, 30, 70, 119, 120)]
    assert late == [1, 1, 1, 0, 1]


async def test_the_steps_of_all_alerts_are_counted(db: Db) -> None:
    client_id, _ = await a_house(db)
    for each in (client_id, await a_client(db, given_name="Per"), await a_client(db, given_name="Ona")):
        await an_alert(db, each, Tier.URGENT, rule=Rule.SAFETY)
    counted = [await rounds.climb(db, now=NOW + minutes * MINUTE) for minutes in (14, 30, 60, 120, 134)]
    assert counted == [0, 6, 3, 3, 0], "at last each begins its next round"


@pytest.mark.parametrize("hours", [2, 10])
async def test_after_a_standstill_of_hours_whoever_is_told_gets_their_time_before_the_next_round(
    db: Db, hours: int
) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    later = NOW + hours * HOUR
    assert await rounds.climb(db, now=later) == 3
    assert {name for _, _, name in await told(db, alert_id, people)} == set(PEOPLE)
    assert await rounds.climb(db, now=later + 59 * MINUTE) == 0
    assert await rounds.climb(db, now=later + HOUR) == 1


async def test_whoever_reports_again_and_again_does_not_keep_the_ladder_at_its_foot(db: Db) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    for minutes in range(5, 91, 5):
        now = NOW + minutes * MINUTE
        await db.execute("update delivery set state = 'sent' where clinic_id = $1 and state = 'queued'", db.clinic_id)
        await rounds.climb(db, now=now)
        day = TODAY - timedelta(days=minutes)
        again = NewFinding(client_day=day, rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
        change = await alerts.open_or_join(db, client_id, [again], now=now, rule_set_version=1)
        assert change.joined == [alert_id]
    retold = [each for each in await alerts.events_of(db, alert_id) if each.kind is EventKind.REOPENED]
    assert [each.detail["round"] for each in retold] == list(range(2, len(retold) + 2))
    assert {(each.detail["from_tier"], each.detail["to_tier"]) for each in retold} == {(1, 1)}
    every = await told(db, alert_id, people)
    first = [min(number for number, _, told_of in every if told_of == name) for name in PEOPLE]
    assert first == sorted(first), "the admin, too, after an hour"
    assert {name for number, _, name in every if number == every[-1][0]} == set(PEOPLE)


async def test_what_whoever_left_had_taken_on_is_told_to_others_at_once(db: Db) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    therapist, nurse, *_ = people
    await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)
    assert await rounds.end_lapsed(db, now=NOW + MINUTE) == 0
    await staff.disable(db, therapist, by=nurse, now=NOW + MINUTE)
    assert await rounds.end_lapsed(db, now=NOW + MINUTE) == 1
    assert (await told(db, alert_id, people))[-1] == (2, 0, "nurse")


async def test_after_a_standstill_everybody_up_to_the_last_step_is_told_at_once(db: Db) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    assert await rounds.climb(db, now=NOW + 45 * MINUTE) == 2
    assert {name for _, _, name in await told(db, alert_id, people)} == set(PEOPLE[:3])
    assert await rounds.climb(db, now=NOW + 59 * MINUTE) == 0
    assert await rounds.climb(db, now=NOW + 60 * MINUTE) == 1


async def test_what_somebody_took_on_does_not_climb_and_a_lapse_begins_at_the_foot_again(db: Db) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    await rounds.climb(db, now=NOW + 15 * MINUTE)
    until = await alerts.acknowledge(db, alert_id, by=next(iter(people)), now=NOW + 16 * MINUTE)
    assert await rounds.climb(db, now=NOW + 40 * MINUTE) == 0
    assert await rounds.end_lapsed(db, now=until) == 1
    assert await rounds.climb(db, now=until + 14 * MINUTE) == 0
    assert await rounds.climb(db, now=until + 15 * MINUTE) == 1
    assert await told(db, alert_id, people) == [
        (1, 0, "therapist"),
        (1, 1, "nurse"),
        (2, 0, "therapist"),
        (2, 1, "nurse"),
    ]


async def test_tier_2_climbs_by_the_clinic_s_hours_and_tier_3_never(db: Db) -> None:
    client_id, people = await a_house(db)
    today = await an_alert(db, client_id, Tier.TODAY)
    times = [await ladder.next_step_at(db, Tier.TODAY, step=step, begin=NOW) for step in range(3)]
    chicago = ZoneInfo("America/Chicago")
    begin, last = (datetime(2026, 11, 23, hour, tzinfo=chicago) for hour in (13, 17))
    assert times == [begin, last, None], "from nine on Monday, for it is Sunday evening"
    assert await rounds.climb(db, now=begin - MINUTE) == 0
    assert await rounds.climb(db, now=begin) == 1
    assert await rounds.climb(db, now=begin + 30 * DAY) == 1
    assert [name for _, _, name in await told(db, today, people)] == list(PEOPLE[:3]), "not the admin"
    other = await a_client(db, given_name="Per")
    await an_alert(db, other, Tier.REVIEW, rule=Rule.SILENCE)
    assert await rounds.climb(db, now=NOW + 400 * DAY) == 0


async def test_the_job_climbs_in_every_clinic_and_again_changes_nothing(
    clinic: Clinic, web_pool: Pool, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        client_id, _ = await a_house(db)
        await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    runs = [(await climb_ladders.run_once(tools, now=NOW + 20 * MINUTE)).counts["steps"] for _ in range(2)]
    assert runs == [1, 0]


HOURS = {"1": ("09:00", "17:00"), "2": ("09:00", "17:00"), "5": ("10:00", "12:00")}


@given(
    begin=st.integers(0, 365 * 24 * 60).map(lambda minutes: NOW + minutes * MINUTE),
    minutes=st.integers(1, 20 * 60),
    zone=st.sampled_from(["America/Chicago", "Europe/Berlin", "Australia/Lord_Howe"]).map(ZoneInfo),
)
def test_open_hours_are_what_a_count_of_minutes_says(begin: datetime, minutes: int, zone: ZoneInfo) -> None:
    found = clinic_hours.after_open(HOURS, zone, begin=begin, open_for=timedelta(minutes=minutes))
    counted, at = 0, begin
    while counted < minutes:
        wall = at.astimezone(zone)
        hours = HOURS.get(str(wall.isoweekday()))
        counted += hours is not None and hours[0] <= f"{wall:%H:%M}" < hours[1]
        at += MINUTE
    assert found == at


async def test_what_is_put_off_tells_nobody_until_its_time_and_then_everybody_again(db: Db) -> None:
    client_id, people = await a_house(db)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    therapist = next(iter(people))
    until = NOW + 2 * DAY
    await alerts.snooze(db, alert_id, until, "Seen on Thursday", by=therapist, now=NOW, sealer=sealer)
    assert await rounds.climb(db, now=until) == 0
    assert await rounds.end_lapsed(db, now=until - MINUTE) == 0
    assert await rounds.end_lapsed(db, now=until) == 1
    assert [each for each, _, _ in await told(db, alert_id, people)] == [1, 2]
    event = next(each for each in await alerts.events_of(db, alert_id) if each.kind is EventKind.SNOOZED)
    assert notes.text_of(event, sealer, clinic_id=db.clinic_id) == "Seen on Thursday"
    assert (event.staff_id, event.detail) == (therapist, {"until": until.isoformat()})


async def test_an_urgent_alert_is_never_put_off_nor_anything_beyond_two_weeks_or_without_a_reason(db: Db) -> None:
    client_id, people = await a_house(db)
    urgent, other = (
        await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY),
        await an_alert(db, client_id, Tier.TODAY),
    )
    sealer, by = await clients.sealer_of(db, MASTER, client_id), next(iter(people))
    with pytest.raises(errors.Conflict, match="marked urgent"):
        await alerts.snooze(db, urgent, NOW + HOUR, "later", by=by, now=NOW, sealer=sealer)
    too_far, far = "It cannot be put off until then.", errors.FieldFault("until", "within the next 14 days")
    for until, reason, message, fault in (
        (NOW, "x", too_far, far),
        (NOW + 14 * DAY + MINUTE, "x", too_far, far),
        (NOW + DAY, " ", "Say why.", errors.FieldFault("reason", "at least one character")),
        (NOW + DAY, "x" * 4_001, "The text is too long.", errors.FieldFault("reason", "at most 4000 characters")),
    ):
        with pytest.raises(errors.Invalid) as refused:
            await alerts.snooze(db, other, until, reason, by=by, now=NOW, sealer=sealer)
        assert (refused.value.message, refused.value.fields) == (message, (fault,))
    assert (await alerts.get(db, other)).state is AlertState.OPEN
    await alerts.snooze(db, other, NOW + 14 * DAY, "x" * 4_000, by=by, now=NOW, sealer=sealer)


async def test_only_what_is_for_review_closes_by_itself_after_a_week_on_track(
    clinic: Clinic, owner_pool: Pool, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    later = NOW + 8 * DAY
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        calm, wavering, worse, still = [await a_client(db, given_name=name) for name in ("Ada", "Bo", "Cy", "Di")]
        days = [a_trend_day(TODAY + n * DAY) for n in range(8)]
        for client_id in (calm, worse, still):
            await a_trend(db, client_id, days)
        await a_trend(db, wavering, [*days[:-1], a_trend_day(TODAY + 7 * DAY, status=Status.WATCH)])
        review = [await an_alert(db, each, Tier.REVIEW, rule=Rule.SILENCE) for each in (calm, still, wavering)]
        today = await an_alert(db, worse, Tier.TODAY)
    early = await auto_resolve.run_once(tools, clinic.clinic_id, now=NOW + 6 * DAY)
    runs = [await auto_resolve.run_once(tools, clinic.clinic_id, now=later) for _ in range(2)]
    assert [each.counts["closed"] for each in (early, *runs)] == [0, 2, 0]
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        states = [(await alerts.get(db, each)).state for each in (*review, today)]
        assert (await alerts.events_of(db, review[0]))[-1].detail == {"why": "seven days on track"}
    assert states[:2] == [AlertState.AUTO_RESOLVED] * 2
    assert AlertState.AUTO_RESOLVED not in states[2:]
