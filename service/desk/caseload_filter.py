"""Which lines of the caseload somebody asked for: by name, by status; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from service.desk import names
from service.desk.caseload import Line

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "needs": "needs you: nobody has them yet",
        "in_hand": "in hand",
        "urgent": "urgent",
        "not_on_track": "not on track",
        "no_data": "no data",
        "watch": "watch",
        "learning": "learning",
        "on_track": "on track",
        "paused": "paused",
        "discharged": "discharged",
        "no_therapist": "no therapist who works here",
    }
)
"""What a line may be marked with, and whether anybody has what it asks for, or treats them, as the page calls it."""


def of(
    lines: Sequence[Line], *, find: str, status: str, own: Collection[UUID] | None, alone: Collection[UUID] = ()
) -> list[Line]:
    """The lines whose client's name holds every word of `find`, of this status (none: any), and of these clients;
    `alone`: whose therapist does not work here any more."""
    # The caseload writes "Family, Given", and so does whoever reads it there.
    words = names.plain(find).replace(",", " ").split()
    return [
        line
        for line in lines
        if all(word in _name(line) for word in words)
        and (not status or status in _statuses(line, alone))
        and (own is None or line.client.client_id in own)
    ]


def _statuses(line: Line, alone: Collection[UUID]) -> set[str]:
    """Under which a line is found: what is urgent under the trend's status, too."""
    found = {line.mark}
    if line.mark == "urgent" and line.client.status is not None and line.pause is None and not line.client.discharged:
        found.add(line.client.status)
    if line.client.client_id in alone:
        found.add("no_therapist")
    if line.needs:
        found.add("in_hand" if line.in_hand else "needs")
    return found


def _name(line: Line) -> str:
    return names.plain(f"{line.client.given_name} {line.client.family_name}")
