"""Whether the master key of the settings is the one under which a deployment was filled.

Whoever runs under another one would seal beside what is stored what nobody opens later, and sign the audit trail so
that it counts as edited. So the first process that starts keeps the root key, sealed under the master key, for all
later ones; where a deployment is older than that row, what is stored in it has to open first.
"""

from __future__ import annotations

from datetime import datetime

from service import database, errors
from service.audit_seals import Signer, head_of, refuse_forged
from service.database import Db, Pool
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import clients, clinics, totp

ANOTHER = "NEAP_KEY is not the master key under which this deployment was filled."


async def kept(pool: Pool, master_key: bytes, *, now: datetime) -> Sealer:
    """What seals and opens everything, as a process needs it that stores; from now on no other key will do.

    Raises NotReady where the master key is another one.
    """
    await proved(pool, master_key)
    async with pool.acquire() as connection:
        await root_key.keep_first(connection, master_key, now=now)
        # Of two first starts at once, one finds the other's.
        return await root_key.sealer(connection, master_key)


async def proved(pool: Pool, master_key: bytes) -> bool:
    """Whether something stored proved the master key; False where nothing is stored that could.

    Raises NotReady where something that is stored does not open, or was not signed by it.
    """
    async with database.across_clinics(pool) as connection:
        sealed = await root_key.stored(connection)
        master = Sealer(root_key.opened(sealed, master_key))
        every = [] if sealed else await clinics.all_clinics(connection)
    for clinic in every:
        async with database.transaction(pool, clinic.clinic_id) as db:
            if await _proves(db, master):
                return True
    return sealed is not None


async def _proves(db: Db, master: Sealer) -> bool:
    """Whether there was something in the clinic, and it was of this key. The oldest first: later things may have been
    stored under a wrong one while nobody looked."""
    try:
        if await clients.oldest_key_opens(db, master) or await totp.oldest_secret_opens(db, master):
            return True
        signer = Signer(master)
        head = await head_of(db, signer)
        if head is not None:
            refuse_forged(head, signer.public)
    except errors.Invalid as error:
        raise errors.NotReady(ANOTHER) from error
    return head is not None
