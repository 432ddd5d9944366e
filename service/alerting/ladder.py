"""The ladder: when an alert that nobody has taken on goes to the next nearest, how far up, and when it begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from schemas.alert import Tier
from service.database import Db
from service.facts import clinic_hours
from service.people import clinics

# From the beginning of the round on; of tier 2 in hours of which the clinic is open. Tier 3 is read in the inbox.
STEPS: Mapping[Tier, Sequence[timedelta]] = MappingProxyType(
    {
        Tier.URGENT: (timedelta(0), timedelta(minutes=15), timedelta(minutes=30), timedelta(minutes=60)),
        Tier.TODAY: (timedelta(0), timedelta(hours=4), timedelta(hours=8)),
        Tier.REVIEW: (timedelta(0),),
    }
)
# An urgent alert that nobody took on, up to the last of the ladder, rests for so long and is told again.
URGENT_REST = timedelta(hours=1)


def is_last(tier: Tier, step: int) -> bool:
    """Whether nobody is further up."""
    return step + 1 >= len(STEPS[tier])


async def next_step_at(db: Db, tier: Tier, *, step: int, begin: datetime) -> datetime | None:
    """When the step after `step` is due in a round that began at `begin`; after the last one when the next round is,
    None for what waits in the inbox from then on."""
    if is_last(tier, step):
        return begin + STEPS[tier][-1] + URGENT_REST if tier is Tier.URGENT else None
    waits = STEPS[tier][step + 1]
    if tier is Tier.URGENT:
        return begin + waits
    clinic, setting = await clinics.get(db), await clinics.get_setting(db)
    return clinic_hours.after_open(setting.hours, ZoneInfo(clinic.time_zone), begin=begin, open_for=waits)
