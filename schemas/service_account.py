"""Service accounts: programs that write for a clinic, such as a health record system."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec


class ServiceScope(StrEnum):
    """What a program may write, for every client of the clinic; `directory`: read whom the ids stand for."""

    INFUSIONS = "infusions"
    SESSIONS = "sessions"
    SCREENS = "screens"
    DIRECTORY = "directory"


class ServiceAccountForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an admin says of a new account."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, examples=["Health record system"])]
    scopes: Annotated[list[ServiceScope], msgspec.Meta(min_length=1, max_length=4)]


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as admins see it; `last_used_at` is at most a minute old."""

    service_account_id: UUID
    name: str
    scopes: list[ServiceScope]
    created_by: UUID
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class ServiceAccountPage(msgspec.Struct, frozen=True, kw_only=True):
    """Every account of the clinic."""

    items: list[ServiceAccount]


class ServiceAccountToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new account, and its token, which is told this once."""

    service_account_id: UUID
    token: str
