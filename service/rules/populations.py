"""Populations fitted to the deployment's own clients: versions that are added and never changed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from service.database import Connection, Db
from service.detection import Shipped


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """One version: the rules over the grid of budgets, and from how many people and days they come."""

    version: int
    rules: Shipped
    clients: int
    client_days: int
    created_at: datetime


NEWEST = """
select version, rules, clients, client_days, created_at
from population_prior
order by version desc
limit 1
"""


async def newest(connection: Connection) -> Population | None:
    """The newest version, None while there is none."""
    record = await connection.fetchrow(NEWEST)
    return None if record is None else msgspec.convert(record, Population)


OF_VERSIONS = """
select version, rules, clients, client_days, created_at
from population_prior
where version = any ($1::integer[])
"""


async def of_versions(db: Db, versions: Collection[int]) -> dict[int, Shipped]:
    """The rules of these versions."""
    rows = await db.rows(Population, OF_VERSIONS, sorted(versions)) if versions else []
    return {row.version: row.rules for row in rows}


INSERT = """
insert into population_prior (version, rules, clients, client_days, created_at)
values ($1, $2, $3, $4, $5)
on conflict on constraint population_prior_pkey do nothing
"""


async def add(connection: Connection, population: Population) -> bool:
    """Store a version; False where another process has just stored it."""
    status: str = await connection.execute(
        INSERT,
        population.version,
        msgspec.to_builtins(population.rules),
        population.clients,
        population.client_days,
        population.created_at,
    )
    return status.endswith(" 1")
