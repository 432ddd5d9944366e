"""The directory: what a program needs to know to write about the right client, and nothing of how anybody is."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

from schemas.course import InfusionState
from schemas.staff import Role


class DirectoryClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client by name; `enrolled_on` tells two of one name apart."""

    client_id: UUID
    given_name: str
    family_name: str
    enrolled_on: date


class DirectoryClients(msgspec.Struct, frozen=True, kw_only=True):
    """A page of clients in the order of their ids; `next` is the `after` of the next page, null on the last one."""

    items: list[DirectoryClient]
    next: UUID | None


class DirectoryInfusion(msgspec.Struct, frozen=True, kw_only=True):
    """An infusion's slot; `version` counts its changes."""

    infusion_id: UUID
    planned_at: datetime
    state: InfusionState
    version: int


class DirectoryInfusions(msgspec.Struct, frozen=True, kw_only=True):
    """Every infusion of a client, by time, whoever planned it."""

    items: list[DirectoryInfusion]


class DirectoryStaffMember(msgspec.Struct, frozen=True, kw_only=True):
    """A person who works for the clinic."""

    staff_id: UUID
    name: str
    roles: list[Role]


class DirectoryStaff(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who works for the clinic now, by name."""

    items: list[DirectoryStaffMember]
