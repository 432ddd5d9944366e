"""What has run out is deleted: it can let nobody in any more, and there is no reason to keep it."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from service.database import Db
from service.people import devices

# A link or a session that ran out says for a while why somebody cannot get in.
KEPT = timedelta(days=7)
# Locks last minutes and tries are forgotten after a day.
THROTTLE_KEPT = timedelta(days=2)
# Longer than the catch-up after downtime looks back.
JOB_RUNS_KEPT = timedelta(days=60)


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of each kind went, and devices revoked because nobody used them."""

    device_nonces: int
    device_tokens: int
    staff_sessions: int
    one_time_links: int
    throttles: int
    job_runs: int
    reminders: int
    browsers: int
    devices_revoked: int


DELETE_NONCES = """
delete from device_nonce
where clinic_id = $1
  and expires_at < $2
"""
DELETE_TOKENS = """
delete from device_token
where clinic_id = $1
  and expires_at < $2
"""
DELETE_SESSIONS = """
delete from staff_session
where clinic_id = $1
  and expires_at < $2
"""
DELETE_LINKS = """
delete from one_time_link
where clinic_id = $1
  and expires_at < $2
"""
DELETE_THROTTLES = """
delete from sign_in_throttle
where clinic_id = $1
  and last_failed_at < $2
  and (locked_until is null or locked_until < $2)
"""
DELETE_JOB_RUNS = """
delete from job_run
where clinic_id = $1
  and local_date < $2
"""

DELETE_REMINDERS = """
delete from reminder
where clinic_id = $1
  and client_day < $2
"""
# Where a phone took messages, while it was connected.
DELETE_BROWSERS = """
delete from phone_push p
using device d
where p.clinic_id = $1
  and d.clinic_id = $1
  and d.device_id = p.device_id
  and d.revoked_at is not null
"""


async def prune(db: Db, *, now: datetime) -> Pruned:
    """Delete what ran out in this clinic, and revoke the devices that nobody used for 90 days."""
    return Pruned(
        devices_revoked=await devices.revoke_unused(db, now=now),
        device_nonces=await db.execute(DELETE_NONCES, db.clinic_id, now),
        device_tokens=await db.execute(DELETE_TOKENS, db.clinic_id, now),
        staff_sessions=await db.execute(DELETE_SESSIONS, db.clinic_id, now - KEPT),
        one_time_links=await db.execute(DELETE_LINKS, db.clinic_id, now - KEPT),
        throttles=await db.execute(DELETE_THROTTLES, db.clinic_id, now - THROTTLE_KEPT),
        job_runs=await db.execute(DELETE_JOB_RUNS, db.clinic_id, (now - JOB_RUNS_KEPT).date()),
        reminders=await db.execute(DELETE_REMINDERS, db.clinic_id, (now - JOB_RUNS_KEPT).date()),
        browsers=await db.execute(DELETE_BROWSERS, db.clinic_id),
    )
