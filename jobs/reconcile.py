"""Look each minute whether every promise holds, and say so aloud where one does not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from jobs import metrics
from jobs.runner import Lookout
from jobs.work import Daily, DeploymentJob, Result, Tools
from service import database, invariants, watch
from service.invariants import Broken

log = logging.getLogger(__name__)

# A daily job that should have run so long ago and has not: nobody claims it.
OVERDUE_AFTER = timedelta(minutes=30)
RUN_OVERDUE = "run_overdue"
# A month of days is looked at when a process starts and then so often; in between, the days not done at the last look.
WHOLE_LOOK_EVERY = timedelta(hours=1)


def looking_at(dailies: Sequence[Daily]) -> DeploymentJob:
    """The job of one process, which also watches that these daily jobs run."""
    # A look-out of its own, not that which runs them.
    lookout = Lookout(dailies, whole_look_every=WHOLE_LOOK_EVERY)

    async def run_once(tools: Tools, *, now: datetime) -> Result:
        """Look, log what is broken by its name and clinics, keep it for `/health/deadman` and the metrics."""
        async with database.across_clinics(tools.sweep) as connection:
            found = await invariants.broken(connection, now=now)
            figures = await watch.figures(connection, now=now)
        if late := await lookout.due(tools.sweep, now=now - OVERDUE_AFTER):
            found.append(Broken(RUN_OVERDUE, sorted({slot.clinic_id for slot, _ in late})))
        for each in found:
            clinic_ids = [str(one) for one in each.clinic_ids]
            log.error("invariant_broken", extra={"invariant": each.name, "clinic_ids": clinic_ids})
        counts = {each.name: len(each.clinic_ids) for each in found}
        await watch.keep(tools.pool, counts, now=now)
        metrics.show(figures, counts, now=now)
        return Result(counts)

    return run_once
