"""Tell whoever can be told by now of the alerts that could reach nobody: somebody was enabled or joined a care team.

And on its next channel what went out a while ago and was shown nowhere.
"""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import database
from service.alerting import channels, deliveries
from service.database import Db

CLINICS_WITH_WORK = """
select clinic_id
from alert
where state in ('open', 'dispatched')
group by clinic_id
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Queue messages for what nobody was told of in any clinic."""
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK)]

    async def step(db: Db) -> int:
        return await deliveries.plan_untold(db, now=now) + await channels.plan_unseen(db, now=now)

    return await in_each_clinic(tools, clinic_ids, step, counted="planned")
