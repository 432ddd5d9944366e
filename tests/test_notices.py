"""Staff hear once, neutrally: there is a brief to read before a session, a client pauses or was discharged."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jobs import plan_briefs
from jobs.work import Result as Ran
from jobs.work import Tools
from schemas.alert import Channel, DeliveryKind
from schemas.brief import BriefFor
from schemas.clinic import Clinic
from schemas.course import DischargeReason, InfusionState, PauseReason, SessionState
from schemas.rota import CoverForm
from schemas.staff import Role
from schemas.treatment import DischargeForm, PauseForm
from service import database, ids, treatment
from service.alerting import notices, outbox, receipts
from service.alerting.writing import Sending
from service.database import Pool
from service.facts import client_day, courses, infusions, sessions
from service.notify import Dead, Message, Result, Retry, Sent, Template
from service.notify.texts import TEXTS
from service.people import clients, covers, staff
from service.people.audit import Actor
from service.storage import schema
from tests import senders
from tests.appointments import a_planned_infusion
from tests.builders import MASTER, NOW, a_client, a_clinic

HOUR = timedelta(hours=1)


class Postbox:
    """An e-mail channel that keeps what it was given."""

    channel = Channel.EMAIL
    at_once = 3
    retry_after_seconds = (30,)

    def __init__(self) -> None:
        self.written: list[Message] = []
        self.answer: Result = Sent()

    async def send(self, message: Message, *, now: datetime) -> Result:
        """Keep the message."""
        self.written.append(message)
        return self.answer


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def tools(jobs_pool: Pool, sweep_pool: Pool, postbox: Postbox) -> Tools:
    return Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: postbox}, MASTER, "https://neap.example"))


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


async def a_booked_session(
    pool: Pool, clinic: Clinic, *, hours_ahead: float = 20, therapist: bool = True
) -> tuple[UUID, UUID | None]:
    """A planned session and its therapist."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        email = f"{ids.new()}@harbour.example"
        tamsin = await staff.add(db, email=email, name="Tamsin", roles=[Role.THERAPIST], now=NOW)
        client_id = await a_client(db)
        staff_id = tamsin if therapist else None
        await clients.assign(db, client_id, tamsin, Role.THERAPIST, from_at=NOW - HOUR)
        planned_at = NOW + hours_ahead * HOUR
        session_id = await sessions.plan(db, client_id, staff_id=staff_id, planned_at=planned_at, by=None, now=NOW)
    return session_id, staff_id


async def states_of(pool: Pool, clinic: Clinic) -> list[str]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        rows = await db.connection.fetch(
            "select state from delivery where clinic_id = $1 order by created_at", db.clinic_id
        )
    return [row["state"] for row in rows]


async def tell(tools: Tools, *, now: datetime) -> Ran:
    """Queue what is to be told, and send it."""
    planned = await plan_briefs.run_once(tools, now=now)
    sent = await senders.deliver_everywhere(tools, Channel.EMAIL, now=now)
    return Ran({**planned.counts, **sent.counts}, failed=planned.failed + sent.failed)


