"""Bare FastAPI and SQLAlchemy's asynchronous ORM: validate the same body, add one object, commit, answer its id."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from fastapi import FastAPI
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ARRAY, DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.peers import serving
from benchmarks.peers.bare_litestar import CLIENT_ID, CLINIC_ID, CONTENT_HASH, DEVICE_ID

Substance = Literal["alcohol", "cocaine", "opioid", "other"]
Score = Annotated[int, Field(ge=0, le=10, strict=True)]


class CheckInForm(BaseModel):
    """The same body."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["daily", "moment"]
    answered_at: AwareDatetime
    sent_at: AwareDatetime
    time_zone: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")]
    craving: dict[Substance, Score]
    mood: Score | None = None
    anxiety: Score | None = None
    used: list[Substance] | None = None
    safety: bool | None = None
    note: Annotated[str, Field(max_length=2000)] | None = None


class Stored(BaseModel):
    """What the peer answers with."""

    id: UUID


class Base(DeclarativeBase):
    """SQLAlchemy's registry of tables."""

    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), str: Text()}


class CheckIn(Base):
    """The same columns."""

    __tablename__ = "check_in"
    __table_args__ = {"schema": "bench"}  # noqa: RUF012 SQLAlchemy reads a plain dict

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True)
    check_in_id: Mapped[UUID] = mapped_column(primary_key=True)
    client_id: Mapped[UUID]
    kind: Mapped[str]
    answered_at: Mapped[datetime]
    sent_at: Mapped[datetime]
    received_at: Mapped[datetime]
    counted_at: Mapped[datetime]
    time_zone: Mapped[str]
    zone_known: Mapped[bool]
    client_day: Mapped[date]
    craving: Mapped[dict[str, int]] = mapped_column(JSONB)
    mood: Mapped[int | None]
    anxiety: Mapped[int | None]
    used: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    safety: Mapped[bool | None]
    note_sealed: Mapped[bytes | None]
    scale_version: Mapped[int]
    device_id: Mapped[UUID | None]
    origin: Mapped[str]
    source: Mapped[str | None]
    supersedes: Mapped[UUID | None]
    content_hash: Mapped[bytes]


def created() -> FastAPI:
    """The application, with a pool of the same size."""
    url = os.environ[serving.DATABASE_URL].replace("postgresql://", "postgresql+asyncpg://").replace("sslmode=", "ssl=")
    engine = create_async_engine(url, pool_size=int(os.environ[serving.POOL_SIZE]), max_overflow=0)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    app = FastAPI(openapi_url=None)

    @app.put("/v1/check-ins/{check_in_id}", status_code=201)
    async def put_check_in(check_in_id: UUID, form: CheckInForm) -> Stored:
        now = datetime.now(UTC)
        async with sessions.begin() as session:
            session.add(
                CheckIn(
                    clinic_id=CLINIC_ID,
                    check_in_id=check_in_id,
                    client_id=CLIENT_ID,
                    kind=form.kind,
                    answered_at=form.answered_at,
                    sent_at=form.sent_at,
                    received_at=now,
                    counted_at=form.answered_at,
                    time_zone=form.time_zone,
                    zone_known=True,
                    client_day=now.date(),
                    craving=form.craving,
                    mood=form.mood,
                    anxiety=form.anxiety,
                    used=form.used,
                    safety=form.safety,
                    note_sealed=None,
                    scale_version=1,
                    device_id=DEVICE_ID,
                    origin="phone",
                    source=None,
                    supersedes=None,
                    content_hash=CONTENT_HASH,
                )
            )
        return Stored(id=check_in_id)

    return app


if __name__ == "__main__":
    serving.serve(created())
