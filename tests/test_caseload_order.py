"""The caseload's order and figures: who needs somebody first, whom one sees next, and everything by the date."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from schemas.alert import Rule, Tier
from schemas.course import PauseReason
from schemas.staff import Role
from schemas.trend import Status, Trend
from service import database
from service.alerting import alerts, news, undo
from service.database import Db, Pool
from service.desk import caseload, caseload_filter
from service.desk import names as names_module
from service.desk.caseload import Caseload, Line
from service.facts import courses, pauses
from service.people import access, clients
from service.people.access import Permission
from tests.appointments import a_session_of
from tests.builders import MASTER, a_client, a_clinic
from tests.desk import a_finding, a_person, a_trend, a_trend_day, an_alert

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = date(2026, 11, 22)


@pytest.fixture
async def db(owner_pool: Pool) -> AsyncIterator[Db]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as opened:
        yield opened


async def followed(db: Db, given_name: str, status: Status | None, *, days: list[Trend] | None = None) -> UUID:
    """A client whose newest trend is today's, of this status (None: no client day was folded yet)."""
    client_id = await a_client(db, given_name=given_name, time_zone="UTC")
    if status is not None:
        await a_trend(db, client_id, days or [a_trend_day(TODAY, status=status)])
    return client_id


async def the_caseload(db: Db) -> Caseload:
    reach = access.reach(await a_person(db, Role.COORDINATOR), [Role.COORDINATOR], Permission.SEE_CLIENTS)
    return await caseload.read(db, reach, now=NOW)


async def names(db: Db) -> list[str]:
    return [line.client.given_name for line in (await the_caseload(db)).lines]


async def test_the_order_is_that_of_need_whatever_the_names_and_sessions_are(db: Db) -> None:
    """Names run against the order, and so do sessions: whoever needs least is seen first."""
    need: list[tuple[str, Status | None, tuple[Rule, Tier] | None]] = [
        ("Zoe", Status.ON_TRACK, (Rule.SAFETY, Tier.URGENT)),
        ("Yan", Status.NOT_ON_TRACK, None),
        ("Xenia", Status.NO_DATA, None),
        ("Wim", Status.ON_TRACK, (Rule.WORSENING, Tier.TODAY)),
        ("Vera", Status.WATCH, None),
        ("Ulf", Status.LEARNING, None),
        ("Tomas", Status.ON_TRACK, None),
    ]
    for place, (name, status, alert) in enumerate(need):
        client_id = await followed(db, name, status)
        await a_session_of(db, client_id, hours_ahead=100 - place, now=NOW)
        if alert is not None:
            await an_alert(db, client_id, *alert, now=NOW)
    assert await names(db) == [name for name, _, _ in need]


async def test_who_was_discharged_stands_last_but_for_what_is_asked_of_somebody_today(db: Db) -> None:
    for name, tier in (("Ada", None), ("Bea", Tier.REVIEW), ("Cleo", Tier.TODAY), ("Dora", Tier.URGENT)):
        client_id = await followed(db, name, Status.ON_TRACK)
        (course,) = await courses.of(db, client_id)
        await courses.end(db, course.course_id, ended_on=TODAY, now=NOW)
        if tier is not None:
            await an_alert(db, client_id, Rule.WORSENING, tier, now=NOW)
    await followed(db, "Vera", Status.WATCH)
    found = await the_caseload(db)
    assert [line.client.given_name for line in found.lines] == ["Dora", "Cleo", "Vera", "Ada", "Bea"]
    assert [line.client.given_name for line in found.waiting] == ["Dora", "Cleo"]
    assert found.waiting_by_mark == {"urgent": 1, "alert": 1}
    assert [line.mark for line in found.lines] == ["urgent", "discharged", "watch", "discharged", "discharged"]


async def test_among_equals_the_next_session_comes_first_and_nobody_booked_comes_last_by_name(db: Db) -> None:
    for name, hours_ahead in (("Ada", 50), ("Bea", None), ("Abel", None), ("Cleo", 3), ("Dora", 20)):
        client_id = await followed(db, name, Status.ON_TRACK)
        if hours_ahead is not None:
            await a_session_of(db, client_id, hours_ahead=hours_ahead, now=NOW)
    assert await names(db) == ["Cleo", "Dora", "Ada", "Abel", "Bea"]


