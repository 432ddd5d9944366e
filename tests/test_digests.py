"""Each local morning every care-team member hears how things stand, once, also when all is quiet."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from jobs import plan_digests, runner, seal_audit
from jobs.timetable import DAILIES
from jobs.work import Tools
from schemas.alert import Channel, NewFinding, Outcome, Rule, Tier
from schemas.audit import AuditHead
from schemas.clinic import Clinic
from schemas.staff import Role
from service import audit_seals, database
from service.alerting import alerts, outbox
from service.alerting.writing import Claimed, Sending
from service.audit_seals import Signer
from service.database import Db, Pool
from service.notify.email import Email
from service.people import audit, clients, staff
from tests import senders
from tests.audit_trails import all_finished
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.sinks import MailSink

DAY = timedelta(days=1)
DIGESTS = [each for each in DAILIES if each.name == "plan_digests"]


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
def tools(jobs_pool: Pool, sweep_pool: Pool, mail: MailSink) -> Tools:
    email = Email(host="127.0.0.1", port=mail.port, security="none", sender="neap@x.example", user=None, password=None)
    return Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: email}, MASTER, "https://neap.example"))


async def a_member(db: Db, name: str, *client_ids: UUID, role: Role = Role.THERAPIST) -> UUID:
    staff_id = await staff.add(db, email=f"{name}@x.example", name=name, roles=[role], now=NOW)
    for client_id in client_ids:
        await clients.assign(db, client_id, staff_id, role, from_at=NOW - 30 * DAY)
    return staff_id


async def an_alert(db: Db, client_id: UUID, *, at: datetime, rule: Rule = Rule.WORSENING) -> UUID:
    tier = Tier.URGENT if rule is Rule.SAFETY else Tier.TODAY
    finding = NewFinding(client_day=at.date(), rule=rule, tier=tier, numbers={})
    change = await alerts.open_or_join(db, client_id, [finding], now=at, rule_set_version=1)
    await db.execute("update delivery set state = 'sent' where clinic_id = $1 and kind = 'alert'", db.clinic_id)
    return change.opened[0]


async def tell(tools: Tools, clinic: Clinic, *, now: datetime) -> int:
    """The job and the sender; how many were new."""
    result = await plan_digests.run_once(tools, clinic.clinic_id, now=now)
    await senders.deliver_everywhere(tools, Channel.EMAIL, now=now)
    return result.counts["planned"]


def said_to(mail: MailSink, name: str) -> list[EmailMessage]:
    return [each for each in mail.messages if each["to"] == f"{name}@x.example"]


def counted(letter: EmailMessage) -> list[int]:
    """Open now, new, resolved."""
    return [int(line.rpartition(": ")[2]) for line in letter.get_content().splitlines()[:3]]


async def test_each_member_hears_of_their_own_clients_and_whoever_has_none_hears_nothing(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        mine, other = await a_client(db), await a_client(db, given_name="Per")
        tamsin = await a_member(db, "tamsin", mine)
        await a_member(db, "quinn", other)
        await a_member(db, "cleo", role=Role.COORDINATOR)
        await an_alert(db, mine, at=NOW - 3 * DAY)
        fresh = await an_alert(db, mine, at=NOW - timedelta(hours=3), rule=Rule.SAFETY)
        await alerts.resolve(db, fresh, Outcome.CALLED, by=tamsin, now=NOW - timedelta(hours=2))
    assert await tell(tools, clinic, now=NOW) == 2
    [told], [quiet] = said_to(mail, "tamsin"), said_to(mail, "quinn")
    assert told["subject"] == "This morning's inbox"
    assert counted(told) == [1, 1, 1]
    assert quiet["subject"] == "This morning's inbox: all quiet"
    assert len(mail.messages) == 2


async def test_a_run_again_and_days_that_were_missed_tell_once_and_leave_nothing_out(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        tamsin = await a_member(db, "tamsin", client_id)
    assert [await tell(tools, clinic, now=NOW) for _ in range(2)] == [1, 0]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        alert_id = await an_alert(db, client_id, at=NOW + timedelta(hours=5))
        await alerts.resolve(db, alert_id, Outcome.CALLED, by=tamsin, now=NOW + timedelta(hours=6))
    after = NOW + 4 * DAY
    due = await runner.Lookout(DIGESTS).due(tools.sweep, now=after)
    assert await runner.run_due(tools, runner.Lookout(DIGESTS), "a", now=after) == len(due)
    assert await runner.run_due(tools, runner.Lookout(DIGESTS), "b", now=after) == 0
    await senders.deliver_everywhere(tools, Channel.EMAIL, now=after)
    _, late = said_to(mail, "tamsin")
    assert counted(late) == [0, 1, 1]


async def test_the_morning_is_each_clinic_s_own_also_when_the_clock_changes(
    owner_pool: Pool, web_pool: Pool, tools: Tools, mail: MailSink
) -> None:
    for slug, zone in (("chicago", "America/Chicago"), ("berlin", "Europe/Berlin")):
        place = await a_clinic(owner_pool, slug=slug, time_zone=zone)
        async with database.transaction(web_pool, place.clinic_id) as db:
            await a_member(db, slug, await a_client(db))
    heard: dict[str, list[datetime]] = {"chicago": [], "berlin": []}
    now, end = datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)
    while now < end:
        await runner.run_due(tools, runner.Lookout(DIGESTS), "a", now=now)
        await senders.deliver_everywhere(tools, Channel.EMAIL, now=now)
        for name, mornings in heard.items():
            mornings += [now] * (len(said_to(mail, name)) - len(mornings))
        now += timedelta(hours=1)
    for name, zone in (("chicago", "America/Chicago"), ("berlin", "Europe/Berlin")):
        local = [at.astimezone(ZoneInfo(zone)) for at in heard[name]]
        assert {each.time() for each in local[1:]} == {time(7)}
        days = [each.date() for each in local]
        assert days == [days[0] + DAY * ahead for ahead in range(len(days))], "none missing, none twice"
        assert len(days) >= 10


async def test_a_job_killed_in_the_middle_tells_each_once_under_one_id(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        for number in range(6):
            await a_member(db, f"m{number}", client_id)
    settled = 0
    settle = outbox._settle

    async def killed(db: Db, claimed: Claimed, state: str, problem: str | None, *, now: datetime) -> None:
        nonlocal settled
        settled += 1
        if settled > 2:
            raise asyncio.CancelledError
        await settle(db, claimed, state, problem, now=now)

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_settle", killed)
        await tell(tools, clinic, now=NOW)
    await tell(tools, clinic, now=NOW + outbox.LEASE)
    ids_of = {name: {each["message-id"] for each in said_to(mail, name)} for name in (f"m{n}" for n in range(6))}
    assert [len(ids) for ids in ids_of.values()] == [1] * 6
    assert len(mail.messages) <= 10, "those that were sent and not written down, again; no other"


async def test_whoever_is_disabled_before_it_is_sent_hears_nothing(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        tamsin = await a_member(db, "tamsin", await a_client(db))
        ada = await a_member(db, "ada", role=Role.ADMIN)
    await plan_digests.run_once(tools, clinic.clinic_id, now=NOW)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await staff.disable(db, tamsin, by=ada, now=NOW)
    result = await senders.deliver_everywhere(tools, Channel.EMAIL, now=NOW)
    assert (result.counts["blocked"], mail.messages) == (1, [])


async def test_before_the_first_seal_there_is_nothing_to_keep_elsewhere(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await a_member(db, "petra", role=Role.PRIVACY_OFFICER)
    assert await tell(tools, clinic, now=NOW) == 1
    assert said_to(mail, "petra") == []


async def test_the_privacy_officer_gets_the_newest_seal_to_keep_elsewhere(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, tmp_path: Path
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await a_member(db, "petra", role=Role.PRIVACY_OFFICER)
        await audit.record(db, audit.JOB, "client.read", now=NOW)
    await all_finished(web_pool, clinic)
    await seal_audit.run_once(tools, now=NOW)
    assert await tell(tools, clinic, now=NOW) == 1
    [letter] = said_to(mail, "petra")
    [file] = letter.iter_attachments()
    assert file.get_filename() == "audit-head-harbour-2026-11-22.json"
    content = file.get_content()
    head = msgspec.json.decode(content, type=AuditHead)
    audit_seals.refuse_forged(head, Signer(MASTER).public)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        verdict = await audit_seals.verify(db, Signer(MASTER).public, head=head)
    assert (head.clinic_id, head.number, verdict.fault) == (clinic.clinic_id, 1, None)
