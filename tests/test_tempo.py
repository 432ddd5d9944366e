"""How soon a person is told of what is not urgent, and quiet hours; tier 1 never waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert import NewFinding, Rule, Tier
from schemas.staff import MessageTimes, Role, Tempo
from service import database
from service.alerting import alerts, deliveries, tempo, waiting
from service.config import Config
from service.database import Db, Pool
from service.people import clients, staff
from tests.builders import NOW, a_client, a_clinic
from tests.desk_visit import Desk, a_desk

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHICAGO = ZoneInfo("America/Chicago")
NIGHT = MessageTimes(tempo=Tempo.NOW, quiet_from="22:00", quiet_until="07:30")
# Both changes of the clocks of 2026 lie within.
MOMENTS = st.integers(0, 275 * 24 * 60).map(
    lambda minutes: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
CLOCK = st.times().map(lambda at: f"{at:%H:%M}")


@given(now=MOMENTS, zone=st.sampled_from([CHICAGO, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")]))
def test_nothing_waits_longer_than_was_chosen(now: datetime, zone: ZoneInfo) -> None:
    assert tempo.due_at(MessageTimes(), zone=zone, now=now) == now
    soon = tempo.due_at(MessageTimes(tempo=Tempo.WITHIN_3_HOURS), zone=zone, now=now)
    # Where the clocks go back between two of the hours, the local three hours are longer by that.
    assert timedelta(0) <= soon - now <= 4 * HOUR
    wall = soon.astimezone(zone)
    assert (wall.hour % 3, wall.minute, wall.second) == (0, 0, 0)
    morning = tempo.due_at(MessageTimes(tempo=Tempo.DAILY), zone=zone, now=now)
    assert timedelta(0) <= morning - now <= 25 * HOUR
    assert tempo.due_at(MessageTimes(), zone=zone, now=now.astimezone(zone)).tzinfo is UTC
    assert morning.astimezone(zone).time() == time(7)


@given(now=MOMENTS, begins=CLOCK, ends=CLOCK, chosen=st.sampled_from(Tempo))
def test_nothing_falls_into_quiet_hours_and_they_hold_it_a_day_at_most(
    now: datetime, begins: str, ends: str, chosen: Tempo
) -> None:
    if begins == ends:
        return
    times = MessageTimes(tempo=chosen, quiet_from=begins, quiet_until=ends)
    due_at = tempo.due_at(times, zone=CHICAGO, now=now)
    without = tempo.due_at(MessageTimes(tempo=chosen), zone=CHICAGO, now=now)
    assert timedelta(0) <= due_at - without <= DAY + HOUR
    assert due_at.tzinfo is without.tzinfo is UTC
    wall = f"{due_at.astimezone(CHICAGO):%H:%M}"
    inside = begins <= wall < ends if begins < ends else wall >= begins or wall < ends
    changes = due_at.astimezone(CHICAGO).utcoffset() != (due_at - 3 * HOUR).astimezone(CHICAGO).utcoffset()
    assert not inside or changes, "an hour that comes twice may be quiet once"


@pytest.mark.parametrize(
    ("quiet", "zone", "came", "due"),
    [
        (("22:00", "07:30"), "America/Chicago", "21:59", "21:59"),
        (("22:00", "07:30"), "America/Chicago", "22:00", "07:30 of the next day"),
        (("22:00", "07:30"), "America/Chicago", "07:29", "07:30"),
        (("22:00", "07:30"), "America/Chicago", "07:30", "07:30"),
        (("13:00", "15:00"), "America/Chicago", "12:59", "12:59"),
        (("13:00", "15:00"), "America/Chicago", "13:00", "15:00"),
        (("13:00", "15:00"), "America/Chicago", "15:00", "15:00"),
        (("13:00", "15:00"), "America/Chicago", "20:00", "20:00"),
        # Still yesterday in UTC.
        (("01:00", "05:00"), "Asia/Kolkata", "02:00", "05:00"),
    ],
)
def test_quiet_hours_hold_what_comes_in_them_and_nothing_else(
    quiet: tuple[str, str], zone: str, came: str, due: str
) -> None:
    def on_the_day(wall: str) -> datetime:
        clock, _, later = wall.partition(" of ")
        day = datetime(2026, 11, 20 + bool(later), tzinfo=ZoneInfo(zone))
        return datetime.combine(day, time.fromisoformat(clock), day.tzinfo)

    times = MessageTimes(quiet_from=quiet[0], quiet_until=quiet[1])
    assert tempo.due_at(times, zone=ZoneInfo(zone), now=on_the_day(came)) == on_the_day(due)


def test_a_night_that_began_yesterday_ends_this_morning() -> None:
    two_at_night = datetime(2026, 11, 20, 2, tzinfo=CHICAGO)
    assert tempo.due_at(NIGHT, zone=CHICAGO, now=two_at_night) == datetime(2026, 11, 20, 7, 30, tzinfo=CHICAGO)
    late = datetime(2026, 11, 20, 23, tzinfo=CHICAGO)
    assert tempo.due_at(NIGHT, zone=CHICAGO, now=late) == datetime(2026, 11, 21, 7, 30, tzinfo=CHICAGO)
    at_noon = datetime(2026, 11, 20, 12, tzinfo=CHICAGO)
    assert tempo.due_at(NIGHT, zone=CHICAGO, now=at_noon) == at_noon


@pytest.mark.parametrize(("chosen", "hours"), [(Tempo.WITHIN_3_HOURS, range(0, 24, 3)), (Tempo.DAILY, [7])])
def test_what_comes_on_the_hour_itself_goes_at_that_hour(chosen: Tempo, hours: Sequence[int]) -> None:
    for hour in hours:
        at = datetime(2026, 11, 20, hour, tzinfo=CHICAGO)
        assert tempo.due_at(MessageTimes(tempo=chosen), zone=CHICAGO, now=at) == at


@pytest.fixture
async def db(owner_pool: Pool, web_pool: Pool) -> AsyncIterator[Db]:
    clinic = await a_clinic(owner_pool, time_zone="UTC")
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


async def a_therapist(db: Db, times: MessageTimes) -> tuple[UUID, UUID]:
    """A client, and their therapist who chose these times."""
    client_id = await a_client(db)
    person = await staff.add(db, email="t@x.example", name="Tamsin", roles=[Role.THERAPIST], now=NOW)
    await clients.assign(db, client_id, person, Role.THERAPIST, from_at=NOW - DAY)
    await waiting.choose(db, person, times, now=NOW)
    return client_id, person


async def due_times(db: Db, client_id: UUID, rule: Rule, tier: Tier) -> list[datetime]:
    finding = NewFinding(client_day=NOW.date(), rule=rule, tier=tier, numbers={})
    opened = await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)
    return [each.due_at for each in await deliveries.of_alert(db, opened.opened[0])]


async def test_what_is_not_urgent_waits_as_chosen_and_what_is_urgent_does_not(db: Db) -> None:
    times = MessageTimes(tempo=Tempo.DAILY, quiet_from="00:00", quiet_until="23:59")
    client_id, person = await a_therapist(db, times)
    [later] = await due_times(db, client_id, Rule.WORSENING, Tier.TODAY)
    assert later > NOW + HOUR
    assert await due_times(db, client_id, Rule.SAFETY, Tier.URGENT) == [NOW]
    await waiting.choose(db, person, MessageTimes(), now=NOW + HOUR)
    [alert_id] = [each.alert_id for each in await alerts.inbox(db, [client_id]) if each.tier is Tier.TODAY]
    assert [each.due_at for each in await deliveries.of_alert(db, alert_id)] == [NOW + HOUR]


async def test_choosing_quiet_hours_at_night_lets_nothing_out_in_them(db: Db) -> None:
    """NOW is 23:00 at this clinic: what was to come at midnight comes in the morning's message, not at once."""
    client_id, person = await a_therapist(db, MessageTimes(tempo=Tempo.DAILY))
    [before] = await due_times(db, client_id, Rule.WORSENING, Tier.TODAY)
    assert before == NOW + 8 * HOUR
    quiet = MessageTimes(tempo=Tempo.WITHIN_3_HOURS, quiet_from="22:00", quiet_until="06:00")
    await waiting.choose(db, person, quiet, now=NOW + HOUR / 4)
    [alert] = await alerts.inbox(db, [client_id])
    assert [each.due_at for each in await deliveries.of_alert(db, alert.alert_id)] == [NOW + 7 * HOUR]
    await waiting.choose(db, person, MessageTimes(tempo=Tempo.DAILY), now=NOW + HOUR)
    assert [each.due_at for each in await deliveries.of_alert(db, alert.alert_id)] == [NOW + 7 * HOUR], "never later"