def line(days: list[tuple[int, int | None]]) -> Line:
    """A line as of TODAY whose client days lie so many days back, with that craving; pure."""
    spark = [
        caseload.SparkDay(
            client_id=UUID(int=1),
            client_day=TODAY - timedelta(days=back),
            answered=value is not None,
            value=value,
            low=None,
            high=None,
        )
        for back, value in days
    ]
    return SOMEBODY._replace(spark=spark)


SOMEBODY = Line(
    client=msgspec.convert(
        {
            "client_id": str(UUID(int=1)),
            "given_name": "Ines",
            "family_name": "Marlow",
            "time_zone": "UTC",
            "origin": "live",
            "substances": ["alcohol"],
            "phase": "induction",
            "client_day": "2026-11-22",
            "status": "on_track",
            "silent_days": 0,
            "statistic": 1.0,
            "limit_value": 4.9,
            "infusions_given": 0,
            "last_infusion_at": None,
            "next_infusion_at": None,
            "next_session_at": None,
            "answered_ever": 7,
        },
        caseload.ClientLine,
    ),
    spark=[],
    alerts=[],
    tells=None,
    why="",
    urgency=6,
    needs=False,
    in_hand=False,
    days_since_infusion=None,
    pause=None,
    today=TODAY,
)


def test_now_is_the_answer_of_today_or_yesterday_and_never_an_older_one() -> None:
    assert line([(1, 3), (0, 7)]).now == 7
    assert line([(1, 3), (0, None)]).now == 3
    assert line([(2, 3), (1, None), (0, None)]).now is None
    # A day that nobody folded yet, or that nothing was asked on, stands nowhere: what is stored last is old then.
    assert line([(3, 4), (2, 3)]).now is None
    assert line([]).now is None


def test_answered_counts_the_last_fourteen_calendar_days_and_of_those_the_ones_asked_on() -> None:
    assert line([(back, 3) for back in range(27, -1, -1)]).answered == (14, 14)
    assert line([(14, 3), (13, 3), (0, None)]).answered == (1, 2)
    # Asked on days 20 to 27 back and on the last four only: a pause lies between.
    assert line([(back, 3) for back in (*range(27, 19, -1), 3, 2, 1, 0)]).answered == (4, 4)
    assert line([(20, 3)]).answered == (0, 0)


async def test_figures_go_by_the_client_s_own_day_also_where_the_newest_trend_is_old(db: Db) -> None:
    days = [a_trend_day(TODAY - timedelta(days=back), craving=4) for back in range(20, 4, -1)]
    await followed(db, "Ines", Status.ON_TRACK, days=days)
    [read] = (await the_caseload(db)).lines
    assert read.now is None
    assert read.answered == (9, 9)


async def test_what_asks_for_somebody_is_told_by_kind_and_adds_up_also_in_a_pause(db: Db) -> None:
    await followed(db, "Yan", Status.NOT_ON_TRACK)
    await followed(db, "Xenia", Status.NO_DATA)
    for name, status in (("Wim", Status.WATCH), ("Paula", Status.NOT_ON_TRACK), ("Nora", None)):
        client_id = await followed(db, name, status)
        await an_alert(db, client_id, now=NOW)
        if name == "Paula":
            travel = PauseReason.TRAVEL
            await pauses.begin(db, client_id, from_on=TODAY, until_on=None, reason=travel, by=None, now=NOW)
    await followed(db, "Tomas", Status.ON_TRACK)
    read = await the_caseload(db)
    assert read.waiting_by_mark == {"not_on_track": 1, "no_data": 1, "alert": 3}
    assert sum(read.waiting_by_mark.values()) == len(read.waiting) == len(read.needing) == 5


