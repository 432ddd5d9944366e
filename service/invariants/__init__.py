"""What must hold at any moment: statements that return no row, looked at each minute as `neap_sweep`.

Each names the clinics in which it does not hold. A row here is an alarm for the operator: something that a person waits
for does not happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from service.database import Connection
from service.invariants import alerts, messages, work
from service.invariants.promise import Broken, Invariant

__all__ = ["Broken", "Invariant", "broken", "every"]


def every() -> Sequence[Invariant]:
    """All invariants; what is not here is not watched."""
    return (*alerts.every(), *messages.every(), *work.every())


async def broken(connection: Connection, *, now: datetime) -> list[Broken]:
    """Every invariant that does not hold now, with its clinics; a constant number of statements."""
    found = []
    for invariant in every():
        records = await connection.fetch(invariant.sql, now - invariant.within)
        if records:
            found.append(Broken(invariant.name, [record["clinic_id"] for record in records]))
    return found
