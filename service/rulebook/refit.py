"""Fitting the population to the deployment's own clients: clinic by clinic, and only sums leave one.

What is learned from answers is added up clinic by clinic (`detection/sums.py`); the limits come from simulating people
like them, checked on the clinics' own stable days, added up likewise.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection as Pipe
from typing import Protocol, Self, TypeVar
from uuid import UUID

import msgspec
import numpy as np

from service import database
from service.database import Pool
from service.detection import Days, Rules, Shipped, plausible, sums
from service.detection.calibrate import BUDGETS_DAYS, SIMULATION_ALERTS, find_limit
from service.detection.estimate import Told
from service.detection.plausible import NoPopulationError
from service.detection.population import load_shipped
from service.detection.replay import gather
from service.detection.sums import Answered, Guess, Held, Likelihoods
from service.detection.synthetic import Population as MadeUp
from service.detection.synthetic import cohort, drawn_like
from service.fold import history
from service.people import clinics
from service.rules.populations import Population

LEAST_CLIENTS = 50
PASSES = 10
SIMULATED_CLIENTS = 800
SIMULATED_DAYS = 150
BUDGET_DAYS = 60.0
# Of the clients of a clinic, the first so many batches say enough about tails and false alerts.
BATCHES_FOLDED = 4

COMMAND = "python -m jobs run refit_population"
MISSED_SPREAD = 1.4
MOST_MISSED = 0.95
NICE = 10


class SimulationEndedError(Exception):
    """The process that simulates died before it had a result; what it said is in the log."""


class Summable(Protocol):
    """What may be added up over people."""

    def __add__(self, other: Self, /) -> Self: ...


S = TypeVar("S", bound=Summable)


async def fit(
    pool: Pool, clinic_ids: Sequence[UUID], *, version: int, now: datetime, simulated_clients: int = SIMULATED_CLIENTS
) -> Population:
    """The population of all clinics but fictional ones.

    Takes minutes of one processor; `version` names it, and is the seed of the simulation. Raises NoPopulationError
    where it would rest on too few people who answered much, or their answers give none.
    """
    real = []
    for clinic_id in clinic_ids:
        async with database.transaction(pool, clinic_id) as db:
            if not (await clinics.get_setting(db)).fictional:
                real.append(clinic_id)
    with plausible.estimating():
        made = await _made(_Gathering(pool, real, now), version=version, now=now, simulated_clients=simulated_clients)
    plausible.check(made.rules)
    return made


async def _made(gathering: _Gathering, *, version: int, now: datetime, simulated_clients: int) -> Population:
    there = await _answered(gathering)
    rules, clients = await _fitted(gathering, there.told(), version)
    limits = await _simulated(rules, seed=version, clients=simulated_clients)
    shift = await _shift(gathering, msgspec.structs.replace(rules, limit=limits[BUDGETS_DAYS.index(BUDGET_DAYS)]))
    limits = tuple(round(limit + shift, 4) for limit in limits)
    rules = msgspec.structs.replace(rules, limit=limits[BUDGETS_DAYS.index(BUDGET_DAYS)])
    return Population(
        version=version,
        rules=Shipped(budgets_days=BUDGETS_DAYS, limits=limits, rules=rules),
        clients=clients,
        client_days=there.days,
        created_at=now,
    )


def _too_few(people: int) -> NoPopulationError:
    who = "1 person" if people == 1 else f"{people} people"
    return NoPopulationError(
        f"{who} answered on {sums.MANY_ANSWERED_DAYS} days of the last year; it takes {LEAST_CLIENTS}"
    )


class _Gathering:
    """Adds up what each clinic's people say, one clinic a transaction."""

    def __init__(self, pool: Pool, clinic_ids: Sequence[UUID], now: datetime) -> None:
        self._pool = pool
        self._clinic_ids = clinic_ids
        self._now = now
        self.left_out: tuple[int, ...] = ()
        """The items that are read as if nobody had been asked them."""

    async def sum(self, of: Callable[[Days], S], *, most_batches: int | None = None) -> S | None:
        """The sum of `of` over all batches of people, None where there is nobody."""
        total: S | None = None
        for clinic_id in self._clinic_ids:
            async with database.transaction(self._pool, clinic_id) as db:
                batches = await history.read(db, now=self._now)
            for batch in batches[:most_batches]:
                # In a thread, because the loop has urgent messages to send meanwhile.
                part = await asyncio.to_thread(of, batch.without(self.left_out))
                total = part if total is None else total + part
        return total