async def test_what_somebody_took_on_or_put_off_is_in_hand_until_it_lapses_and_says_so(db: Db) -> None:
    maren = await a_person(db, name="Maren Holt", email="maren@clinic.example")
    made = {name: await followed(db, name, Status.ON_TRACK) for name in ("Ada", "Bea", "Cleo", "Dora")}
    alert_of = {name: await an_alert(db, client_id, now=NOW) for name, client_id in made.items()}
    await an_alert(db, made["Dora"], Rule.SAFETY, Tier.URGENT, now=NOW)
    for name in ("Ada", "Dora"):
        await alerts.acknowledge(db, alert_of[name], by=maren, now=NOW)
    until = NOW + timedelta(days=1, minutes=7)
    sealer = await clients.sealer_of(db, MASTER, made["Bea"])
    await alerts.snooze(db, alert_of["Bea"], until, reason="on holiday", by=maren, now=NOW, sealer=sealer)
    read = await the_caseload(db)
    assert [line.client.given_name for line in read.lines] == ["Dora", "Cleo", "Ada", "Bea"], "whom nobody has, first"
    assert [line.client.given_name for line in read.waiting] == ["Dora", "Cleo"], "something else is open, too"
    assert read.waiting_by_mark == {"urgent": 1, "alert": 1}
    said = {line.client.given_name: line.why for line in read.lines}
    assert said["Ada"].endswith(" Maren Holt has it.")
    assert re.search(r" Put off until 23 Nov \d\d:07\.$", said["Bea"])
    assert said["Cleo"].endswith(" Not yet acknowledged.")
    later = await caseload.line_of(db, made["Ada"], now=NOW + timedelta(days=3))
    assert not later.in_hand
    assert re.search(r" Maren Holt had it until 2\d Nov \d\d:\d\d: lapsed\.$", later.why)


async def test_an_alert_that_nobody_has_does_not_hide_behind_a_more_urgent_one_that_somebody_has(db: Db) -> None:
    maren = await a_person(db, name="Maren Holt", email="maren@clinic.example")
    for name, status in (("Ada", Status.ON_TRACK), ("Bea", Status.NOT_ON_TRACK)):
        client_id = await followed(db, name, status)
        urgent = await an_alert(db, client_id, Rule.SAFETY, Tier.URGENT, now=NOW)
        await an_alert(db, client_id, Rule.OTHER_USE, Tier.TODAY, now=NOW)
        await alerts.acknowledge(db, urgent, by=maren, now=NOW)
    read = await the_caseload(db)
    assert read.waiting_by_mark == {"alert": 1, "not_on_track": 1}, "nothing urgent waits"
    for line in read.lines:
        assert line.mark == "urgent"
        assert line.why.startswith("Use of ")
        assert line.why.endswith(" Not yet acknowledged. Urgent: Maren Holt has it.")
        assert line.tells is not None
        assert line.tells.tier is Tier.TODAY


async def test_whoever_is_watched_beyond_the_limit_stands_before_the_others_who_are_watched(db: Db) -> None:
    for name in ("Ada", "Uriel"):
        client_id = await followed(db, name, Status.WATCH)
    # Off track with an alert, and seen next: nobody watched stands before them for being far off.
    worse = await followed(db, "Zoe", Status.NOT_ON_TRACK)
    await a_session_of(db, worse, hours_ahead=1, now=NOW)
    for each in (client_id, worse):
        await an_alert(db, each, Rule.SAFETY, Tier.URGENT, now=NOW)
    client_id = await followed(db, "Xenia", Status.WATCH)
    await db.execute("update trend set statistic = 2, limit_value = 3 where clinic_id = $1", db.clinic_id)
    far = """
    update trend set statistic = 7
    where clinic_id = $1 and (client_id = $2 or client_id in (select client_id from alert))
    """
    await db.execute(far, db.clinic_id, client_id)
    lines = (await the_caseload(db)).lines
    assert [line.client.given_name for line in lines] == ["Zoe", "Uriel", "Xenia", "Ada"]
    assert lines[2].why.startswith("Beyond what is usual (233% of the limit), without an alert.")


async def test_a_reason_that_joins_what_was_put_off_or_taken_on_is_in_nobody_s_hand_until_somebody_looks(
    db: Db,
) -> None:
    maren = await a_person(db, name="Maren Holt", email="maren@clinic.example")
    client_id = await followed(db, "Ada", Status.ON_TRACK)
    alert_id = await an_alert(db, client_id, now=NOW)
    sealer = await clients.sealer_of(db, MASTER, client_id)

    async def joins(rule: Rule) -> None:
        finding = a_finding(rule, Tier.TODAY, on=TODAY)
        await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)

    async def why() -> tuple[bool, str]:
        line = await caseload.line_of(db, client_id, now=NOW)
        return line.in_hand, line.why

    await joins(Rule.OTHER_USE)
    await alerts.acknowledge(db, alert_id, by=maren, now=NOW)
    assert (await why())[0], "whoever took it on had read both"
    await joins(Rule.SILENCE)
    in_hand, said = await why()
    assert (in_hand, said.endswith(" Maren Holt has it. New reason since.")) == (False, True)
    await alerts.snooze(db, alert_id, NOW + timedelta(days=1), "Seen.", by=maren, now=NOW, sealer=sealer)
    assert (await why())[0]
    await joins(Rule.WANING)
    await alerts.acknowledge(db, alert_id, by=maren, now=NOW)
    assert (await why())[0]
    await undo.take_back(db, alert_id, by=maren, now=NOW)
    in_hand, said = await why()
    assert (in_hand, said.endswith(" New reason since.")) == (False, True)


