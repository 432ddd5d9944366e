"""What joined an alert after somebody opened its page is not closed, put off or taken on unread."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest

from schemas.alert import AlertState, EventKind, Outcome, Rule, Tier
from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, ids
from service.alerting import alert_states, alerts, deliveries, news, notes, writing
from service.config import Config
from service.database import Db, Pool
from service.people import clients
from tests.builders import MASTER, NOW
from tests.climbing import TODAY, a_house, an_alert
from tests.desk import SignedInAs, a_finding, a_person, a_session
from tests.desk import an_alert as an_alert_of
from tests.desk_visit import Desk, a_desk, a_followed_client
from tests.outbox import clinic

__all__ = ["clinic"]

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def db(clinic: Clinic, web_pool: Pool) -> AsyncIterator[Db]:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


async def joins(db: Db, client_id: UUID, rule: Rule, tier: Tier, at: datetime) -> None:
    finding = a_finding(rule, tier, on=TODAY)
    await alerts.open_or_join(db, client_id, [finding], now=at, rule_set_version=1, origin=RecordOrigin.LIVE)


async def seen_of(db: Db, alert_id: UUID) -> int:
    return (await news.counts(db, [alert_id]))[alert_id]


async def test_a_reason_that_joined_since_is_not_closed_put_off_or_taken_on(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    seen, later = await seen_of(db, alert_id), NOW + MINUTE
    await joins(db, client_id, Rule.SILENCE, Tier.TODAY, later)
    until = later + timedelta(days=1)
    for refused in (
        lambda: alerts.resolve(db, alert_id, Outcome.FALSE_ALARM, by=therapist, now=later, seen=seen),
        lambda: alerts.snooze(db, alert_id, until, "why", by=therapist, now=later, sealer=sealer, seen=seen),
        lambda: alerts.acknowledge(db, alert_id, by=therapist, now=later, seen=seen),
    ):
        with pytest.raises(news.Unread):
            await refused()
    assert (await alerts.get(db, alert_id)).state is AlertState.OPEN
    seen = await seen_of(db, alert_id)
    await alerts.acknowledge(db, alert_id, by=therapist, now=later, seen=seen)
    await alerts.resolve(db, alert_id, Outcome.FALSE_ALARM, by=therapist, now=later, seen=seen)


async def test_what_a_long_fold_found_before_a_note_that_was_read_is_not_taken_as_read(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    await alerts.note(db, alert_id, "Read.", by=therapist, now=NOW + 2 * MINUTE, sealer=sealer)
    seen = await seen_of(db, alert_id)
    await joins(db, client_id, Rule.SILENCE, Tier.TODAY, NOW + MINUTE)
    with pytest.raises(news.Unread):
        await alerts.resolve(db, alert_id, Outcome.CALLED, by=therapist, now=NOW + 3 * MINUTE, seen=seen)


async def test_a_host_whose_clock_is_ahead_hides_no_reason(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    ahead = UUID(int=ids.new().int + (5_000 << 80))  # the first 48 bits are milliseconds
    await alert_states.record(db, alert_id, EventKind.ESCALATED, now=NOW, event_id=ahead)
    seen = await seen_of(db, alert_id)
    await joins(db, client_id, Rule.SILENCE, Tier.TODAY, NOW + MINUTE)
    await alerts.note(db, alert_id, "Read.", by=therapist, now=NOW + 2 * MINUTE, sealer=sealer)
    assert [each.kind for each in await news.since(db, alert_id, seen)] == [EventKind.JOINED, EventKind.NOTED]
    with pytest.raises(news.Unread):
        await alerts.resolve(db, alert_id, Outcome.CALLED, by=therapist, now=NOW + 3 * MINUTE, seen=seen)


async def test_a_note_sent_again_because_no_answer_came_is_written_down_once(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    one, another = ids.new(), ids.new()
    for sent_as in (one, one, another, None, None):
        await alerts.note(db, alert_id, "No answer.", by=therapist, now=NOW, sealer=sealer, sent_as=sent_as)
    events = await alerts.events_of(db, alert_id)
    assert [each.kind for each in events].count(EventKind.NOTED) == 4
    more = "No answer. Called again: not safe, the police were asked."
    await alerts.note(db, alert_id, more, by=therapist, now=NOW, sealer=sealer, sent_as=one)
    called = Outcome.CALLED
    await alerts.resolve(db, alert_id, called, by=therapist, now=NOW, note=more, sent_as=one, sealer=sealer)
    noted = [each for each in await alerts.events_of(db, alert_id) if each.kind is EventKind.NOTED]
    assert notes.text_of(noted[-1], sealer, clinic_id=db.clinic_id) == more, "what was written on is kept, once"
    assert len(noted) == 5


async def test_what_a_colleague_wrote_since_is_read_before_it_is_closed_and_one_s_own_is_known(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist, nurse = list(people)[:2]
    sealer = await clients.sealer_of(db, MASTER, client_id)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    seen = await seen_of(db, alert_id)
    await alerts.note(db, alert_id, "She is with her sister.", by=nurse, now=NOW, sealer=sealer)
    with pytest.raises(news.Unread):
        await alerts.resolve(db, alert_id, Outcome.CALLED, by=therapist, now=NOW, seen=seen)
    await alerts.acknowledge(db, alert_id, by=therapist, now=NOW, seen=seen)
    await alerts.resolve(db, alert_id, Outcome.CALLED, by=nurse, now=NOW + MINUTE, seen=seen + 2)


class Two(NamedTuple):
    """A desk at which two people look at the same alert."""

    desk: Desk
    other: SignedInAs
    client_id: UUID
    alert_id: UUID

    @property
    def path(self) -> str:
        return f"/alerts/{self.alert_id}"

    async def joins(self) -> None:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            await joins(db, self.client_id, Rule.SILENCE, Tier.URGENT, datetime.now(UTC))

    async def seen(self) -> str:
        found = re.search(r'name="seen" value="(\d+)"', (await self.desk.get(self.path)).text)
        assert found is not None
        return found[1]

    async def does(self, what: str, sent_as: str | None = None, **form: str) -> httpx.Response:
        """By the first of the two, from the alert's page; by its script, where `sent_as` says how."""
        person = self.desk.person
        origin = {"Referer": str(self.desk.http.base_url.join(self.path))}
        form["csrf_token"] = person.csrf_token
        return await self.desk.http.post(
            f"{self.path}/{what}",
            data=form,
            headers=person.cookie | origin | ({} if sent_as is None else {"Neap-Form": sent_as}),
        )

    async def other_does(self, what: str, **form: str) -> None:
        form["csrf_token"] = self.other.csrf_token
        reply = await self.desk.http.post(f"{self.path}/{what}", data=form, headers=self.other.cookie)
        assert reply.status_code == 303

    async def kinds(self) -> list[EventKind]:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            return [each.kind for each in await alerts.events_of(db, self.alert_id)]


