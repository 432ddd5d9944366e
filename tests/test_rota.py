"""Cover and on call: who is told, and who may look, in the place of whoever is away; read when it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.alert import Channel, NewFinding, Rule, Tier
from schemas.rota import CoverForm, ShiftForm
from schemas.staff import Role
from service import database, errors, ids
from service.alerting import alerts, deliveries, digests, rounds
from service.config import Config
from service.database import Db, Pool
from service.facts import clinic_hours, sessions
from service.people import access, clients, covers, shifts, staff
from service.people.access import Party, Permission
from tests.builders import NOW, a_client, a_clinic
from tests.desk_visit import Desk, a_desk

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CHICAGO = ZoneInfo("America/Chicago")


class House(NamedTuple):
    """A client with a therapist and a nurse; a colleague who treats others; a coordinator and an admin."""

    client_id: UUID
    people: dict[str, UUID]

    def names(self, staff_ids: list[UUID]) -> list[str]:
        return [name for name, staff_id in self.people.items() if staff_id in staff_ids]


@pytest.fixture
async def db(owner_pool: Pool, web_pool: Pool) -> AsyncIterator[Db]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


@pytest.fixture
async def house(db: Db) -> House:
    people = {}
    for name, role in (
        ("therapist", Role.THERAPIST),
        ("colleague", Role.THERAPIST),
        ("nurse", Role.NURSE),
        ("coordinator", Role.COORDINATOR),
        ("admin", Role.ADMIN),
    ):
        people[name] = await staff.add(db, email=f"{name}@x.example", name=name, roles=[role], now=NOW - DAY)
    client_id = await a_client(db)
    for name, role in (("therapist", Role.THERAPIST), ("nurse", Role.NURSE)):
        await clients.assign(db, client_id, people[name], role, from_at=NOW - 30 * DAY)
    return House(client_id, people)


async def cover(
    db: Db, house: House, *, by: str = "colleague", of: str = "therapist", begin: datetime = NOW - HOUR
) -> UUID:
    cover_id = ids.new()
    form = CoverForm(staff_id=house.people[of], covered_by=house.people[by], from_at=begin, until_at=begin + 14 * DAY)
    await covers.arrange(db, cover_id, form, by=house.people["admin"], now=NOW - HOUR)
    return cover_id


async def put_on_call(db: Db, house: House, name: str, *, begin: datetime = NOW - HOUR) -> UUID:
    shift_id = ids.new()
    form = ShiftForm(staff_id=house.people[name], from_at=begin, until_at=begin + 12 * HOUR)
    await shifts.give(db, shift_id, form, zone=CHICAGO, by=house.people["admin"], now=NOW - HOUR)
    return shift_id


async def an_urgent_alert(db: Db, house: House) -> UUID:
    finding = NewFinding(client_day=NOW.date(), rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
    return (await alerts.open_or_join(db, house.client_id, [finding], now=NOW, rule_set_version=1)).opened[0]


async def told(db: Db, house: House, alert_id: UUID) -> list[str]:
    messages = await deliveries.of_alert(db, alert_id)
    return house.names([each.staff_id for each in messages if each.staff_id and each.channel is Channel.EMAIL])


async def to_be_told(db: Db, house: House, alert_id: UUID, *, now: datetime = NOW) -> list[str]:
    alert = await deliveries.routed(db, alert_id)
    return house.names([each.staff_id for each in await deliveries.recipients_of(db, alert, now=now)])


async def test_whoever_covers_is_told_in_the_place_of_whoever_is_away(db: Db, house: House) -> None:
    cover_id = await cover(db, house)
    alert_id = await an_urgent_alert(db, house)
    assert await told(db, house, alert_id) == ["colleague"]
    await rounds.climb(db, now=NOW + 15 * MINUTE)
    assert await told(db, house, alert_id) == ["colleague", "nurse"], "who is away is left alone"
    await covers.end(db, cover_id, now=NOW + 20 * MINUTE)
    assert await to_be_told(db, house, alert_id, now=NOW + 21 * MINUTE) == ["therapist", "nurse"], "read at send time"


async def test_a_cover_who_does_not_work_here_any_more_is_no_dead_end(db: Db, house: House) -> None:
    await cover(db, house)
    await staff.disable(db, house.people["colleague"], by=house.people["admin"], now=NOW)
    assert await told(db, house, await an_urgent_alert(db, house)) == ["therapist"]


async def test_nobody_covers_for_a_cover(db: Db, house: House) -> None:
    await cover(db, house)
    await cover(db, house, of="colleague", by="nurse")
    who = access.reach(house.people["nurse"], [Role.NURSE], Permission.SEE_CLIENTS)
    assert await told(db, house, await an_urgent_alert(db, house)) == ["nurse"]
    assert await access.visible_clients(db, who, now=NOW) == [house.client_id]


async def test_a_cover_sees_the_clients_while_it_lasts_and_counts_them_in_the_digest(db: Db, house: House) -> None:
    colleague = house.people["colleague"]
    who = access.reach(colleague, [Role.THERAPIST], Permission.SEE_NOTES)
    assert await access.visible_clients(db, who, now=NOW) == []
    cover_id = await cover(db, house, begin=NOW + HOUR)
    alert_id = await an_urgent_alert(db, house)
    assert await access.visible_clients(db, who, now=NOW) == []
    later = NOW + 2 * HOUR
    assert await access.visible_clients(db, who, now=later) == [house.client_id]
    assert await access.require_alert(db, who, alert_id, now=later) == house.client_id
    assert (await digests.counts_for(db, colleague, at=later, now=later)).open == 1
    await covers.end(db, cover_id, now=later)
    assert await access.visible_clients(db, who, now=later) == []


async def test_the_third_step_goes_to_whoever_is_on_call_else_to_the_coordinators(db: Db, house: House) -> None:
    shift_id = await put_on_call(db, house, "colleague")
    alert_id = await an_urgent_alert(db, house)
    await rounds.climb(db, now=NOW + 30 * MINUTE)
    assert await told(db, house, alert_id) == ["therapist", "colleague", "nurse"]
    await shifts.end(db, shift_id, now=NOW + 31 * MINUTE)
    assert "coordinator" in await to_be_told(db, house, alert_id, now=NOW + 32 * MINUTE)
    who = access.reach(house.people["colleague"], [Role.THERAPIST, Party.ON_CALL], Permission.SEE_CLIENTS)
    assert await access.visible_clients(db, who, now=NOW) == [house.client_id]
    noted = access.reach(house.people["colleague"], [Role.THERAPIST, Party.ON_CALL], Permission.SEE_NOTES)
    assert await access.visible_clients(db, noted, now=NOW) == []


async def test_whoever_is_on_call_and_away_is_left_alone_and_the_coordinators_are_told(db: Db, house: House) -> None:
    await put_on_call(db, house, "colleague")
    await cover(db, house, of="colleague", by="nurse")
    alert_id = await an_urgent_alert(db, house)
    await rounds.climb(db, now=NOW + 30 * MINUTE)
    assert await told(db, house, alert_id) == ["therapist", "nurse", "coordinator"]


async def test_the_rota_says_of_each_moment_who_on_call_is_told(db: Db, house: House) -> None:
    """As deliveries have it: neither whoever is away and covered, unless by somebody who left, nor whoever left."""
    people, night = house.people, [NOW + hours * HOUR for hours in range(-1, 12)]
    await put_on_call(db, house, "colleague")
    away = CoverForm(
        staff_id=people["colleague"], covered_by=people["nurse"], from_at=NOW + HOUR, until_at=NOW + 3 * HOUR
    )
    await covers.arrange(db, ids.new(), away, by=people["admin"], now=NOW)
    alert_id = await an_urgent_alert(db, house)
    await rounds.climb(db, now=NOW + 30 * MINUTE)

    async def spans() -> list[tuple[datetime, datetime]]:
        told = await shifts.told(db, now=NOW)
        for at in night:
            called = any(each.from_at <= at < each.until_at for each in told)
            recipients = await to_be_told(db, house, alert_id, now=at)
            assert ("colleague" in recipients, "coordinator" in recipients) == (called, not called), at
        return [(each.from_at, each.until_at) for each in told]

    assert await spans() == [(NOW - HOUR, NOW + HOUR), (NOW + 3 * HOUR, NOW + 11 * HOUR)]
    await staff.disable(db, people["nurse"], by=people["admin"], now=NOW)
    assert await spans() == [(NOW - HOUR, NOW + 11 * HOUR)]
    await staff.disable(db, people["colleague"], by=people["admin"], now=NOW)
    assert await spans() == []


@pytest.mark.parametrize("role", [Role.ADMIN, Role.PRIVACY_OFFICER])
async def test_nobody_comes_to_scores_by_a_shift_whom_their_role_keeps_from_them(db: Db, role: Role) -> None:
    person = await staff.add(db, email="p@x.example", name="P", roles=[role], now=NOW)
    form = ShiftForm(staff_id=person, from_at=NOW, until_at=NOW + HOUR)
    with pytest.raises(errors.Invalid) as refusal:
        await shifts.give(db, ids.new(), form, zone=CHICAGO, by=person, now=NOW)
    assert [each.field for each in refusal.value.fields] == ["staff_id"]


@pytest.mark.parametrize("from_at", [datetime.min.replace(tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
async def test_a_shift_of_another_era_is_refused_by_name(db: Db, house: House, from_at: datetime) -> None:
    until_at = max(from_at, NOW + HOUR) if from_at < NOW else datetime.max.replace(tzinfo=UTC)
    form = ShiftForm(staff_id=house.people["colleague"], from_at=from_at, until_at=until_at, weeks=53)
    with pytest.raises(errors.Invalid) as refusal:
        await shifts.give(db, ids.new(), form, zone=CHICAGO, by=form.staff_id, now=NOW)
    assert [each.field for each in refusal.value.fields] == ["from_at"]


async def test_a_weekly_shift_keeps_its_times_on_the_clinics_clock(db: Db, house: House) -> None:
    begin = datetime(2027, 3, 8, 18, tzinfo=CHICAGO)  # the clocks go forward on the 14th
    form = ShiftForm(staff_id=house.people["nurse"], from_at=begin, until_at=begin + 14 * HOUR, weeks=2)
    shift_id = ids.new()
    for first_time in (True, False):
        given, is_new = await shifts.give(db, shift_id, form, zone=CHICAGO, by=house.people["admin"], now=NOW)
        assert is_new is first_time
        local = [(each.from_at.astimezone(CHICAGO), each.until_at.astimezone(CHICAGO)) for each in given]
        assert [(one.hour, other.hour) for one, other in local] == [(18, 8), (18, 8)]
    assert len(await shifts.standing(db, now=NOW)) == 2


@pytest.mark.parametrize(
    ("by", "until_at", "field"),
    [
        ("therapist", NOW + DAY, "covered_by"),
        ("admin", NOW + DAY, "covered_by"),
        ("colleague", NOW - 2 * HOUR, "until_at"),
        ("colleague", NOW + 500 * DAY, "until_at"),
    ],
)
async def test_a_cover_that_cannot_be_names_its_field(
    db: Db, house: House, by: str, until_at: datetime, field: str
) -> None:
    people = house.people
    form = CoverForm(staff_id=people["therapist"], covered_by=people[by], from_at=NOW - HOUR, until_at=until_at)
    with pytest.raises(errors.Invalid) as refusal:
        await covers.arrange(db, ids.new(), form, by=people["admin"], now=NOW)
    assert [each.field for each in refusal.value.fields] == [field]


async def test_nobody_is_covered_twice_at_one_time(db: Db, house: House) -> None:
    await cover(db, house)
    with pytest.raises(errors.Conflict):
        await cover(db, house, by="nurse", begin=NOW + DAY)


async def test_nobody_covers_who_is_away_at_that_time(db: Db, house: House) -> None:
    await cover(db, house, of="colleague", by="nurse", begin=NOW + 10 * DAY)
    for begin in (NOW, NOW + 20 * DAY):
        with pytest.raises(errors.Invalid) as refusal:
            await cover(db, house, begin=begin)
        assert [each.field for each in refusal.value.fields] == ["covered_by"]
    await cover(db, house, begin=NOW + 24 * DAY)


async def test_nobody_is_put_on_call_twice_at_one_time(db: Db, house: House) -> None:
    await put_on_call(db, house, "nurse", begin=NOW + 7 * DAY)
    await put_on_call(db, house, "colleague", begin=NOW + 7 * DAY)
    people = house.people
    for weeks, begin in ((1, NOW + 7 * DAY + 11 * HOUR), (2, NOW + HOUR)):
        form = ShiftForm(staff_id=people["nurse"], from_at=begin, until_at=begin + 2 * HOUR, weeks=weeks)
        with pytest.raises(errors.Conflict) as refusal:
            await shifts.give(db, ids.new(), form, zone=CHICAGO, by=people["admin"], now=NOW)
        assert [each.field for each in refusal.value.fields] == ["from_at", "until_at"]
    await put_on_call(db, house, "nurse", begin=NOW + 7 * DAY + 12 * HOUR)


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as running:
        yield running


async def test_the_page_arranges_cover_and_shifts_and_ends_them(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        colleague = await staff.add(db, email="c@x.example", name="Tamsin Vale", roles=[Role.THERAPIST], now=NOW)
    assert "Nobody is on call now" in (await desk.get("/rota")).text
    cover_id, shift_id = ids.new(), ids.new()
    times = {"from_at": "2020-01-01T10:00", "until_at": "2020-12-30T10:00"}
    refused = await desk.post(f"/rota/shifts/{shift_id}", staff_id=str(colleague), **times)
    assert refused.status_code == 400
    assert "until_at" in refused.text
    now = datetime.now(CHICAGO)
    times = {"from_at": f"{now - DAY:%Y-%m-%dT%H:%M}", "until_at": f"{now + DAY:%Y-%m-%dT%H:%M}"}
    for _ in range(2):
        assert (await desk.post(f"/rota/shifts/{shift_id}", staff_id=str(colleague), **times)).status_code == 303
        arranged = await desk.post(f"/rota/covers/{cover_id}", covered_by=str(colleague), **times)
        assert arranged.status_code == 303, arranged.text
    page = (await desk.get("/rota")).text
    assert "On call now: Tamsin Vale." in page
    assert "covered by <b>Tamsin Vale</b>" in page
    assert len((await desk.http.get("/v1/rota", headers=desk.person.bearer)).json()["covers"]) == 1
    assert (await desk.post(f"/rota/covers/{cover_id}/end")).status_code == 303
    assert (await desk.post(f"/rota/shifts/{shift_id}/end")).status_code == 303
    page = (await desk.get("/rota")).text
    assert "Nobody is away" in page
    assert "Nobody is on call now" in page


async def test_the_page_says_whose_cover_and_who_on_call_is_away_too(desk: Desk) -> None:
    now, own = datetime.now(UTC), desk.person.staff_id
    begin, until = now + DAY, now + 3 * DAY

    async def arrange(db: Db, of: UUID, by: UUID) -> None:
        form = CoverForm(staff_id=of, covered_by=by, from_at=begin, until_at=until)
        await covers.arrange(db, ids.new(), form, by=own, now=now)

    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        tamsin = await staff.add(db, email="c@x.example", name="Tamsin Vale", roles=[Role.THERAPIST], now=NOW)
        jonas = await staff.add(db, email="j@x.example", name="Jonas Feld", roles=[Role.THERAPIST], now=NOW)
        await arrange(db, own, tamsin)
        shift = ShiftForm(staff_id=tamsin, from_at=begin, until_at=begin + HOUR)
        await shifts.give(db, ids.new(), shift, zone=CHICAGO, by=own, now=now)
    page = (await desk.get("/rota")).text
    assert "covered by <b>Tamsin Vale</b>" in page
    assert "Tamsin Vale is away" not in page
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await arrange(db, tamsin, jonas)
    page = (await desk.get("/rota")).text
    assert "Tamsin Vale is away, too, " in page
    assert "nobody is told in Maren Holt’s place then. Arrange another cover." in page
    assert "and is not told then. Put somebody else on call." in page
    assert "Jonas Feld is away" not in page
    refused = await desk.post(
        f"/rota/covers/{ids.new()}",
        staff_id=str(jonas),
        covered_by=str(tamsin),
        from_at=f"{begin.astimezone(CHICAGO):%Y-%m-%dT%H:%M}",
        until_at=f"{until.astimezone(CHICAGO):%Y-%m-%dT%H:%M}",
    )
    assert refused.status_code == 400
    assert "somebody who is not away, and covered, at that time" in refused.text


async def test_the_page_says_when_the_clinic_is_closed_and_nobody_is_on_call(desk: Desk) -> None:
    now = datetime.now(CHICAGO)
    sunday = (now + (7 - now.isoweekday() % 7) * DAY).replace(hour=10, minute=30, second=0, microsecond=0)
    assert "Closed, and nobody on call" not in (await desk.get("/rota")).text
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        jonas = await staff.add(db, email="j@x.example", name="Jonas Feld", roles=[Role.THERAPIST], now=NOW)
        for begin, until in ((now, sunday), (sunday + 4 * HOUR, sunday + 9 * HOUR)):
            form = ShiftForm(staff_id=jonas, from_at=begin, until_at=until)
            await shifts.give(db, ids.new(), form, zone=CHICAGO, by=desk.person.staff_id, now=now.astimezone(UTC))
    page = (await desk.get("/rota")).text
    said = page.partition("Closed, and nobody on call:</b>")[2].partition(". What nobody takes on")[0]
    assert said.endswith("10:30 to 14:30")
    assert said.count(" to ") == 1


async def test_the_pages_say_what_falls_away_with_whoever_is_disabled(desk: Desk) -> None:
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        ada = await staff.add(db, email="a@x.example", name="Ada Reyes", roles=[Role.ADMIN], now=NOW)
        jonas = await staff.add(db, email="j@x.example", name="Jonas Feld", roles=[Role.THERAPIST], now=NOW)
        shift = ShiftForm(staff_id=jonas, from_at=now, until_at=now + 9 * DAY)
        await shifts.give(db, ids.new(), shift, zone=CHICAGO, by=ada, now=now)
        form = CoverForm(staff_id=desk.person.staff_id, covered_by=jonas, from_at=now, until_at=now + DAY)
        await covers.arrange(db, ids.new(), form, by=ada, now=now)
        await db.execute("update staff set roles = '{admin,coordinator,therapist}' where clinic_id = $1", db.clinic_id)
    page = (await desk.get("/rota")).text
    assert "On call now: Jonas Feld." in page
    assert "Closed, and nobody on call" not in page
    assert "does not work here any more" not in page
    asked = (await desk.get("/staff")).text
    assert "This falls away in the rota: on call today " in asked
    assert "; cover of Maren Holt today " in asked
    assert "still in the" not in asked
    assert (await desk.post(f"/staff/{jonas}/disable")).status_code == 303
    page = (await desk.get("/rota")).text
    assert "Nobody is on call now" in page
    assert "Closed, and nobody on call:" in page
    assert "Jonas Feld does not work here any more, and is not told. Put somebody else on call." in page
    assert "Jonas Feld does not work here any more: Maren Holt is told as if not away." in page
    rota = (await desk.http.get("/v1/rota", headers=desk.person.bearer)).json()
    assert (rota["on_call_now"], rota["on_call"], rota["disabled"]) == ([], [], [str(jonas)])
    assert (
        'still in the <a href="/rota">rota</a>, and told of nothing: on call today ' in (await desk.get("/staff")).text
    )


async def test_the_page_counts_sessions_that_are_booked_with_whoever_is_away(desk: Desk) -> None:
    now, own = datetime.now(UTC), desk.person.staff_id
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        tamsin = await staff.add(db, email="c@x.example", name="Tamsin Vale", roles=[Role.THERAPIST], now=NOW)
        form = CoverForm(staff_id=own, covered_by=tamsin, from_at=now + DAY, until_at=now + 3 * DAY)
        await covers.arrange(db, ids.new(), form, by=own, now=now)
        client_id = await a_client(db)
        for hours, who in ((30, own), (70, own), (80, own), (31, tamsin)):
            at = now + hours * HOUR
            await sessions.plan(db, client_id, staff_id=who, planned_at=at, by=None, now=now)
    assert "2 sessions are booked with Maren Holt in that time." in (await desk.get("/rota")).text


def test_short_gaps_and_those_in_opening_hours_are_none() -> None:
    hours = {str(day): ("09:00", "17:00") for day in range(1, 6)}
    friday = datetime(2026, 3, 6, 12, 0, tzinfo=CHICAGO)  # the clocks go forward on the Sunday
    nights = [(friday + 6 * HOUR + day * DAY, friday + 20 * HOUR + day * DAY) for day in range(4)]
    found = clinic_hours.unattended(
        hours, CHICAGO, reversed(nights), begin=friday, until=friday + 5 * DAY, at_least=90 * MINUTE
    )
    said = [f"{begin.astimezone(CHICAGO):%a %H:%M} {until.astimezone(CHICAGO):%a %H:%M}" for begin, until in found]
    assert said == ["Sat 08:00 Sat 18:00", "Sun 08:00 Sun 18:00", "Tue 17:00 Wed 09:00"]
    whole = clinic_hours.unattended({}, CHICAGO, [], begin=friday, until=friday + HOUR, at_least=HOUR)
    assert whole == [(friday, friday + HOUR)]
    assert not clinic_hours.unattended({}, CHICAGO, [], begin=friday, until=friday + HOUR, at_least=2 * HOUR)
