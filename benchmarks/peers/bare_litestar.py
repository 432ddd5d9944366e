"""Bare Litestar and asyncpg: decode the same body, insert the same columns in a transaction, answer with the id."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
from litestar import Litestar, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from benchmarks.peers import serving
from schemas.checkin import CheckInForm
from service import database

INSERT = """
insert into bench.check_in (
  clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, safety, note_sealed, scale_version, device_id, origin, source, supersedes,
  content_hash
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
"""
CLINIC_ID = UUID("01930000-0000-7000-8000-000000000001")
CLIENT_ID = UUID("01930000-0000-7000-8000-000000000002")
DEVICE_ID = UUID("01930000-0000-7000-8000-000000000003")
CONTENT_HASH = bytes(32)


class Stored(msgspec.Struct):
    """What the peer answers with."""

    id: UUID


@put("/v1/check-ins/{check_in_id:uuid}", status_code=201)
async def put_check_in(check_in_id: FromPath[UUID], data: JSONBody[CheckInForm], state: State) -> Stored:
    """Insert one row."""
    pool: database.Pool = state.pool
    now = datetime.now(UTC)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            INSERT,
            CLINIC_ID,
            check_in_id,
            CLIENT_ID,
            data.kind,
            data.answered_at,
            data.sent_at,
            now,
            data.answered_at,
            data.time_zone,
            True,
            now.date(),
            data.craving,
            data.mood,
            data.anxiety,
            data.used,
            data.safety,
            None,
            1,
            DEVICE_ID,
            "phone",
            None,
            None,
            CONTENT_HASH,
        )
    return Stored(check_in_id)


@asynccontextmanager
async def pooled(app: Litestar) -> AsyncIterator[None]:
    """The pool, as asyncpg makes it by default."""
    size = int(os.environ[serving.POOL_SIZE])

    async def with_json(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        await connection.set_type_codec(
            "jsonb",
            schema="pg_catalog",
            encoder=lambda value: msgspec.json.encode(value).decode(),
            decoder=msgspec.json.decode,
        )

    async with asyncpg.create_pool(
        os.environ[serving.DATABASE_URL], min_size=size, max_size=size, init=with_json
    ) as app.state.pool:
        yield


if __name__ == "__main__":
    serving.serve(Litestar([put_check_in], lifespan=[pooled], openapi_config=None, logging_config=None))
