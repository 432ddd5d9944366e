"""Webhook endpoints of a clinic: where alerts are announced, and the sealed secret that signs what goes there."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from service import errors, ids
from service.database import Db
from service.keys.sealing import Sealer

# The specification asks for 24 to 64 bytes.
SECRET_BYTES = 32
# So long a secret that was replaced signs beside the new one.
OVERLAP = timedelta(hours=24)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as its table holds it; `outside`: it belongs to somebody outside the clinic."""

    webhook_endpoint_id: UUID
    url: str
    secret_sealed: bytes
    previous_secret_sealed: bytes | None
    previous_until: datetime | None
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None
    outside: bool


INSERT = """
insert into webhook_endpoint (clinic_id, webhook_endpoint_id, url, secret_sealed, created_at, outside)
values ($1, $2, $3, $4, $5, $6)
"""


async def add(db: Db, master: Sealer, url: str, *, outside: bool = False, now: datetime) -> tuple[UUID, bytes]:
    """Announce the clinic's alerts at `url`; its id, and the secret with which the receiver verifies.

    One `outside` the clinic is told only of clients who consented.
    """
    endpoint_id, secret = ids.new(), secrets.token_bytes(SECRET_BYTES)
    sealed = master.seal(secret, bound_to=_binding(db.clinic_id, endpoint_id))
    await db.execute(INSERT, db.clinic_id, endpoint_id, url, sealed, now, outside)
    return endpoint_id, secret


OF_CLINIC = """
select webhook_endpoint_id, url, secret_sealed, previous_secret_sealed, previous_until, created_at, disabled_at,
  disabled_why, outside
from webhook_endpoint
where clinic_id = $1
order by created_at, webhook_endpoint_id
"""


async def of(db: Db) -> list[Endpoint]:
    """Every endpoint of the clinic."""
    return await db.rows(Endpoint, OF_CLINIC, db.clinic_id)


GET = """
select webhook_endpoint_id, url, secret_sealed, previous_secret_sealed, previous_until, created_at, disabled_at,
  disabled_why, outside
from webhook_endpoint
where clinic_id = $1
  and webhook_endpoint_id = $2
"""


async def get(db: Db, endpoint_id: UUID) -> Endpoint:
    """One endpoint. Raises NotFound."""
    return await db.get(Endpoint, GET, db.clinic_id, endpoint_id)


def secret_of(endpoint: Endpoint, master: Sealer, *, clinic_id: UUID) -> bytes:
    """The secret that signs what goes to the endpoint. Raises Invalid where another deployment's key sealed it."""
    return master.open(endpoint.secret_sealed, bound_to=_binding(clinic_id, endpoint.webhook_endpoint_id))


def secrets_of(endpoint: Endpoint, master: Sealer, *, clinic_id: UUID, now: datetime) -> tuple[bytes, ...]:
    """Every secret that signs now, the newest first: two while one takes the other's place. Raises like `secret_of`."""
    newest = secret_of(endpoint, master, clinic_id=clinic_id)
    if endpoint.previous_secret_sealed is None or endpoint.previous_until is None or endpoint.previous_until <= now:
        return (newest,)
    bound_to = _binding(clinic_id, endpoint.webhook_endpoint_id)
    return newest, master.open(endpoint.previous_secret_sealed, bound_to=bound_to)


OLDEST = """
select webhook_endpoint_id, secret_sealed
from webhook_endpoint
where clinic_id = $1
order by webhook_endpoint_id
limit 1
"""


async def oldest_opens(db: Db, master: Sealer) -> bool:
    """Whether there is an endpoint whose secret opens (ids are in the order of time). Raises Invalid where it does
    not."""
    found = await db.connection.fetchrow(OLDEST, db.clinic_id)
    if found is None:
        return False
    master.open(found["secret_sealed"], bound_to=_binding(db.clinic_id, found["webhook_endpoint_id"]))
    return True


ROTATE = """
update webhook_endpoint
set previous_secret_sealed = secret_sealed,
    previous_until = $4,
    secret_sealed = $3
where clinic_id = $1
  and webhook_endpoint_id = $2
"""


async def rotate(db: Db, master: Sealer, endpoint_id: UUID, *, now: datetime) -> bytes:
    """Give the endpoint a new secret; the one before signs beside it for a day. Raises NotFound."""
    secret = secrets.token_bytes(SECRET_BYTES)
    sealed = master.seal(secret, bound_to=_binding(db.clinic_id, endpoint_id))
    if await db.execute(ROTATE, db.clinic_id, endpoint_id, sealed, now + OVERLAP) == 0:
        raise errors.NotFound("Not found.")
    return secret


def written(secret: bytes) -> str:
    """A secret as the Standard Webhooks specification writes it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


ENABLE = """
update webhook_endpoint
set disabled_at = null,
    disabled_why = null
where clinic_id = $1
  and webhook_endpoint_id = $2
"""


async def enable(db: Db, endpoint_id: UUID) -> None:
    """Send there again, from the next message on; one that is enabled stays so. Raises NotFound."""
    if await db.execute(ENABLE, db.clinic_id, endpoint_id) == 0:
        raise errors.NotFound("Not found.")


SET_OUTSIDE = """
update webhook_endpoint
set outside = $3
where clinic_id = $1
  and webhook_endpoint_id = $2
"""


async def set_outside(db: Db, endpoint_id: UUID, *, outside: bool) -> None:
    """Say whether the endpoint belongs to somebody outside the clinic, from the next message on. Raises NotFound."""
    if await db.execute(SET_OUTSIDE, db.clinic_id, endpoint_id, outside) == 0:
        raise errors.NotFound("Not found.")


def _binding(clinic_id: UUID, endpoint_id: UUID) -> str:
    return f"webhook_endpoint:{clinic_id}:{endpoint_id}:secret"


DISABLE = """
update webhook_endpoint
set disabled_at = $3,
    disabled_why = $4
where clinic_id = $1
  and webhook_endpoint_id = $2
  and disabled_at is null
"""


async def disable(db: Db, endpoint_id: UUID, *, why: str, now: datetime) -> bool:
    """Send nothing there from now on. False for one that was disabled already: it keeps its reason. Raises NotFound."""
    if await db.execute(DISABLE, db.clinic_id, endpoint_id, now, why) > 0:
        return True
    await get(db, endpoint_id)
    return False
