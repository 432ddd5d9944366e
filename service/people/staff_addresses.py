"""Where a person is reached beside their e-mail: browsers that take push messages, and what further channels need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.alert import Channel
from service import errors, ids
from service.database import Db
from service.keys.sealing import Sealer

MOST = 10


class StaffAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One address, sealed; `label` is what its owner knows it by."""

    staff_address_id: UUID
    staff_id: UUID
    channel: Channel
    label: str
    address_sealed: bytes
    created_at: datetime


COUNT = """
select count(*)
from staff_address
where clinic_id = $1
  and staff_id = $2
  and ended_at is null
"""
SAME = """
select staff_address_id, staff_id, channel, label, address_sealed, created_at
from staff_address
where clinic_id = $1
  and channel = $2
  and address_hash = $3
  and ended_at is null
for no key update
"""
INSERT = """
insert into staff_address (
  clinic_id, staff_address_id, staff_id, channel, label, address_sealed, address_hash, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (clinic_id, channel, address_hash) where ended_at is null do nothing
"""


async def add(
    db: Db, master: Sealer, staff_id: UUID, channel: Channel, address: str, *, known_by: str, label: str, now: datetime
) -> tuple[UUID, bool]:
    """Reach the person there, too; the address's id, and whether it is new.

    `known_by` says whether two addresses are one (a browser's push endpoint). One that was somebody else's is theirs no
    more: whoever signed in last at a shared machine has it. Raises Conflict beyond ten, or where two take it at once.
    """
    digest = master.keyed_hash(f"{db.clinic_id}:{channel}:{known_by}".encode(), purpose="staff_address")
    held = await db.find(StaffAddress, SAME, db.clinic_id, channel, digest)
    if held is not None and held.staff_id == staff_id and _opened(held, master, db.clinic_id) == address:
        return held.staff_address_id, False
    if held is not None:
        await end(db, held.staff_address_id, why="taken over", now=now)
    count = await db.value(COUNT, db.clinic_id, staff_id)
    if isinstance(count, int) and count >= MOST:
        raise errors.Conflict(f"There are {MOST} already: end one first.")
    address_id = ids.new()
    sealed = master.seal(address.encode(), bound_to=_binding(db.clinic_id, address_id))
    args = (db.clinic_id, address_id, staff_id, channel, label, sealed, digest, now)
    if await db.execute(INSERT, *args) == 0:
        raise errors.Conflict("Somebody takes this address right now. Try again.")
    return address_id, True


OF = """
select staff_address_id, staff_id, channel, label, address_sealed, created_at
from staff_address
where clinic_id = $1
  and staff_id = any ($2::uuid[])
  and ended_at is null
order by created_at, staff_address_id
"""


async def of(db: Db, staff_ids: Sequence[UUID]) -> list[StaffAddress]:
    """Every address of some people that has not ended."""
    return await db.rows(StaffAddress, OF, db.clinic_id, list(staff_ids))


OLDEST = """
select staff_address_id, address_sealed
from staff_address
where clinic_id = $1
  and ended_at is null
order by staff_address_id
limit 1
"""


async def oldest_opens(db: Db, master: Sealer) -> bool:
    """Whether there is an address that opens (ids are in the order of time). Raises Invalid where it does not."""
    found = await db.connection.fetchrow(OLDEST, db.clinic_id)
    if found is None:
        return False
    master.open(found["address_sealed"], bound_to=_binding(db.clinic_id, found["staff_address_id"]))
    return True


def _opened(address: StaffAddress, master: Sealer, clinic_id: UUID) -> str:
    """The address in the clear. Raises Invalid where another deployment's key sealed it."""
    return master.open(address.address_sealed, bound_to=_binding(clinic_id, address.staff_address_id)).decode()


async def opened(db: Db, master: Sealer, staff_id: UUID, channel: Channel) -> list[tuple[UUID, str]]:
    """A person's addresses of one channel in the clear, each with its id. Raises Invalid like `Sealer.open`."""
    return [
        (each.staff_address_id, _opened(each, master, db.clinic_id))
        for each in await of(db, [staff_id])
        if each.channel is channel
    ]


def _binding(clinic_id: UUID, address_id: UUID) -> str:
    return f"staff_address:{clinic_id}:{address_id}:address"


END = """
update staff_address
set ended_at = $3,
    ended_why = $4
where clinic_id = $1
  and staff_address_id = $2
  and ended_at is null
"""


async def end(db: Db, address_id: UUID, *, why: str, now: datetime) -> None:
    """Send nothing there any more; one that has ended keeps its reason."""
    await db.execute(END, db.clinic_id, address_id, now, why)


END_OWN = """
update staff_address
set ended_at = $4,
    ended_why = 'by its owner'
where clinic_id = $1
  and staff_address_id = $2
  and staff_id = $3
  and ended_at is null
"""


async def end_own(db: Db, address_id: UUID, *, staff_id: UUID, now: datetime) -> None:
    """The person ends one of their own. Raises NotFound."""
    if await db.execute(END_OWN, db.clinic_id, address_id, staff_id, now) == 0:
        raise errors.NotFound("Not found.")
