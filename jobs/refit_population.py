"""Refit the population to the deployment's own clients; every clinic's rules take it up from the next day on."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from jobs.work import Result, Tools
from service import database
from service.detection.plausible import NoPopulationError
from service.people import clinics
from service.rulebook import refit
from service.rules import populations, rule_sets
from service.rules.populations import Population

log = logging.getLogger(__name__)

REFIT_EVERY = timedelta(days=28)


async def run_once(tools: Tools, *, now: datetime, simulated_clients: int = refit.SIMULATED_CLIENTS) -> Result:
    """Fit one where the newest is old and there are people enough; then give it to the clinics that lack it.

    Killed while fitting it has stored nothing, killed later the clinics that are left take it up at the next run.
    """
    async with database.across_clinics(tools.pool) as connection:
        newest = await populations.newest(connection)
        clinic_ids = [clinic.clinic_id for clinic in await clinics.all_clinics(connection)]
    fitted = 0
    if newest is None or now - newest.created_at >= REFIT_EVERY:
        version = 1 if newest is None else newest.version + 1
        try:
            newest = await refit.fit(
                tools.pool, clinic_ids, version=version, now=now, simulated_clients=simulated_clients
            )
            fitted = int(await _store(tools, newest))
        except NoPopulationError as error:
            # Says how much there is and what is wrong with an estimate, and nothing of anybody's answers.
            log.info("population_not_fitted", extra={"reason": str(error)})
    adopted = 0
    if newest is not None:
        for clinic_id in clinic_ids:
            adopted += await _adopt(tools, clinic_id, newest.version, now=now)
    return Result({"fitted": fitted, "rule_sets": adopted})


async def _store(tools: Tools, made: Population) -> bool:
    async with tools.pool.acquire() as connection:
        return await populations.add(connection, made)


async def _adopt(tools: Tools, clinic_id: UUID, population: int, *, now: datetime) -> bool:
    async with database.transaction(tools.pool, clinic_id) as db:
        return await rule_sets.adopt_population(db, population, now=now)
