"""The population is refitted to a deployment's own clients: what was folded stays, and a kill leaves no half."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID

import numpy as np
import pytest

from jobs import refit_population
from jobs.work import Result, Tools
from schemas.clinic import Clinic
from schemas.course import Substance
from schemas.trend import Trend
from service import database as databases
from service import day_close, detection, fold, ids
from service.alerting.writing import Sending
from service.database import Pool
from service.detection.population import Array, load_shipped
from service.detection.synthetic import Population as MadeUp
from service.detection.synthetic import cohort
from service.facts import courses
from service.people import clients, clinics
from service.rulebook import refit
from service.rules import populations, rule_sets
from tests.builders import INSERT_CHECK_IN, MASTER, NOW
from tests.folding import trend_of

LAST = date(2026, 11, 21)
DAYS = 75
# People who are worse off and more restless than the made-up ones of the shipped rules.
OTHERS = MadeUp(means=(5.5, 5.0, 5.0), log_sd=0.6, missing=(0.05, 0.1), infusion_points=0.0, infusion_sd=0.0)


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool) -> Tools:
    return Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))


async def a_real_clinic(
    owner: Pool, slug: str, *, people: int, seed: int, days: int = DAYS, last: date = LAST
) -> tuple[Clinic, list[UUID]]:
    """A clinic whose clients have answered most of the days up to `last`."""
    made = cohort(seed, people, population=OTHERS, length_days=days).days
    return await a_clinic_that_answered(owner, slug, made.scores, last=last)


async def a_clinic_that_answered(
    owner: Pool, slug: str, scores: Array, *, last: date = LAST
) -> tuple[Clinic, list[UUID]]:
    async with databases.transaction(owner, ids.new()) as db:
        clinic = await clinics.create(db, slug=slug, name=slug, time_zone="America/Chicago", now=NOW)
        client_ids = [await _a_client(db, of_client, last) for of_client in scores]
    return clinic, client_ids


async def _a_client(db: databases.Db, scores: Array, last: date) -> UUID:
    first = last - timedelta(days=len(scores) - 1)
    client_id = await clients.add(
        db, MASTER, given_name="Ines", family_name="Marlow", time_zone="America/Chicago", enrolled_on=first, now=NOW
    )
    await courses.start(db, client_id, [Substance.ALCOHOL], started_on=first, now=NOW)
    rows: list[tuple[object, ...]] = []
    for place, answer in enumerate(scores):
        if not np.isnan(answer).any():
            craving, mood, anxiety = (int(score) for score in answer)
            day, check_in_id = first + timedelta(days=place), ids.new()
            at = datetime.combine(day, time(18), NOW.tzinfo)
            content = (day, {"alcohol": craving}, mood, anxiety, "phone", None, check_in_id.bytes)
            rows.append((db.clinic_id, check_in_id, client_id, at, *content))
    await db.execute_many(INSERT_CHECK_IN, rows)
    return client_id


async def refitted(tools: Tools, *, now: datetime = NOW, simulated_clients: int = 30) -> Result:
    return await refit_population.run_once(tools, now=now, simulated_clients=simulated_clients)


async def versions_of(pool: Pool, clinic: Clinic) -> list[tuple[int, date, int | None]]:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        return [(each.version, each.valid_from, each.rules.population) for each in await rule_sets.of(db)]


async def population_of(pool: Pool) -> populations.Population:
    async with databases.across_clinics(pool) as connection:
        newest = await populations.newest(connection)
    assert newest is not None
    return newest


async def folded(pool: Pool, clinic: Clinic, client_ids: Sequence[UUID], *, now: datetime) -> list[list[Trend]]:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        await day_close.mark_due(db, now=now)
    await fold.fold_many(pool, clinic.clinic_id, client_ids, now=now)
    return [await trend_of(pool, clinic, client_id) for client_id in client_ids]


async def rebuilt(pool: Pool, clinic: Clinic, client_ids: Sequence[UUID], *, now: datetime) -> list[list[Trend]]:
    for client_id in client_ids:
        async with databases.transaction(pool, clinic.clinic_id) as db:
            await fold.rebuild(db, client_id, now=now)
    return [await trend_of(pool, clinic, client_id) for client_id in client_ids]


async def test_a_refit_holds_from_the_next_day_on_and_changes_no_day_before(
    owner_pool: Pool, jobs_pool: Pool, tools: Tools
) -> None:
    here, people = await a_real_clinic(owner_pool, "here", people=30, seed=1)
    there, _ = await a_real_clinic(owner_pool, "there", people=24, seed=2)
    some = people[:3]
    before = await folded(jobs_pool, here, some, now=NOW)

    assert await refitted(tools) == Result({"fitted": 1, "rule_sets": 2})
    # Chicago's 22 November has begun, and so has the 23rd in the east of the world.
    for clinic in (here, there):
        assert await versions_of(owner_pool, clinic) == [(1, date(1900, 1, 1), None), (2, date(2026, 11, 24), 1)]
    made = await population_of(jobs_pool)
    assert (made.clients, made.client_days) == (54, 54 * DAYS)
    prior = made.rules.rules.prior
    assert prior.mean[:3] == pytest.approx(OTHERS.means, abs=0.6)
    assert prior.log_sd == pytest.approx([OTHERS.log_sd] * 3, abs=0.15)
    assert list(made.rules.limits) == sorted(made.rules.limits)

    assert await refitted(tools) == Result({"fitted": 0, "rule_sets": 0})
    assert await refitted(tools, now=NOW + timedelta(days=27)) == Result({"fitted": 0, "rule_sets": 0})
    assert await rebuilt(jobs_pool, here, some, now=NOW) == before

    later = NOW + timedelta(days=5)
    after = await folded(jobs_pool, here, some, now=later)
    for days, old in zip(after, before, strict=True):
        assert days[: len(old)] == old
        assert {day.rule_set_version for day in old} == {1}
        assert [day.rule_set_version for day in days if day.client_day >= date(2026, 11, 24)] == [2, 2, 2]
    assert await rebuilt(jobs_pool, here, some, now=later) == after

    _, newcomers = await a_real_clinic(owner_pool, "late", people=1, seed=3)
    assert len(newcomers) == 1
    assert await refitted(tools, now=later) == Result({"fitted": 0, "rule_sets": 1})


async def a_population(pool: Pool) -> None:
    """The state after a kill between storing a population and giving it to the clinics."""
    shipped = load_shipped()
    async with pool.acquire() as connection:
        made = populations.Population(version=1, rules=shipped, clients=60, client_days=4_000, created_at=NOW)
        assert await populations.add(connection, made)
        assert not await populations.add(connection, made)


async def test_what_a_kill_left_out_is_made_up_for_by_the_next_run(
    owner_pool: Pool, jobs_pool: Pool, tools: Tools
) -> None:
    first, _ = await a_real_clinic(owner_pool, "first", people=1, seed=1, days=5)
    second, _ = await a_real_clinic(owner_pool, "second", people=1, seed=2, days=5)
    await a_population(jobs_pool)
    async with databases.transaction(jobs_pool, first.clinic_id) as db:
        assert await rule_sets.adopt_population(db, 1, now=NOW)
    tomorrow = NOW + timedelta(days=1)
    assert await refitted(tools, now=tomorrow) == Result({"fitted": 0, "rule_sets": 1})
    assert [each[1] for each in await versions_of(owner_pool, first)] == [date(1900, 1, 1), date(2026, 11, 24)]
    assert [each[1] for each in await versions_of(owner_pool, second)] == [date(1900, 1, 1), date(2026, 11, 25)]


async def test_the_clinic_s_budget_stays_when_its_population_changes(
    owner_pool: Pool, jobs_pool: Pool, tools: Tools
) -> None:
    clinic, _ = await a_real_clinic(owner_pool, "here", people=1, seed=1, days=5)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        chosen = rule_sets.Choices(budget_days=90)
        new = rule_sets.NewVersion(rules=chosen, valid_from=date(2026, 11, 1), created_by=None)
        assert await rule_sets.add(db, 2, new, now=NOW)
    await a_population(jobs_pool)
    await refitted(tools)
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        every = await rule_sets.ready(db, await rule_sets.of(db), from_day=date(2026, 11, 20))
    newest = rule_sets.on(every, date(2026, 12, 1))
    assert (newest.version, newest.rules) == (3, rule_sets.Choices(budget_days=90, population=1))
    assert rule_sets.detector(newest, newest.rules.budget_days) == detection.shipped_rules(90)


async def test_too_few_people_are_left_alone_and_fictional_ones_too(owner_pool: Pool, tools: Tools) -> None:
    clinic, _ = await a_real_clinic(owner_pool, "few", people=49, seed=4, days=70)
    fictional, _ = await a_real_clinic(owner_pool, "made-up", people=5, seed=5, days=70)
    async with databases.transaction(owner_pool, fictional.clinic_id) as db:
        await db.execute("update clinic_setting set fictional = true where clinic_id = $1", db.clinic_id)
    assert await refitted(tools) == Result({"fitted": 0, "rule_sets": 0})
    assert len(await versions_of(owner_pool, clinic)) == 1


async def test_who_answered_years_ago_does_not_make_up_for_few_people_now(
    owner_pool: Pool, jobs_pool: Pool, tools: Tools
) -> None:
    await a_real_clinic(owner_pool, "past", people=52, seed=1, last=LAST - timedelta(days=800))
    await a_real_clinic(owner_pool, "now", people=3, seed=2, days=40)
    assert await refitted(tools) == Result({"fitted": 0, "rule_sets": 0})
    async with databases.across_clinics(jobs_pool) as connection:
        assert await populations.newest(connection) is None


async def test_a_deployment_where_nobody_has_answered_yet_is_left_alone(owner_pool: Pool, tools: Tools) -> None:
    await a_clinic_that_answered(owner_pool, "new", np.full((2, 5, 3), np.nan))
    assert await refitted(tools) == Result({"fitted": 0, "rule_sets": 0})


def alike(scores: Array) -> Array:
    return np.where(np.isnan(scores), np.nan, 4.0)


def alike_in_each(scores: Array) -> Array:
    return np.where(np.isnan(scores), np.nan, np.arange(len(scores))[:, None, None] % 11)


def copies(scores: Array) -> Array:
    """Who writes the same number backwards."""
    return np.stack([scores[:, :, 0], scores[:, :, 1], 10 - scores[:, :, 1]], axis=2)


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        (alike, "everybody always answers alike"),
        (alike_in_each, "most people hardly vary from day to day, or one item follows from another"),
        (copies, "most people hardly vary from day to day, or one item follows from another"),
    ],
)
async def test_answers_that_give_no_population_are_said_and_nothing_is_stored(
    owner_pool: Pool,
    jobs_pool: Pool,
    tools: Tools,
    caplog: pytest.LogCaptureFixture,
    answered: Callable[[Array], Array],
    reason: str,
) -> None:
    made = cohort(1, 54, population=OTHERS, length_days=DAYS).days
    clinic, _ = await a_clinic_that_answered(owner_pool, "here", answered(made.scores))
    with caplog.at_level(logging.INFO, logger="jobs.refit_population"):
        assert await refitted(tools) == Result({"fitted": 0, "rule_sets": 0})
    assert [(each.getMessage(), vars(each)["reason"]) for each in caplog.records] == [("population_not_fitted", reason)]
    async with databases.across_clinics(jobs_pool) as connection:
        assert await populations.newest(connection) is None
    assert len(await versions_of(owner_pool, clinic)) == 1


@pytest.mark.slow
async def test_an_item_that_everybody_answers_alike_is_kept_as_it_was_known(
    owner_pool: Pool, jobs_pool: Pool, tools: Tools
) -> None:
    scores = cohort(1, 54, population=OTHERS, length_days=DAYS).days.scores
    scores[:, :, 0] = np.where(np.isnan(scores[:, :, 0]), np.nan, 0)
    # Somebody's slip of the finger is not what varies among people.
    scores[0, 3, 0] = 9
    await a_clinic_that_answered(owner_pool, "here", scores)
    assert (await refitted(tools)).counts["fitted"] == 1
    known, made = load_shipped().rules.prior, (await population_of(jobs_pool)).rules.rules.prior
    assert (made.mean[0], made.log_sd[0]) == (known.mean[0], known.log_sd[0])
    assert made.cov[0][0] == pytest.approx(known.cov[0][0], rel=0.5)
    assert made.mean[1] == pytest.approx(OTHERS.means[1], abs=0.6)


@pytest.mark.slow
async def test_a_refit_that_breaks_off_at_its_last_step_has_stored_nothing(
    owner_pool: Pool, jobs_pool: Pool, tools: Tools
) -> None:
    clinic, _ = await a_real_clinic(owner_pool, "here", people=52, seed=6)
    with pytest.raises(refit.SimulationEndedError):
        await refitted(tools, simulated_clients=-1)
    async with databases.across_clinics(jobs_pool) as connection:
        assert await populations.newest(connection) is None
    assert len(await versions_of(owner_pool, clinic)) == 1
    assert (await refitted(tools)).counts["fitted"] == 1
