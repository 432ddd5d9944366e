"""Whether the master key of the settings is the one under which a deployment was filled.

Whoever runs under another one would seal beside what is stored what nobody opens later, and sign the audit trail so
that it counts as edited. So the first process that starts keeps the root key, sealed under the master key, for all
later ones; where a deployment is older than that row, what is stored in it has to open first.
"""

from __future__ import annotations

from datetime import datetime

from service import database, errors
from service.audit_seals import Signer, head_of, refuse_forged
from service.database import Connection, Db, Pool
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import clients, clinics, staff_addresses, totp, webhook_endpoints

ANOTHER = "NEAP_KEY is not the master key under which this deployment was filled."


# What is sealed under the root key itself: whoever knows how a kind is bound says whether the oldest of it opens. The
# oldest, because later things may have been stored under a wrong key while nobody looked.
SEALED = (clients.oldest_opens, totp.oldest_opens, webhook_endpoints.oldest_opens, staff_addresses.oldest_opens)


async def kept(pool: Pool, master_key: bytes, *, now: datetime) -> Sealer:
    """What seals and opens everything, as a process needs it that stores; from now on no other key will do.

    Raises NotReady where the master key is another one.
    """
    async with database.across_clinics(pool) as connection:
        sealed = await root_key.stored(connection)
    if sealed is None:
        await proved(pool, master_key)
        async with pool.acquire() as connection:
            # Of two first starts at once, one finds the other's.
            sealed = await root_key.keep_first(connection, master_key, now=now)
    return Sealer(root_key.opened(sealed, master_key))


async def proved(pool: Pool, master_key: bytes) -> bool:
    """Whether something stored proved the master key; False where nothing is stored that could.

    Raises NotReady where something that is stored does not open, or was not signed by it.
    """
    async with database.across_clinics(pool) as connection:
        return await proved_within(connection, master_key)


async def proved_within(connection: Connection, master_key: bytes) -> bool:
    """Like `proved`, in a transaction that is open; it may name another clinic afterwards, or none."""
    sealed = await root_key.stored(connection)
    master = Sealer(root_key.opened(sealed, master_key))
    if sealed is not None:
        return True
    for clinic in await clinics.all_clinics(connection):
        await connection.execute(database.naming(clinic.clinic_id))
        if await _proves(Db(connection, clinic.clinic_id), master):
            return True
    return False


async def _proves(db: Db, master: Sealer) -> bool:
    """Whether there was something in the clinic, and the first of it was of this key."""
    try:
        for opens in SEALED:
            if await opens(db, master):
                return True
        signer = Signer(master)
        head = await head_of(db, signer)
        if head is not None:
            refuse_forged(head, signer.public)
    except errors.Invalid as error:
        raise errors.NotReady(ANOTHER) from error
    return head is not None