@pytest.fixture
async def two(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Two]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            other_id = await a_person(db, email="ada@clinic.example", name="Ada Brandt")
            for staff_id in (desk.person.staff_id, other_id):
                await clients.assign(db, client_id, staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
            other = await a_session(db, other_id)
            alert_id = await an_alert_of(db, client_id, Rule.SAFETY, Tier.URGENT)
        yield Two(desk, other, client_id, alert_id)


@pytest.mark.parametrize("by_script", [True, False])
async def test_the_page_comes_anew_with_what_joined_and_with_what_was_typed(two: Two, by_script: bool) -> None:
    seen = await two.seen()
    await two.joins()
    sent = {"outcome": "false_alarm", "note": "Pressed the <wrong> button.", "seen": seen}
    reply = await two.does("resolve", "anew" if by_script else None, **sent)
    assert reply.status_code == 409
    assert re.search(
        r"Since you opened this page: a new reason joined at \d\d:\d\d. Look at it, then press again.", reply.text
    )
    assert "Pressed the &lt;wrong&gt; button.</textarea>" in reply.text
    assert reply.text.count('class="finding"') == 2, "the page shows the reason"
    assert EventKind.RESOLVED not in await two.kinds()
    now_seen = re.search(r'/note" data-anew.*?name="seen" value="(\d+)"', reply.text, re.DOTALL)
    assert now_seen is not None
    assert (await two.does("resolve", outcome="called", seen=now_seen[1])).status_code == 303


@pytest.mark.parametrize("seen", ["", "2", "9" * 9, "9" * 30, "-7"])
async def test_a_note_is_kept_from_any_page_with_how_much_that_told(two: Two, seen: str) -> None:
    assert (await two.does("note", note="Appointment moved.", seen=seen)).status_code == 303
    async with database.transaction(two.desk.owner, two.desk.clinic.clinic_id) as db:
        detail = (await alerts.events_of(db, two.alert_id))[-1].detail
    assert detail.get("seen") == (int(seen) if seen.isdecimal() and len(seen) < 10 else None)
    assert (await two.desk.get("/caseload")).status_code == 200


@pytest.mark.parametrize("page", ["/inbox", "/clients/{client}"])
async def test_other_pages_take_on_no_more_than_they_showed(two: Two, page: str) -> None:
    shown = (await two.desk.get(page.format(client=two.client_id))).text
    found = re.search(r'name="seen" value="(\d+)"', shown)
    assert found is not None
    await two.joins()
    reply = await two.does("acknowledge", "yes", seen=found[1])
    assert reply.status_code == 409
    assert "a new reason joined" in reply.text
    assert 'id="main"' not in reply.text
    assert EventKind.ACKNOWLEDGED not in await two.kinds()


async def test_the_second_is_told_who_was_first_and_until_when(two: Two) -> None:
    seen = await two.seen()
    await two.other_does("acknowledge")
    for sent_as, of_the_page in (("anew", True), ("yes", False), (None, True)):
        reply = await two.does("acknowledge", sent_as, seen=seen)
        assert reply.status_code == 409
        assert re.search(r"Ada Brandt took it on at \d\d:\d\d and has it until \d\d:\d\d\.", reply.text)
        assert ('id="main"' in reply.text) is of_the_page
        assert "contradicts" not in reply.text


WRITTEN = {"resolve": "note", "snooze": "reason"}


@pytest.mark.parametrize("what", WRITTEN)
async def test_what_was_typed_for_an_alert_that_is_closed_by_now_can_be_kept_as_a_note(two: Two, what: str) -> None:
    async with database.transaction(two.desk.owner, two.desk.clinic.clinic_id) as db:
        two = two._replace(alert_id=await an_alert_of(db, two.client_id))
    seen = await two.seen()
    await two.other_does("resolve", outcome="no_action_needed")
    typed = "Rang her: she is with her sister."
    until = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"
    reply = await two.does(what, seen=seen, outcome="called", until=until, **{WRITTEN[what]: typed})
    assert reply.status_code == 409
    assert re.search(r"Ada Brandt closed it at \d\d:\d\d\. What you typed stands here\.", reply.text)
    form = reply.text[reply.text.index(f'action="{two.path}/note"') :]
    assert "Rang her: she is with her sister.</textarea>" in form[: form.index("</form>")]
    assert "resolved" in reply.text
    assert "no action needed" in reply.text


async def test_a_program_that_says_how_much_it_showed_does_nothing_about_more_than_that(two: Two) -> None:
    http, address = two.desk.http, f"/v1{two.path}"
    bearer = two.desk.person.bearer

    async def events() -> int:
        [line] = (await http.get("/v1/alerts", headers=bearer)).json()["items"]
        assert isinstance(line["events"], int)
        return line["events"]

    seen = await events()
    await two.joins()

    async def does(what: str, seen: int) -> int:
        if what == "acknowledge":
            reply = await http.post(f"{address}/acknowledge?seen={seen}", headers=bearer)
        else:
            reply = await http.post(f"{address}/resolve", json={"outcome": "called", "seen": seen}, headers=bearer)
        return reply.status_code

    for what in ("acknowledge", "resolve"):
        assert await does(what, seen) == 409
    form = {"note": "No answer.", "id": str(ids.new())}
    for _ in range(2):
        assert (await http.post(f"{address}/note", json=form, headers=bearer)).status_code == 204
    assert (await two.kinds()).count(EventKind.NOTED) == 1
    assert await does("acknowledge", await events()) == 200
    assert await does("resolve", await events()) == 204


async def test_who_opens_again_or_takes_back_too_late_is_told_how_it_stands(two: Two) -> None:
    await two.does("resolve", outcome="called")
    await two.other_does("open-again")
    late = await two.does("open-again", note="He called back and is not safe.")
    assert late.status_code == 409
    assert re.search(
        r"Only an alert that somebody resolved can be opened again\. Ada Brandt opened it again", late.text
    )
    assert "He called back and is not safe.</textarea>" in late.text, "as the note that it can be kept as"
    undone = await two.does("undo", "anew")
    assert re.search(r"nothing to be taken back any more\. Ada Brandt opened it again at \d\d:\d\d", undone.text)


async def test_a_page_says_what_came_since_once_and_goes_on_asking(two: Two) -> None:
    asks = f"{two.path}/changed?seen={await two.seen()}"
    by_itself = {"Neap-By-Itself": "yes"}
    assert (await two.desk.get(asks, **by_itself)).status_code == 204
    await two.other_does("acknowledge")
    told = await two.desk.get(asks, **by_itself)
    assert told.status_code == 200
    assert re.search(r"Since you opened this page: Ada Brandt took it on at \d\d:\d\d\. ", told.text)
    so_far = re.search(r'name="told" value="(\d+)"', told.text)
    assert so_far is not None
    asks += f"&told={so_far[1]}"
    assert (await two.desk.get(asks, **by_itself)).status_code == 204
    await two.joins()
    told = await two.desk.get(asks, **by_itself)
    assert told.status_code == 200
    assert "Ada Brandt took it on" in told.text
    assert "a new reason joined" in told.text
    assert (await two.desk.get(f"{two.path}/changed?seen=-1")).status_code == 400


@pytest.mark.parametrize(("problem", "failed"), [(deliveries.TAKEN_ON, False), (writing.UNREADABLE, True)])
async def test_a_message_that_was_rightly_not_sent_does_not_look_like_a_failure(
    two: Two, problem: str, failed: bool
) -> None:
    blocked = (
        "update delivery set state = 'blocked', problem = $2, attempts = 1, settled_at = now() where clinic_id = $1"
    )
    async with database.transaction(two.desk.owner, two.desk.clinic.clinic_id) as db:
        await db.execute(blocked, db.clinic_id, problem)
    told = (await two.desk.get(two.path)).text.partition("Who was told")[2]
    assert problem in unescape(told)
    assert ('<b class="bad">not sent</b>' in told, "1 try" in told, "1 tries" in told) == (failed, failed, False)
    assert ("not delivered" in (await two.desk.get("/inbox")).text) is failed
