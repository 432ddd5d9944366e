"""Which lines of the caseload somebody asked for: by name, by status; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from service.desk import names
from service.desk.caseload import Line

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "needs": "needs somebody",
        "urgent": "urgent",
        "not_on_track": "not on track",
        "no_data": "no data",
        "watch": "watch",
        "learning": "learning",
        "on_track": "on track",
        "paused": "paused",
        "discharged": "discharged",
    }
)
"""What a line may be marked with, and whether it asks for anybody, as the page calls it."""


def of(lines: Sequence[Line], *, find: str, status: str, own: Collection[UUID] | None) -> list[Line]:
    """The lines whose client's name holds every word of `find`, of this status (none: any), and of these clients."""
    # The caseload writes "Family, Given", and so does whoever reads it there.
    words = names.plain(find).replace(",", " ").split()
    return [
        line
        for line in lines
        if all(word in _name(line) for word in words)
        and (not status or line.mark == status or (status == "needs" and line.needs))
        and (own is None or line.client.client_id in own)
    ]


def _name(line: Line) -> str:
    return names.plain(f"{line.client.given_name} {line.client.family_name}")
