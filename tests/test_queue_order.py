"""The law of the offline queue: however it arrives, the same answers are stored and the same trend comes out."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.course import Substance
from schemas.trend import Trend
from service import database, fold, ids, trends
from service.database import Db, Pool
from tests.builders import PhoneRow, a_client, a_clinic, a_form, a_phone

DAYS = 60
MOST_BATCHES = 15


def a_queue(seed: int, now: datetime) -> list[dict[str, object]]:
    """Sixty days of a phone's queue: gaps, several answers a day, moments, partly answered days, a wrong clock."""
    dice = random.Random(seed)
    queue: list[dict[str, object]] = []
    for days_ago in range(DAYS, 0, -1):
        if dice.random() < 0.2:
            continue
        # Noon in Chicago, or an hour off: no jitter below reaches the end of the client day.
        noon = datetime.combine(now.date() - timedelta(days=days_ago), time(18), UTC)
        worse = 4 if days_ago <= 12 else 0
        for kind in ["daily", *dice.choices(["daily", "moment"], k=dice.choice([0, 0, 0, 1, 2]))]:
            craving = {"alcohol": min(10, dice.randint(1, 4) + worse), "cocaine": min(10, dice.randint(0, 3) + worse)}
            if dice.random() < 0.1:
                del craving["cocaine"]
            clock_error = timedelta(days=3) if dice.random() < 0.05 else timedelta(0)
            queue.append(
                a_form(
                    id=str(ids.new()),
                    kind=kind,
                    answered_at=(noon + timedelta(minutes=dice.randint(-300, 300)) + clock_error).isoformat(),
                    sent_at=(now + clock_error).isoformat(),
                    craving=craving,
                    mood=max(0, dice.randint(5, 8) - worse),
                    anxiety=min(10, dice.randint(2, 5) + worse),
                )
            )
    return queue


def arranged(queue: list[dict[str, object]], dice: random.Random) -> list[list[dict[str, object]]]:
    """The queue in another order, with some answers sent again, cut into batches."""
    sent = queue + dice.sample(queue, k=dice.randint(0, min(20, len(queue))))
    dice.shuffle(sent)
    cuts = sorted(dice.sample(range(1, len(sent)), k=dice.randint(1, MOST_BATCHES)))
    batches = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    return [batch[start : start + 100] for batch in batches for start in range(0, len(batch), 100)]


async def a_sender(db: Db, now: datetime) -> PhoneRow:
    started_on = now.date() - timedelta(days=DAYS + 20)
    substances = [Substance.ALCOHOL, Substance.COCAINE]
    return await a_phone(db, await a_client(db, substances=substances, started_on=started_on, now=now), now=now)


STORED = """
select answered_at, kind, client_day, craving, mood, anxiety, time_zone, zone_known
from check_in
where clinic_id = $1
  and client_id = $2
order by answered_at, kind, mood, anxiety, craving
"""


class Outcome(msgspec.Struct):
    """What the clinic ends up with: the stored answers, and the trend."""

    stored: list[dict[str, object]]
    trend: list[Trend]


async def outcome_of(pool: Pool, clinic_id: UUID, phone: PhoneRow) -> Outcome:
    async with database.transaction(pool, clinic_id) as db:
        stored = [dict(record) for record in await db.connection.fetch(STORED, db.clinic_id, phone.client_id)]
        rows = await trends.of(db, phone.client_id, from_day=date(2000, 1, 1), until_day=date(2100, 1, 1))
    return Outcome(stored, rows)


async def sent(
    http: httpx.AsyncClient,
    jobs: Pool,
    clinic_id: UUID,
    phone: PhoneRow,
    batches: list[list[dict[str, object]]],
    *,
    fold_after: set[int],
) -> None:
    """Send the batches; fold after some of them and after the last."""
    for position, batch in enumerate(batches):
        reply = await http.post("/v1/check-ins/batch", json=batch, headers=phone.headers)
        assert reply.status_code == 200, reply.text
        assert {result["status"] for result in reply.json()["results"]} <= {200, 201}
        if position in fold_after or position == len(batches) - 1:
            async with database.transaction(jobs, clinic_id) as db:
                await fold.fold_client(db, phone.client_id, now=datetime.now(UTC))


def with_ids_of_its_own(queue: list[dict[str, object]]) -> list[dict[str, object]]:
    """The same queue of another phone: fresh ids in the same order, since the greater id breaks ties."""
    return [answer | {"id": str(ids.new())} for answer in queue]


async def check_order_does_not_matter(
    http: httpx.AsyncClient, owner: Pool, jobs: Pool, *, queue_seed: int, arrangement: random.Random
) -> None:
    now = datetime.now(UTC)
    slug = f"clinic-{ids.new().hex[-12:]}"
    clinic = await a_clinic(owner, slug=slug, now=now)
    async with database.transaction(owner, clinic.clinic_id) as db:
        orderly, disorderly = await a_sender(db, now), await a_sender(db, now)
    queue = a_queue(queue_seed, now)
    in_order = with_ids_of_its_own(queue)
    in_order_batches = [in_order[start : start + 100] for start in range(0, len(in_order), 100)]
    await sent(http, jobs, clinic.clinic_id, orderly, in_order_batches, fold_after=set())
    batches = arranged(with_ids_of_its_own(queue), arrangement)
    fold_after = {position for position in range(len(batches)) if arrangement.random() < 0.4}
    await sent(http, jobs, clinic.clinic_id, disorderly, batches, fold_after=fold_after)
    expected = await outcome_of(owner, clinic.clinic_id, orderly)
    found = await outcome_of(owner, clinic.clinic_id, disorderly)
    assert found.stored == expected.stored
    assert len(found.stored) == len(queue)
    assert found.trend == expected.trend
    assert any(row.answered for row in found.trend)


ANY_SEED = st.integers(0, 2**32 - 1)


@given(queue_seed=ANY_SEED, arrangement=st.randoms(use_true_random=False))
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
async def test_any_order_duplication_and_batching_of_a_queue_gives_the_same_answers_and_trend(
    http: httpx.AsyncClient, owner_pool: Pool, jobs_pool: Pool, queue_seed: int, arrangement: random.Random
) -> None:
    await check_order_does_not_matter(http, owner_pool, jobs_pool, queue_seed=queue_seed, arrangement=arrangement)


@pytest.mark.slow
@given(queue_seed=ANY_SEED, arrangement=st.randoms(use_true_random=False))
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
async def test_many_disorderly_queues(
    http: httpx.AsyncClient, owner_pool: Pool, jobs_pool: Pool, queue_seed: int, arrangement: random.Random
) -> None:
    await check_order_does_not_matter(http, owner_pool, jobs_pool, queue_seed=queue_seed, arrangement=arrangement)
