"""A client's screens beside their answers, read for the care team."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.gate import ScreenLine, ScreensReply
from service.database import Db
from service.facts import client_day, client_zone, courses, gate_checks, gate_records, infusions
from service.gate import agreement
from service.gate.agreement import UseAnswer
from service.people import clients

USE_ANSWERS = """
select counted_at, used
from check_in c
where c.clinic_id = $1
  and c.client_id = $2
  and c.counted_at > $3
  and c.used is not null
  and not exists (
    select
    from check_in newer
    where newer.clinic_id = $1
      and newer.supersedes = c.check_in_id
  )
order by c.counted_at
"""


async def read(db: Db, client_id: UUID, *, now: datetime) -> ScreensReply:
    """Every standing screen, newest first, with its agreement, and the figures both ways. Raises NotFound."""
    client = await clients.get(db, client_id)
    zone = await client_zone.of(db, client)
    screens = gate_records.standing_screens(await gate_records.screens_of(db, client_id))
    substances = await courses.substances_of(db, client_id)
    since = agreement.earliest(screens)
    answers = [] if since is None else await db.rows(UseAnswer, USE_ANSWERS, db.clinic_id, client_id, since)
    booked = await infusions.of(db, client_id)
    opens_hours = (await gate_checks.setting_of(db)).gate_opens_hours
    treated_at = {
        each.infusion_id: courses.active_on(substances, client_day.of(each.planned_at, zone)) for each in booked
    }
    return ScreensReply(
        items=[
            ScreenLine(
                screen=screen,
                agreement=agreement.of_screen(
                    screen,
                    answers,
                    courses.active_on(substances, client_day.of(screen.collected_at, zone)),
                    of_sample=[each for each in screens if each.collected_at == screen.collected_at],
                ),
            )
            for screen in screens
        ],
        abstinence=agreement.abstinence(booked, screens, treated_at, opens_hours=opens_hours, now=now),
    )
