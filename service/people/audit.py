"""The audit trail: who read or wrote health data, a row in the same transaction as the deed (so it fails closed)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from service import ids
from service.database import Db


class Actor(msgspec.Struct, frozen=True):
    """Whoever acts: a client's device, a person on the staff, a program, a job, a command, or nobody known."""

    kind: Literal["device", "staff", "service_account", "job", "command", "anonymous"]
    id: UUID | None = None

    @property
    def staff_id(self) -> UUID | None:
        """The person on the staff, by whom a fact is recorded; None for whoever else acts."""
        return self.id if self.kind == "staff" else None


JOB = Actor("job")
COMMAND = Actor("command")
ANONYMOUS = Actor("anonymous")

RECORD = """
insert into audit_event
  (clinic_id, audit_event_id, happened_at, actor_kind, actor_id, action, client_id, object_id, allowed, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def record(
    db: Db,
    actor: Actor,
    action: str,
    *,
    now: datetime,
    client_id: UUID | None = None,
    object_id: UUID | None = None,
    allowed: bool = True,
    reason: str | None = None,
) -> None:
    """Append one row; `action` is a static name such as "check_in.store", never built from input."""
    await db.execute(
        RECORD, db.clinic_id, ids.new(), now, actor.kind, actor.id, action, client_id, object_id, allowed, reason
    )


RECORD_EACH = """
insert into audit_event
  (clinic_id, audit_event_id, happened_at, actor_kind, actor_id, action, client_id, allowed)
select $1, row.audit_event_id, $2, $3, $4, $5, row.client_id, true
from unnest($6::uuid[], $7::uuid[]) as row (audit_event_id, client_id)
"""


async def record_each(db: Db, actor: Actor, action: str, client_ids: Sequence[UUID], *, now: datetime) -> None:
    """Append one row for each of several clients."""
    event_ids = [ids.new() for _ in client_ids]
    await db.execute(RECORD_EACH, db.clinic_id, now, actor.kind, actor.id, action, event_ids, list(client_ids))
