"""The zone in which a client's days begin."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from schemas.client import Client
from service.database import Db
from service.facts import client_day
from service.people import clinics


async def of(db: Db, client: Client) -> ZoneInfo:
    """The client's own zone, the clinic's where this server does not know it."""
    return client_day.zone_or_none(client.time_zone) or ZoneInfo((await clinics.get(db)).time_zone)
