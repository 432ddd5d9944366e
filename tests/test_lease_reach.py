"""A lease never outlasts the reach of whoever holds it: who cannot open an alert any more does not have it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from itertools import chain, combinations
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jobs import end_lapsed_leases
from jobs.work import Tools
from schemas.alert import AlertState, EventKind, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.rota import CoverForm, ShiftForm
from schemas.staff import Role
from service import database, ids
from service.alerting import alerts, deliveries, leases, rounds
from service.alerting.writing import Sending
from service.database import Db, Pool
from service.people import access, clients, covers, shifts, staff
from service.people.access import Party, Permission
from tests.builders import MASTER, NOW, a_client, a_clinic

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
# By then every way by which somebody reached the alert is over; the lease of its tier runs for days.
END = NOW + HOUR
WAYS = ("team", "cover", "shift", "message")


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def db(clinic: Clinic, web_pool: Pool) -> AsyncIterator[Db]:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


async def a_colleague(db: Db, name: str, *roles: Role) -> UUID:
    return await staff.add(db, email=f"{name}@harbour.example", name=name.title(), roles=roles, now=NOW - DAY)


async def an_alert(db: Db, tier: Tier = Tier.REVIEW) -> tuple[UUID, UUID]:
    """A client of Maren's, and their alert."""
    maren = await a_colleague(db, "maren", Role.THERAPIST)
    client_id = await a_client(db)
    await clients.assign(db, client_id, maren, Role.THERAPIST, from_at=NOW - DAY)
    finding = NewFinding(client_day=NOW.date(), rule=Rule.SILENCE, tier=tier, numbers={})
    [alert_id] = (await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)).opened
    return client_id, alert_id


async def marens_id(db: Db) -> UUID:
    return next(each.staff_id for each in await staff.all_of(db) if each.name == "Maren")


async def covering(db: Db, jonas: UUID, *, until: datetime = END) -> UUID:
    cover_id = ids.new()
    form = CoverForm(staff_id=await marens_id(db), covered_by=jonas, from_at=NOW - HOUR, until_at=until)
    await covers.arrange(db, cover_id, form, by=jonas, now=NOW - HOUR)
    return cover_id


async def on_call(db: Db, jonas: UUID) -> UUID:
    shift_id = ids.new()
    form = ShiftForm(staff_id=jonas, from_at=NOW - HOUR, until_at=END)
    await shifts.give(db, shift_id, form, zone=ZoneInfo("UTC"), by=jonas, now=NOW - HOUR)
    return shift_id


async def his_cover_is_over(db: Db, client_id: UUID, jonas: UUID) -> None:
    await covering(db, jonas)


async def his_shift_is_over(db: Db, client_id: UUID, jonas: UUID) -> None:
    await on_call(db, jonas)


async def his_cover_is_ended(db: Db, client_id: UUID, jonas: UUID) -> None:
    await covers.end(db, await covering(db, jonas, until=NOW + DAY), now=END)


async def whom_he_covers_left_the_team(db: Db, client_id: UUID, jonas: UUID) -> None:
    await covering(db, jonas, until=NOW + DAY)
    await clients.unassign(db, client_id, await marens_id(db), now=END)


async def he_left_the_team(db: Db, client_id: UUID, jonas: UUID) -> None:
    await clients.assign(db, client_id, jonas, Role.THERAPIST, from_at=NOW - DAY)
    await clients.unassign(db, client_id, jonas, now=END)


async def he_was_disabled(db: Db, client_id: UUID, jonas: UUID) -> None:
    await clients.assign(db, client_id, jonas, Role.THERAPIST, from_at=NOW - DAY)
    await staff.disable(db, jonas, by=await marens_id(db), now=END)


