"""Close the client days that are over: silent days enter the trend, and silence becomes a finding."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import msgspec

from jobs.work import Result, Tools
from service import database, day_close, fold

log = logging.getLogger(__name__)


async def run_once(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
    """Make due whoever lacks a closed day, and fold them; whoever cannot be folded stays due for `fold_check_ins`."""
    async with database.transaction(tools.pool, clinic_id) as db:
        client_ids = await day_close.mark_due(db, now=now)
    counts = {"marked": len(client_ids)}
    try:
        folded = await fold.fold_many(tools.pool, clinic_id, client_ids, now=now)
    except Exception:
        # The days are marked: `fold_check_ins` folds whoever can be folded, and says who cannot.
        log.exception("closing_left_to_fold_check_ins", extra={"clinic_id": clinic_id})
        return Result(counts, failed=1)
    return Result(counts | msgspec.structs.asdict(folded))