async def test_what_was_blocked_waits_for_the_hours_of_whoever_is_back(db: Db) -> None:
    client_id, person = await a_therapist(db, MessageTimes(tempo=Tempo.DAILY))
    await due_times(db, client_id, Rule.WORSENING, Tier.TODAY)
    await db.execute("update delivery set state = 'blocked', settled_at = $2 where clinic_id = $1", db.clinic_id, NOW)
    assert await deliveries.plan_untold(db, now=NOW + HOUR) == 1
    [alert] = await alerts.inbox(db, [client_id])
    assert [each.due_at for each in await deliveries.of_alert(db, alert.alert_id)] == [NOW + 8 * HOUR]
    assert person


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as running:
        yield running


async def test_a_person_chooses_their_times_on_the_account_page_and_by_the_api(desk: Desk) -> None:
    chosen = await desk.post("/account/times", tempo="within_3_hours", quiet_from="22:00", quiet_until="07:30")
    assert chosen.status_code == 303
    read = await desk.http.get("/v1/account/times", headers=desk.person.bearer)
    assert read.json() == {
        "tempo": "within_3_hours",
        "quiet_from": "22:00",
        "quiet_until": "07:30",
        "first_channel": None,
    }
    assert 'value="07:30"' in (await desk.get("/account")).text
    for form, field in (
        ({"tempo": "never"}, "tempo"),
        ({"tempo": "now", "quiet_from": "22:00"}, "quiet_until"),
        ({"tempo": "now", "quiet_from": "7pm", "quiet_until": "07:00"}, "quiet_from"),
        ({"tempo": "now", "quiet_from": "07:00", "quiet_until": "07:00"}, "quiet_until"),
    ):
        refused = await desk.http.put("/v1/account/times", json=form, headers=desk.person.bearer)
        assert [each["field"] for each in refused.json()["errors"]] == [field]
    assert (await desk.http.get("/v1/account/times", headers=desk.person.bearer)).json() == read.json()
