"""Seal the audit trail of each clinic: what stands there now can't be changed unseen any more."""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import audit_seals, database
from service.audit_seals import Signer

# `service/invariants/work.py` says by words of its own what must not stay unsealed: a fault here is noticed there.
CLINICS_WITH_WORK = """
select c.clinic_id
from clinic c
where exists (
  select
  from audit_event e
  where e.clinic_id = c.clinic_id
    and e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    and e.moved = 0
    and e.transaction_id >= coalesce((
      select case when s.moved = 0 then s.until_transaction end
      from audit_seal s
      where s.clinic_id = c.clinic_id
      order by s.number desc
      limit 1
    ), '0')
)
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Close one block in each clinic that has rows to close."""
    signer = Signer(tools.sending.master)
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK)]
    return await in_each_clinic(
        tools, clinic_ids, lambda db: audit_seals.seal_next(db, signer, now=now), counted="sealed"
    )
