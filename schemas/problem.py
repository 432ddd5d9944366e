"""RFC 9457 problem details, the shape of every error."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.crisis import CrisisContact


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    field: Annotated[str, Meta(description="path of the field, 'craving.alcohol'")]
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`type` is stable; `detail` holds no health data; `crisis` stands here too after a positive safety answer."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    crisis: list[CrisisContact] | None = None
