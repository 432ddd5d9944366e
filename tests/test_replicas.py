"""Four jobs processes on one database, killed and started at random: what is due happens once, by claims alone."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time as clock_time
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from jobs import runner
from jobs.timetable import DAILIES
from schemas.alert import NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, fold
from service.alerting import alerts
from service.config import Config
from service.database import Db, Pool
from service.people import clients, staff
from tests import replica
from tests.builders import a_client, a_clinic, days_of
from tests.jobs_processes import REPOSITORY, environment
from tests.sinks import MailSink, a_mail_sink

log = logging.getLogger(__name__)

SEED, KILLS, REPLICAS = 20261101, 200, 4
# The night in which the clocks of Chicago and Los Angeles go back. A claim of the dead lasts ten minutes: ten seconds.
BEGINS, SPEED = datetime(2026, 11, 1, 4, 0, tzinfo=UTC), 60.0
ZONES = ("America/Chicago", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Los_Angeles")
PEOPLE = (Role.THERAPIST, Role.NURSE, Role.COORDINATOR, Role.ADMIN)
CLIENTS_OF_A_CLINIC = 4
DAYS_MISSED = 6
LONGEST_LIFE_SECONDS = 2.0
PATIENCE_SECONDS = 300
DAY = timedelta(days=1)

# Whoever claims a slot and whoever finishes it, however often.
WITNESS = """
create table witnessed (
  clinic_id uuid, job text, local_date date, local_time time, was text, became text, by_whom text, before_whom text
);
create function witness() returns trigger language plpgsql security definer as $$
begin
  insert into witnessed values (
    new.clinic_id, new.job, new.local_date, new.local_time, case when tg_op = 'UPDATE' then old.state end, new.state,
    new.claimed_by, case when tg_op = 'UPDATE' then old.claimed_by end
  );
  if new.state = 'running' then
    perform pg_notify('claimed', new.claimed_by);
  end if;
  return new;
end
$$;
create trigger witness after insert or update on job_run for each row execute function witness();
"""


@dataclass
class Replica:
    """A process, and where it says what it does."""

    process: Process
    log: Path

    @property
    def name(self) -> str | None:
        """The name under which it claims; None where it never came so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return next((line["jobs_process"] for line in lines if line["event"] == "jobs_started"), None)


@dataclass
class Replicas:
    """The processes that run now, and those that were killed."""

    settings: Config
    mail: MailSink
    folder: Path
    started_at: float = field(default_factory=clock_time.time)
    claims: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    running: list[Replica] = field(default_factory=list)
    killed: list[Replica] = field(default_factory=list)

    def now(self) -> datetime:
        """What their clocks say."""
        return replica.clock(BEGINS.timestamp(), self.started_at, SPEED)()

    async def start(self) -> None:
        log = self.folder / f"{len(self.running) + len(self.killed)}.log"
        smtp = {"NEAP_SMTP_HOST": "127.0.0.1", "NEAP_SMTP_PORT": str(self.mail.port), "NEAP_SMTP_SECURITY": "none"}
        more = {"NEAP_MAIL_FROM": "neap@harbour.example", "NEAP_LOG_FORMAT": "json"}
        command = (sys.executable, "-m", "tests.replica", str(BEGINS.timestamp()), str(self.started_at), str(SPEED))
        env = environment(self.settings, **smtp, **more)
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=REPOSITORY, env=env, stdout=DEVNULL, stderr=errors
            )
        self.running.append(Replica(process, log))

    def claimed(self, *notification: object) -> None:
        """Somebody claimed a slot: their name is what the notification carries."""
        self.claims.put_nowait(str(notification[-1]))

    async def next_claimant(self, seconds: float) -> Replica | None:
        """Whoever claims a slot next, in so many seconds."""
        while not self.claims.empty():
            self.claims.get_nowait()
        try:
            async with asyncio.timeout(seconds):
                name = await self.claims.get()
        except TimeoutError:
            return None
        return next((each for each in self.running if each.name == name), None)

    async def kill(self, dead: Replica) -> None:
        """kill -9, and another in its place."""
        dead.process.kill()
        self.running.remove(dead)
        await dead.process.wait()
        self.killed.append(dead)
        await self.start()

    async def stop(self) -> list[int | None]:
        """Ask all to stop; their statuses."""
        for each in self.running:
            each.process.terminate()
        return [await each.process.wait() for each in self.running]