async def _answered(gathering: _Gathering) -> Answered:
    """How much there is, without the items that say nothing, which are left out from here on."""
    there = await gathering.sum(Answered.of)
    if there is None or not there.answered:
        raise _too_few(0)
    if there.flat:
        gathering.left_out = there.flat
        there = await gathering.sum(Answered.of)
    if there is None or not there.answered:
        raise NoPopulationError("everybody always answers alike")
    return there


async def _fitted(gathering: _Gathering, told: Told, version: int) -> tuple[Rules, int]:
    """The rules with the people's population, missed days and noise, and how many people they are."""
    known = load_shipped().at(BUDGET_DAYS)
    guess, total = Guess.first(known, told), None
    for _ in range(PASSES):
        total = await gathering.sum(partial(sums.sums_of, guess=guess, told=told))
        # Counted in what was read and not left out: who answered years ago says nothing about today's people.
        if total is None or total.well_known < LEAST_CLIENTS:
            raise _too_few(0 if total is None else int(total.well_known))
        guess = sums.next_guess(total, guess)
    assert total is not None, "there was a pass"
    prior, missingness = sums.population_of(total, guess, told, known)
    rules = msgspec.structs.replace(
        known,
        version=f"population-{version}",
        seed=version,
        command=COMMAND,
        numpy=np.__version__,
        prior=prior,
        missingness=missingness,
    )
    likely = await gathering.sum(partial(Likelihoods.of, rules=rules), most_batches=BATCHES_FOLDED)
    assert likely is not None, "there are people"
    return msgspec.structs.replace(rules, noise=likely.likeliest()), int(total.people)


async def _shift(gathering: _Gathering, rules: Rules) -> float:
    """By how much the clinics' own stable days move the limit, as far as there are enough of them."""
    held = await gathering.sum(partial(Held.of, rules=rules), most_batches=BATCHES_FOLDED)
    if held is None:
        return 0.0
    share = held.watched_days / (held.watched_days + SIMULATION_ALERTS * rules.budget_days)
    return share * held.shift(rules.budget_days)


async def _simulated(rules: Rules, *, seed: int, clients: int) -> tuple[float, ...]:
    """The limits for the grid of budgets, found in a process of its own, which a cancelled refit takes with it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_simulate, args=(theirs, rules, seed, clients), daemon=True)
    worker.start()
    theirs.close()
    try:
        # Waits in a thread; what comes is a tuple of as many numbers as there are budgets, or why there is none.
        found = msgspec.convert(await asyncio.to_thread(ours.recv), tuple[float, ...] | str)
    except EOFError as error:
        raise SimulationEndedError from error
    finally:
        worker.kill()
        worker.join()
    if isinstance(found, str):
        raise NoPopulationError(found)
    return found


def _simulate(out: Pipe, rules: Rules, seed: int, clients: int) -> None:
    os.nice(NICE)
    try:
        with plausible.estimating():
            out.send(simulated_limits(rules, seed=seed, clients=clients))
    except NoPopulationError as error:
        out.send(str(error))


def simulated_limits(rules: Rules, *, seed: int, clients: int) -> tuple[float, ...]:
    """The limits at which made-up people of this population give the false alerts of each budget of the grid."""
    missed = rules.missingness.share
    like = MadeUp(missing=(missed / MISSED_SPREAD, min(missed * MISSED_SPREAD, MOST_MISSED)))
    days = cohort(seed, clients, population=like, length_days=SIMULATED_DAYS).days
    stable = gather(drawn_like(days, rules, seed, clients), rules)
    limits: list[float] = []
    for budget_days in BUDGETS_DAYS:
        guess = round(rules.limit + math.log(budget_days / rules.budget_days), 4)
        rules = msgspec.structs.replace(rules, budget_days=budget_days, limit=guess)
        rules = msgspec.structs.replace(rules, limit=find_limit(rules, stable))
        limits.append(rules.limit)
    return tuple(np.maximum.accumulate(limits).tolist())