@pytest.mark.parametrize(
    "reach_that_ends",
    [
        his_cover_is_over,
        his_shift_is_over,
        his_cover_is_ended,
        whom_he_covers_left_the_team,
        he_left_the_team,
        he_was_disabled,
    ],
)
async def test_what_somebody_does_not_reach_any_more_is_told_anew_once(
    db: Db, reach_that_ends: Callable[[Db, UUID, UUID], Awaitable[None]]
) -> None:
    client_id, alert_id = await an_alert(db)
    jonas = await a_colleague(db, "jonas", Role.THERAPIST)
    assert await alerts.acknowledge(db, alert_id, by=jonas, now=NOW) > END + DAY
    await reach_that_ends(db, client_id, jonas)
    assert [await rounds.end_lapsed(db, now=now) for now in (NOW, END - SECOND, END, END)] == [0, 0, 1, 0]
    again = await alerts.get(db, alert_id)
    assert (again.state, again.round, again.acknowledged_by, again.lease_until) == (AlertState.OPEN, 2, None, None)
    assert (await alerts.events_of(db, alert_id))[-1].kind is EventKind.LEASE_LAPSED


async def test_whoever_loses_the_role_by_which_they_saw_the_clinic_loses_what_they_took_on(db: Db) -> None:
    _, alert_id = await an_alert(db)
    cora = await a_colleague(db, "cora", Role.COORDINATOR, Role.NURSE)
    await alerts.acknowledge(db, alert_id, by=cora, now=NOW)
    assert await rounds.end_lapsed(db, now=NOW) == 0
    await staff.change(db, cora, email="cora@harbour.example", name="Cora", roles=[Role.NURSE], by=cora, now=NOW)
    assert await rounds.end_lapsed(db, now=NOW) == 1


async def test_whoever_reaches_it_another_way_keeps_it(db: Db) -> None:
    client_id, alert_id = await an_alert(db)
    jonas = await a_colleague(db, "jonas", Role.THERAPIST)
    await covering(db, jonas)
    await alerts.acknowledge(db, alert_id, by=jonas, now=NOW)
    await clients.assign(db, client_id, jonas, Role.THERAPIST, from_at=END)
    assert await rounds.end_lapsed(db, now=END) == 0


async def test_a_clock_that_stands_back_ends_nothing_of_whoever_just_came(db: Db) -> None:
    client_id, alert_id = await an_alert(db)
    jonas = await a_colleague(db, "jonas", Role.THERAPIST)
    await clients.assign(db, client_id, jonas, Role.THERAPIST, from_at=NOW)
    await alerts.acknowledge(db, alert_id, by=jonas, now=NOW)
    assert await rounds.end_lapsed(db, now=NOW - SECOND) == 0


async def test_what_is_out_of_reach_can_be_taken_on_by_a_colleague_at_once(db: Db) -> None:
    _, alert_id = await an_alert(db)
    jonas, other = await a_colleague(db, "jonas", Role.THERAPIST), await a_colleague(db, "cora", Role.COORDINATOR)
    cover_id = await covering(db, jonas)
    await alerts.acknowledge(db, alert_id, by=jonas, now=NOW)
    await leases.end_beyond_reach(db, now=NOW + SECOND)
    assert not leases.lapsed(await alerts.get(db, alert_id), NOW + SECOND)
    await covers.end(db, cover_id, now=NOW + SECOND)
    await leases.end_beyond_reach(db, now=NOW + SECOND)
    assert leases.lapsed(await alerts.get(db, alert_id), NOW + SECOND)
    await alerts.acknowledge(db, alert_id, by=other, now=NOW + SECOND)


async def test_the_job_tells_whoever_is_back_at_the_natural_end_of_a_cover_in_every_clinic(
    owner_pool: Pool, web_pool: Pool, jobs_pool: Pool, sweep_pool: Pool, clinic: Clinic
) -> None:
    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    taken = []
    for each in (clinic, await a_clinic(owner_pool, slug="cove")):
        async with database.transaction(web_pool, each.clinic_id) as db:
            _, alert_id = await an_alert(db, Tier.TODAY)
            jonas = await a_colleague(db, "jonas", Role.THERAPIST)
            await covering(db, jonas)
            assert await alerts.acknowledge(db, alert_id, by=jonas, now=NOW) > END + HOUR
            taken.append((each, alert_id, await marens_id(db)))
    counted = [(await end_lapsed_leases.run_once(tools, now=now)).counts for now in (END - SECOND, END, END)]
    assert counted == [{"lapsed": 0}, {"lapsed": 2}, {"lapsed": 0}]
    for each, alert_id, maren in taken:
        async with database.transaction(web_pool, each.clinic_id) as db:
            told = [(message.round, message.staff_id) for message in await deliveries.of_alert(db, alert_id)]
            assert told == [(1, maren), (2, maren)]