@asynccontextmanager
async def replicas(settings: Config, folder: Path) -> AsyncIterator[Replicas]:
    """So many replicas for the length of the block."""
    async with a_mail_sink() as mail:
        here = Replicas(settings, mail, folder)
        try:
            for _ in range(REPLICAS):
                await here.start()
            yield here
        finally:
            for each in here.running:
                if each.process.returncode is None:
                    each.process.kill()
                    await each.process.wait()


async def a_clinic_left_alone(owner: Pool, number: int, *, now: datetime) -> tuple[Clinic, list[UUID]]:
    """A clinic whose jobs last ran days ago, and its clients: one of them is told of as urgent."""
    clinic = await a_clinic(owner, slug=f"clinic-{number}", time_zone=ZONES[number % len(ZONES)], now=now)
    made = []
    async with database.transaction(owner, clinic.clinic_id) as db:
        people = {
            role: await staff.add(db, email=f"{role}-{number}@x.example", name=role, roles=[role], now=now)
            for role in PEOPLE
        }
        for _ in range(CLIENTS_OF_A_CLINIC):
            client_id = await a_client(db, started_on=now.date() - 20 * DAY, now=now)
            for role in PEOPLE[:2]:
                await clients.assign(db, client_id, people[role], role, from_at=now - 9 * DAY)
            await days_of(db, client_id, until=now.date() - DAYS_MISSED * DAY, craving=[3, 4, 2] * 4)
            made.append(client_id)
        for daily in DAILIES:
            await db.execute(RAN, db.clinic_id, daily.name, now.date() - DAYS_MISSED * DAY, daily.at[-1], now)
        finding = NewFinding(client_day=now.date(), rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
        await alerts.open_or_join(db, made[0], [finding], now=now, rule_set_version=1)
    return clinic, made


RAN = """
insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, finished_at, state)
values ($1, $2, $3, $4, 'before', $5, $5, 'done')
"""
# What is not done yet of what the test set going. Nobody takes the urgent alerts on, so they go round, again and again.
LEFT = """
select
  (select 3 * count(*) from alert where tier = 1)
  - (select count(*) from alert_event where kind = 'escalated' and (detail ->> 'round')::integer = 1)
  + (select count(*) from delivery where state in ('queued', 'failed') and due_at <= $1)
  + (select count(*) from fold_due)
"""


@pytest.mark.slow
async def test_four_replicas_killed_at_random_do_each_thing_once(
    settings: Config, owner_pool: Pool, sweep_pool: Pool, tmp_path: Path
) -> None:
    """200 times one of the four dies, half the time in the middle of a run; clinics come that nobody ran for days."""
    random, every = Random(SEED), list[tuple[Clinic, list[UUID]]]()
    async with owner_pool.acquire() as connection, replicas(settings, tmp_path) as here:
        await connection.execute(WITNESS)
        await connection.add_listener("claimed", here.claimed)
        for kill in range(KILLS):
            if kill % 20 == 0:
                every.append(await a_clinic_left_alone(owner_pool, len(every), now=here.now()))
            claimant = await here.next_claimant(random.uniform(0, LONGEST_LIFE_SECONDS))
            await here.kill(claimant if claimant and random.random() < 0.5 else random.choice(here.running))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await left(owner_pool, sweep_pool, [clinic for clinic, _ in every], now=here.now()):
                await asyncio.wait([asyncio.create_task(here.running[0].process.wait())], timeout=1)
        assert await here.stop() == [0] * REPLICAS
        await connection.remove_listener("claimed", here.claimed)
        sent = Counter(str(each["message-id"]) for each in here.mail.messages)
    await each_slot_once(owner_pool, {each.name for each in here.killed})
    for clinic, client_ids in every:
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            await each_effect_once(db, client_ids, sent, now=here.now())
    log.info("%d killed, %d messages, %d of them twice", KILLS, len(sent), sent.total() - len(sent))


async def left(owner: Pool, sweep: Pool, clinics: list[Clinic], *, now: datetime) -> int:
    """How much is still to be done."""
    due = len(await runner.Lookout(DAILIES).due(sweep, now=now))
    for clinic in clinics:
        async with database.transaction(owner, clinic.clinic_id) as db:
            due += int(str(await db.value(LEFT, now)))
    return due


async def each_slot_once(owner: Pool, killed: set[str | None]) -> None:
    """No slot was finished twice, nor left open; whoever lost one to somebody else was dead."""
    async with owner.acquire() as connection:
        rows = await connection.fetch("select * from witnessed where by_whom <> 'before'")
    slots = Counter((row["clinic_id"], row["job"], row["local_date"], row["local_time"]) for row in rows)
    finished = Counter(
        (row["clinic_id"], row["job"], row["local_date"], row["local_time"]) for row in rows if row["became"] == "done"
    )
    assert set(finished.values()) == {1}
    for clinic_id, job, day, at in set(slots) - set(finished):
        later = [slot for slot in finished if slot[:3] == (clinic_id, job, day) and slot[3] > at]
        assert later, "only a later slot of its day does the work of one that was left"
    taken_over = [row for row in rows if row["became"] == "running" and row["was"] == "running"]
    assert {row["before_whom"] for row in taken_over} <= killed
    log.info("%d slots, %d taken over from the dead", len(slots), len(taken_over))


TWICE = """
select 'a round began twice' as what
from alert_event
where kind = 'opened'
group by alert_id
having count(*) > 1
union all
select 'a step was climbed twice'
from alert_event
where kind = 'escalated'
group by alert_id, detail ->> 'round', detail ->> 'step'
having count(*) > 1
union all
select 'two alerts of one kind'
from alert
group by client_id, tier = 1
having count(*) > 1
union all
select 'a finding twice'
from finding
where check_in_id is null
group by client_id, rule, client_day
having count(*) > 1
union all
select 'a person told twice of a step'
from delivery
group by alert_id, kind, staff_id, channel, round, planned_at, subject_id
having count(*) > 1
"""


async def each_effect_once(db: Db, client_ids: list[UUID], sent: Counter[str], *, now: datetime) -> None:
    """What the slots and steps brought about is there, once; every message arrived."""
    assert await db.connection.fetch(TWICE) == []
    steps = await db.connection.fetch(
        "select detail ->> 'step' as step from alert_event where kind = 'escalated' and detail ->> 'round' = '1'"
    )
    assert sorted(row["step"] for row in steps) == ["1", "2", "3"]
    messages = await db.connection.fetch("select delivery_id, kind, state, staff_id from delivery where round <= 1")
    assert {row["state"] for row in messages} == {"sent"}
    assert all(any(str(row["delivery_id"]) in each for each in sent) for row in messages)
    assert sorted(Counter(row["kind"] for row in messages if row["kind"] == "alert").values()) == [len(PEOPLE)]
    for client_id in client_ids:
        before = await db.connection.fetch(TREND, db.clinic_id, client_id)
        days = [row["client_day"] for row in before]
        assert days == [days[0] + n * DAY for n in range(len(days))]
        assert days[-1] >= now.date() - 3 * DAY
        await fold.rebuild(db, client_id, now=now)
        again = await db.connection.fetch(TREND, db.clinic_id, client_id)
        assert again[: len(before)] == before


TREND = """
select client_day, status, level, statistic, limit_value, silent_days
from trend
where clinic_id = $1
  and client_id = $2
order by client_day
"""