async def test_a_new_reason_stays_new_for_whoever_has_it_until_they_did_something_that_knows_it(db: Db) -> None:
    maren = await a_person(db, name="Maren Holt", email="maren@clinic.example")
    cora = await a_person(db, Role.COORDINATOR, name="Cora Lind")
    client_id = await followed(db, "Ada", Status.ON_TRACK)
    alert_id = await an_alert(db, client_id, now=NOW)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    await alerts.acknowledge(db, alert_id, by=maren, now=NOW)
    older = (await news.counts(db, [alert_id]))[alert_id]
    again = a_finding(Rule.OTHER_USE, Tier.TODAY, on=TODAY)
    await alerts.open_or_join(db, client_id, [again], now=NOW, rule_set_version=1)

    async def is_new_after_a_note(by: UUID, seen: int | None) -> bool:
        await alerts.note(db, alert_id, "Appointment moved.", by=by, now=NOW, sealer=sealer, seen=seen)
        line = await caseload.line_of(db, client_id, now=NOW)
        assert line.in_hand is not line.why.endswith(" Maren Holt has it. New reason since.")
        return not line.in_hand

    assert await is_new_after_a_note(maren, older), "on an older page"
    assert await is_new_after_a_note(maren, None), "nothing is known of what a program showed"
    assert await is_new_after_a_note(cora, older + 9), "a colleague's"
    assert not await is_new_after_a_note(maren, older + 1)


async def test_whom_the_headline_counts_the_filter_shows_and_a_status_is_found_under_what_is_urgent(db: Db) -> None:
    maren = await a_person(db, name="Maren Holt", email="maren@clinic.example")
    for name, status in (("Ada", Status.NOT_ON_TRACK), ("Bea", Status.ON_TRACK), ("Cleo", Status.NOT_ON_TRACK)):
        client_id = await followed(db, name, status)
        if name != "Cleo":
            urgent = await an_alert(db, client_id, Rule.SAFETY, Tier.URGENT, now=NOW)
            if name == "Bea":
                await alerts.acknowledge(db, urgent, by=maren, now=NOW)
    read = await the_caseload(db)

    def found(status: str) -> list[str]:
        shown = caseload_filter.of(read.lines, find="", status=status, own=None)
        return sorted(line.client.given_name for line in shown)

    assert found("needs") == sorted(line.client.given_name for line in read.waiting) == ["Ada", "Cleo"]
    assert found("in_hand") == ["Bea"]
    assert found("not_on_track") == ["Ada", "Cleo"]
    assert found("urgent") == ["Ada", "Bea"]


@pytest.mark.parametrize(
    ("family_name", "find"), [("O'Neill", "o’neill"), ("O’Neill", "o'neill"), ("Łukasz", "lukasz"), ("Weiß", "weiss")]
)
def test_a_name_is_found_as_it_is_typed(family_name: str, find: str) -> None:
    named = msgspec.structs.replace(SOMEBODY.client, family_name=family_name)
    assert caseload_filter.of([SOMEBODY._replace(client=named)], find=find, status="", own=None)


def test_names_are_ordered_as_in_a_list_of_people() -> None:
    people = ["de la Cruz", "Drey", "Łukasz", "Lund", "Núñez", "Nym", "Zander"]
    assert sorted(people, key=lambda family_name: names_module.in_order("", family_name)) == people


@pytest.mark.parametrize("find", ["nunez", "NÚÑEZ", "Nu\u0301nez, jose", "josé", "Jose núñ"])
def test_a_name_is_found_with_its_accents_and_without_them(find: str) -> None:
    named = msgspec.structs.replace(SOMEBODY.client, given_name="José", family_name="Núñez")
    lines = [SOMEBODY, SOMEBODY._replace(client=named)]
    assert caseload_filter.of(lines, find=find, status="", own=None) == lines[1:]