OUT_OF_REACH = """
select true
from alert a
where a.clinic_id = $1
  and a.alert_id = $2
  and not exists (
    select
    from alert_holder_reach r
    where r.clinic_id = $1
      and r.alert_id = a.alert_id
      and r.from_at <= $3
      and (r.until_at is null or r.until_at > $3)
  )
"""


async def opens(db: Db, staff_id: UUID, parties: Sequence[str], alert_id: UUID, now: datetime) -> bool:
    try:
        who = access.reach(staff_id, parties, Permission.ACKNOWLEDGE_ALERTS)
        await access.require_alert(db, who, alert_id, now=now)
    except access.OutOfReach:
        return False
    return True


@pytest.mark.parametrize("ways", [each for count in (0, 1, 2) for each in combinations(WAYS, count)])
async def test_who_can_have_it_is_who_can_open_it(db: Db, ways: tuple[str, ...]) -> None:
    """By each role alone, by some two, and by every way or two that leads to an alert; while they last and after."""
    client_id, alert_id = await an_alert(db)
    for number, roles in enumerate(chain(combinations(Role, 1), [(Role.ADMIN, Role.NURSE)])):
        person = await a_colleague(db, f"p{number}", Role.NURSE, *roles)
        if "team" in ways:
            await clients.assign(db, client_id, person, Role.NURSE, from_at=NOW - DAY, until_at=END)
        if "cover" in ways:
            cover_id = await covering(db, person)
        if "shift" in ways:
            await on_call(db, person)
        if "message" in ways:
            await db.execute(
                "insert into delivery (clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state,"
                " due_at, created_at) values ($1, $2, 'alert', $3, 'email', $4, 1, 0, 'sent', $5, $5)",
                *(db.clinic_id, ids.new(), alert_id, person, NOW),
            )
        await db.execute(
            "update staff set roles = $3 where clinic_id = $1 and staff_id = $2", db.clinic_id, person, roles
        )
        await db.execute(
            "update alert set state = 'acknowledged', acknowledged_by = $3, acknowledged_at = $4, lease_until = $4"
            " where clinic_id = $1 and alert_id = $2",
            *(db.clinic_id, alert_id, person, NOW),
        )
        for now in (NOW - 2 * HOUR, NOW, END - SECOND, END):
            parties = [*roles, Party.ON_CALL] if "shift" in ways and NOW - HOUR <= now < END else [*roles]
            reached = await db.value(OUT_OF_REACH, db.clinic_id, alert_id, now) is None
            assert reached is await opens(db, person, parties, alert_id, now), (roles, now)
        if "cover" in ways:
            await covers.end(db, cover_id, now=NOW - HOUR)


async def test_an_admin_who_takes_it_on_before_their_message_went_out_keeps_it(db: Db) -> None:
    """The message is not sent any more then, and still it is what brought the alert to them."""
    _, alert_id = await an_alert(db, Tier.TODAY)
    ada = await a_colleague(db, "ada", Role.ADMIN)
    await db.execute("update delivery set staff_id = $2 where clinic_id = $1", db.clinic_id, ada)
    await alerts.acknowledge(db, alert_id, by=ada, now=NOW)
    await db.execute("update delivery set state = 'blocked' where clinic_id = $1", db.clinic_id)
    assert await opens(db, ada, [Role.ADMIN], alert_id, NOW)
    assert await rounds.end_lapsed(db, now=NOW) == 0
