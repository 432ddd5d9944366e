"""The time between two instants in which somebody stands in; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.errors import FieldFault

FURTHEST = timedelta(days=730)


def faults_of(from_at: datetime, until_at: datetime, *, longest: timedelta, now: datetime) -> list[FieldFault]:
    """What stands against it: it ends before it begins, is over already, lasts longer than `longest`, or begins in
    another era.
    """
    if until_at <= from_at or until_at <= now:
        return [FieldFault("until_at", "later than its beginning, and than now")]
    if abs(from_at - now) > FURTHEST:
        return [FieldFault("from_at", "within two years of now")]
    if until_at - from_at > longest:
        return [FieldFault("until_at", f"within {longest.days} days")]
    return []
