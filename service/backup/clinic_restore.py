"""A clinic out of its archive into a deployment that does not have it: every row as it was archived, or none.

What would do something by itself then is laid to rest: messages that waited were another deployment's to send, and who
was signed in there is not signed in here. Phones and programs go on with what they hold.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from service import audit_seals, key_proof
from service.audit_seals import Signer
from service.backup import clinic_tables
from service.backup.clinic_archive import Manifest
from service.backup.clinic_tables import Table
from service.database import Connection, Db
from service.errors import Conflict, Invalid
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import audit
from service.storage import schema

Tell = Callable[[str], object]
NOT_SENT = "waited when the clinic was archived"


class Laid(msgspec.Struct, frozen=True, kw_only=True):
    """What was laid to rest, and how many open alerts nobody had taken on."""

    messages: int
    open_alerts: int


def refuse_other_schema(manifest: Manifest) -> None:
    """Raises Invalid where the archive was written by a program of another schema."""
    if manifest.migrations != schema.versions():
        newest = max(manifest.migrations, default="none")
        raise Invalid(
            f"The archive's schema is that of {newest}, this program's that of {max(schema.versions())}: "
            "restore it with the program that wrote it, and update then."
        )


HAS_CLINIC = """
select slug
from clinic
where clinic_id = $1
  or slug = $2
"""


async def refuse_what_is_here(connection: Connection, manifest: Manifest) -> None:
    """Raises Conflict where the deployment has this clinic already, or another one of its name."""
    found = await connection.fetchval(HAS_CLINIC, manifest.clinic_id, manifest.slug)
    if found is not None:
        raise Conflict(f"The clinic {found} is here already; nothing was changed.")


IN_USE = """
select exists (select from clinic) as by_clinics, exists (
  select
  from pg_stat_activity
  where datname = current_database()
    and usename in ('neap_web', 'neap_jobs', 'neap_sweep')
) as by_processes
"""


async def take_root_key(connection: Connection, root: bytes, master_key: bytes, *, now: datetime) -> None:
    """Have the archive's root key in force here: it is already, or nothing rests on another one yet.

    Raises Conflict otherwise, NotReady where the master key is not the one under which this deployment was filled.
    """
    await key_proof.proved_within(connection, master_key)
    if root_key.opened(await root_key.stored(connection), master_key) == root:
        return
    used = await connection.fetchrow(IN_USE)
    assert used is not None
    if used["by_clinics"]:
        raise Conflict(
            "This deployment's clinics are under another root key than the archive: "
            "restore it into a deployment of its own."
        )
    if used["by_processes"]:
        raise Conflict("Stop web and jobs first: the archive brings another root key than theirs.")
    await root_key.adopt(connection, root, master_key, now=now)


async def load(db: Db, folder: Path, manifest: Manifest, root: Sealer, *, now: datetime, tell: Tell) -> Laid:
    """Store every row of a checked archive, hold what is stored against it, and let the clinic go on here.

    Raises Invalid where a table is not, byte for byte, what was archived; the caller's transaction ends then.
    """
    tables = {each.name: each for each in await clinic_tables.every(db.connection)}
    if different := set(tables) ^ set(manifest.tables):
        raise Invalid(f"The archive and this deployment do not have the same tables: {min(different)}.")
    await clinic_tables.same_formats(db.connection)
    for table in await clinic_tables.in_order_of_need(db.connection, tables):
        await _copy_in(db, table, folder / f"{table.name}.csv")
        tell(table.name)
    for table in tables.values():
        if await clinic_tables.copy_out(db, table, len) != manifest.tables[table.name]:
            raise Invalid(f"{table.name} did not come back as it was archived; nothing was stored.")
    laid = await _lay_to_rest(db, now=now)
    await audit_seals.rebase(db, Signer(root), now=now)
    await audit.record(db, audit.COMMAND, "clinic.restore", object_id=db.clinic_id, now=now)
    return laid


async def _copy_in(db: Db, table: Table, file: Path) -> None:
    # COPY does not write into a table under row-level security; an INSERT does, and the policy looks at every row.
    # What is there already can be a population only: `load` then finds whether it is the same.
    arriving = "pg_temp.arriving"
    await db.connection.execute(f"create temporary table arriving (like public.{table.quoted}) on commit drop")
    with file.open("rb") as octets:
        columns = octets.readline().decode().rstrip("\n").split(",")
        await db.connection.copy_to_table(
            "arriving", schema_name="pg_temp", source=octets, columns=columns, format="csv"
        )
    onto = "on conflict do nothing" if table == clinic_tables.POPULATIONS else ""
    await db.connection.execute(f"insert into public.{table.quoted} select * from {arriving} {onto}")  # noqa: S608
    await db.connection.execute(f"drop table {arriving}")


HOLD_MESSAGES = """
update delivery
set state = 'blocked',
    problem = $2,
    settled_at = $3,
    leased_until = null
where clinic_id = $1
  and state in ('queued', 'failed')
"""
# A printed code or a link may have been used after the archive was written.
VOID_CODES = """
update enrolment_code
set voided_at = $2
where clinic_id = $1
  and used_at is null
  and voided_at is null
"""
FORGET = """
with session as (
  delete from staff_session
  where clinic_id = $1
), link as (
  delete from one_time_link
  where clinic_id = $1
)
delete from device_nonce
where clinic_id = $1
"""
OPEN_ALERTS = """
select count(*)
from alert
where clinic_id = $1
  and state in ('open', 'dispatched')
  and tier <= 2
  and origin = 'live'
"""


async def _lay_to_rest(db: Db, *, now: datetime) -> Laid:
    messages = await db.execute(HOLD_MESSAGES, db.clinic_id, NOT_SENT, now)
    await db.execute(VOID_CODES, db.clinic_id, now)
    await db.execute(FORGET, db.clinic_id)
    open_alerts = await db.value(OPEN_ALERTS, db.clinic_id)
    assert isinstance(open_alerts, int)
    return Laid(messages=messages, open_alerts=open_alerts)