async def test_a_session_of_the_next_day_is_told_once_and_neutrally(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    await a_booked_session(web_pool, clinic)
    await a_booked_session(web_pool, clinic, hours_ahead=25)
    await a_booked_session(web_pool, clinic, hours_ahead=-1)
    first = await tell(tools, now=NOW)
    again = await tell(tools, now=NOW)
    assert (first.counts["planned"], first.counts["sent"]) == (1, 1)
    assert (again.counts["planned"], again.counts["sent"]) == (0, 0)
    [message] = postbox.written
    assert (message.template, message.alert_id, message.link) == (
        Template.BRIEF,
        None,
        f"https://neap.example/messages/{message.delivery_id}",
    )
    assert (await tell(tools, now=NOW + 2 * HOUR)).counts["sent"] == 1, "the other's day has come"


async def test_a_session_without_a_therapist_is_told_to_those_of_the_team(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    await a_booked_session(web_pool, clinic, therapist=False)
    assert (await tell(tools, now=NOW)).counts["sent"] == 1
    assert (await tell(tools, now=NOW)).counts["planned"] == 0


async def test_an_infusion_of_the_next_day_is_told_to_the_team_s_nurses_and_leads_to_their_brief(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    client_id, [_, nurse, _] = await a_team(owner_pool, clinic)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, client_id, hours_ahead=20, now=NOW)
    for _ in range(2):
        await tell(tools, now=NOW)
    assert [each.to for each in postbox.written] == ["nurse@harbour.example"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert await notices.brief_of(db, infusion_id) == notices.BriefOf(client_id, BriefFor.INFUSION)
        assert await notices.brief_is_due(db, nurse, infusion_id, NOW + 20 * HOUR, now=NOW)
        await infusions.record_state(db, infusion_id, InfusionState.CANCELLED, by=None, now=NOW)
        assert not await notices.brief_is_due(db, nurse, infusion_id, NOW + 20 * HOUR, now=NOW)


async def test_whoever_comes_to_read_it_on_the_last_day_is_told_though_others_were(
    owner_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    client_id, [_, nurse, _] = await a_team(owner_pool, clinic)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await a_planned_infusion(db, client_id, hours_ahead=20, now=NOW)
        await clients.unassign(db, client_id, nurse, now=NOW)
    await tell(tools, now=NOW)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await clients.assign(db, client_id, nurse, Role.NURSE, from_at=NOW)
    for _ in range(2):
        await tell(tools, now=NOW)
    assert [each.to for each in postbox.written] == ["prescriber@harbour.example", "nurse@harbour.example"]


async def a_team(pool: Pool, clinic: Clinic) -> tuple[UUID, list[UUID]]:
    """A client, and the therapist, nurse and prescriber of their care team."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db, now=NOW)
        team = []
        for role in (Role.THERAPIST, Role.NURSE, Role.PRESCRIBER):
            team.append(await staff.add(db, email=f"{role}@harbour.example", name=role, roles=[role], now=NOW))
            await clients.assign(db, client_id, team[-1], role, from_at=NOW - HOUR)
    return client_id, team


def a_pause(from_days: int, until_days: int | None) -> PauseForm:
    day = client_day.of(NOW, ZoneInfo("UTC"))
    until_on = None if until_days is None else day + timedelta(days=until_days)
    return PauseForm(from_on=day + timedelta(days=from_days), until_on=until_on, reason=PauseReason.OWN_WISH)


async def test_the_care_team_is_told_of_a_pause_and_of_a_discharge_but_for_whoever_said_it(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    client_id, [therapist, nurse, prescriber] = await a_team(owner_pool, clinic)
    by, pause_id = Actor("staff", nurse), ids.new()
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await treatment.pause(db, client_id, ids.new(), a_pause(-3, -2), by=by, now=NOW)
    assert (await tell(tools, now=NOW)).counts["sent"] == 0, "a pause that is over is for the record"
    for _ in range(2):
        async with database.transaction(web_pool, clinic.clinic_id) as db:
            await treatment.pause(db, client_id, pause_id, a_pause(0, None), by=by, now=NOW)
        await tell(tools, now=NOW)
    assert [each.template for each in postbox.written] == [Template.COURSE] * 2
    assert {each.to for each in postbox.written} == {"therapist@harbour.example", "prescriber@harbour.example"}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        leave = DischargeForm(last_day=client_day.of(NOW, ZoneInfo("UTC")), reason=DischargeReason.COMPLETED)
        await treatment.discharge(db, client_id, leave, by=by, now=NOW + HOUR)
        await clients.unassign(db, client_id, prescriber, now=NOW + HOUR)
        followed = await receipts.mark_opened(db, postbox.written[0].delivery_id, by=therapist, now=NOW)
        followed = followed or await receipts.mark_opened(db, postbox.written[1].delivery_id, by=therapist, now=NOW)
    assert followed is not None
    assert (followed.kind, followed.subject_id) == (DeliveryKind.COURSE, client_id)
    assert (await tell(tools, now=NOW + 2 * HOUR)).counts["sent"] == 1, "who left the team is not told"
    assert postbox.written[-1].to == "therapist@harbour.example"


def test_no_text_says_a_word_of_health() -> None:
    assert set(TEXTS) == set(Template)
    for subject, text in TEXTS.values():
        said = f"{subject} {text}".lower()
        assert not [
            word for word in ("craving", "ketamine", "therapy", "infusion", "client", "patient") if word in said
        ]


async def test_a_session_that_moves_is_told_of_again(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    session_id, _ = await a_booked_session(web_pool, clinic)
    await tell(tools, now=NOW)
    later = NOW + 240 * HOUR
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute(
            "update therapy_session set planned_at = $3 where clinic_id = $1 and therapy_session_id = $2",
            db.clinic_id,
            session_id,
            later,
        )
    assert (await tell(tools, now=NOW)).counts["planned"] == 0
    assert (await tell(tools, now=later - HOUR)).counts["sent"] == 1
    assert len(postbox.written) == 2


async def test_nobody_is_told_of_a_client_who_is_none_of_theirs_or_discharged(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    session_id, staff_id = await a_booked_session(web_pool, clinic)
    other_id, _ = await a_booked_session(web_pool, clinic)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert staff_id is not None
        client_of = {each: (await sessions.get(db, each)).client_id for each in (session_id, other_id)}
        await clients.unassign(db, client_of[session_id], staff_id, now=NOW)
        course = (await courses.of(db, client_of[other_id]))[0]
        await courses.end(db, course.course_id, ended_on=NOW.date(), now=NOW)
    assert (await tell(tools, now=NOW)).counts["planned"] == 0
    assert postbox.written == []


async def test_a_session_that_moves_and_moves_back_before_anybody_is_told_is_told_of(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    session_id, _ = await a_booked_session(web_pool, clinic)
    assert (await plan_briefs.run_once(tools, now=NOW)).counts["planned"] == 1

    async def move(hours_ahead: int) -> None:
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            await sessions.change(db, session_id, planned_at=NOW + hours_ahead * HOUR, by=None, now=NOW)

    await move(30)
    assert (await tell(tools, now=NOW)).counts["blocked"] == 1
    await move(20)
    assert (await tell(tools, now=NOW)).counts["sent"] == 1
    assert (await tell(tools, now=NOW + HOUR)).counts["planned"] == 0
    assert len(postbox.written) == 1


async def test_the_session_of_a_therapist_who_left_the_team_is_told_to_its_therapists(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    session_id, staff_id = await a_booked_session(web_pool, clinic)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert staff_id is not None
        client_id = (await sessions.get(db, session_id)).client_id
        new = await staff.add(db, email="new@harbour.example", name="Noor", roles=[Role.THERAPIST], now=NOW)
        await clients.assign(db, client_id, new, Role.THERAPIST, from_at=NOW - HOUR)
        await clients.unassign(db, client_id, staff_id, now=NOW)
    await tell(tools, now=NOW)
    assert [each.to for each in postbox.written] == ["new@harbour.example"]


async def test_whoever_covers_for_the_therapist_is_told_in_their_place(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    _, staff_id = await a_booked_session(web_pool, clinic)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert staff_id is not None
        cover = await staff.add(db, email="cover@harbour.example", name="Cleo", roles=[Role.THERAPIST], now=NOW)
        form = CoverForm(staff_id=staff_id, covered_by=cover, from_at=NOW - HOUR, until_at=NOW + 48 * HOUR)
        await covers.arrange(db, ids.new(), form, by=staff_id, now=NOW)
    await tell(tools, now=NOW)
    assert [each.to for each in postbox.written] == ["cover@harbour.example"]


async def test_before_an_infusion_a_team_without_a_nurse_tells_its_prescriber(
    owner_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    client_id, [_, nurse, _] = await a_team(owner_pool, clinic)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await a_planned_infusion(db, client_id, hours_ahead=20, now=NOW)
        await clients.unassign(db, client_id, nurse, now=NOW)
    await tell(tools, now=NOW)
    assert [each.to for each in postbox.written] == ["prescriber@harbour.example"]


@pytest.mark.parametrize("why", ["cancelled", "disabled", "moved into the past"])
async def test_what_is_not_needed_when_it_would_be_sent_is_blocked(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox, why: str
) -> None:
    session_id, staff_id = await a_booked_session(web_pool, clinic)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert staff_id is not None
    async with database.transaction(tools.pool, clinic.clinic_id) as db:
        assert await notices.plan_briefs(db, now=NOW) == 1
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        if why == "cancelled":
            await sessions.record_state(db, session_id, SessionState.CANCELLED, by=None, now=NOW)
        elif why == "disabled":
            await staff.disable(db, staff_id, by=ids.new(), now=NOW)
        else:
            await db.execute(
                "update therapy_session set planned_at = $2 where clinic_id = $1", db.clinic_id, NOW - HOUR
            )
    assert (await tell(tools, now=NOW)).counts["blocked"] == 1
    assert (postbox.written, await states_of(web_pool, clinic)) == ([], ["blocked"])


async def test_what_fails_is_tried_again_under_its_id_and_then_given_up(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    await a_booked_session(web_pool, clinic)
    postbox.answer = Retry("later")
    await tell(tools, now=NOW)
    assert await states_of(web_pool, clinic) == ["failed"]
    await tell(tools, now=NOW + timedelta(seconds=29))
    assert len(postbox.written) == 1
    await tell(tools, now=NOW + timedelta(seconds=30))
    assert await states_of(web_pool, clinic) == ["dead"]
    assert len({message.delivery_id for message in postbox.written}) == 1


async def test_a_mailbox_that_is_gone_ends_it(web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox) -> None:
    await a_booked_session(web_pool, clinic)
    postbox.answer = Dead("no such mailbox")
    assert (await tell(tools, now=NOW)).counts["dead"] == 1


async def test_a_sender_killed_in_the_middle_sends_again_under_the_same_id(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_booked_session(web_pool, clinic)

    async def killed(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_settle", killed)
        await tell(tools, now=NOW)
    assert (await tell(tools, now=NOW)).counts["sent"] == 0, "the lease of the one that died holds"
    assert (await tell(tools, now=NOW + outbox.LEASE)).counts["sent"] == 1
    assert len(postbox.written) == 2
    assert len({message.delivery_id for message in postbox.written}) == 1


NOTICE = """
insert into notice (
  clinic_id, notice_id, kind, staff_id, subject_id, planned_at, channel, state, due_at, attempts, created_at, settled_at
)
values ($1, $2, 'brief', $3, $4, $5, 'email', $6, $5, 1, $5, $5)
"""


async def test_notices_of_before_are_in_the_one_outbox_with_their_ids_and_states(
    owner_pool: Pool, clinic: Clinic
) -> None:
    """Forced row-level security lets a statement of the owner's touch no row in silence; the migration lifts it."""
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    since = [each for each in sorted(schema.MIGRATIONS.glob("*.sql")) if each.name >= "20261126000020"]
    parts = [each.read_text().partition("-- migrate:down") for each in since]
    async with owner_pool.acquire() as connection:
        for _, _, down in reversed(parts):
            await connection.execute(down)
    old: dict[UUID, str] = {}
    for place, state in ((clinic, "sent"), (clinic, "queued"), (elsewhere, "dead")):
        async with database.transaction(owner_pool, place.clinic_id) as db:
            old[notice_id := ids.new()] = state
            email = f"{notice_id}@harbour.example"
            staff_id = ids.new()
            await db.execute(
                "insert into staff (clinic_id, staff_id, email, name, roles, created_at)"
                " values ($1, $2, $3, 'Tamsin', '{therapist}', $4)",
                *(db.clinic_id, staff_id, email, NOW),
            )
            await db.execute(NOTICE, db.clinic_id, notice_id, staff_id, ids.new(), NOW, state)
    async with owner_pool.acquire() as connection:
        for up, _, _ in parts:
            async with connection.transaction():
                await connection.execute(up)
    moved: dict[UUID, str] = {}
    for place in (clinic, elsewhere):
        async with database.transaction(owner_pool, place.clinic_id) as db:
            rows = await db.connection.fetch("select delivery_id, kind, state, attempts from delivery")
            moved |= {row["delivery_id"]: row["state"] for row in rows}
            assert {(row["kind"], row["attempts"]) for row in rows} == {("brief", 1)}
    assert moved == old
