"""Somebody's last three weeks around a therapy session, for the brief: invented."""

from __future__ import annotations

from datetime import date, time, timedelta
from uuid import UUID

from schemas.course import SessionState
from service.database import Db
from service.facts import checkins
from service.people import clients
from tests.appointments import a_given_infusion, a_session_of
from tests.builders import MASTER, an_answer
from tests.desk import an_alert
from tests.screening import answer

DAY = timedelta(days=1)


async def noted(db: Db, check_in_id: UUID, note: str) -> None:
    """Give a check-in a note, sealed as intake does."""
    client_id = await db.value("select client_id from check_in where check_in_id = $1", check_in_id)
    assert isinstance(client_id, UUID)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    sealed = sealer.seal(note.encode(), bound_to=checkins.note_binding(db.clinic_id, check_in_id))
    await db.execute("update check_in set note_sealed = $2 where check_in_id = $1", check_in_id, sealed)


async def a_story(db: Db, client_id: UUID, today: date) -> dict[date, UUID]:
    """A session nine days ago; calm before it, worse since, with a worst day in the client's own words."""
    answers = {}
    await a_session_of(db, client_id, hours_ahead=-9 * 24, state=SessionState.ATTENDED)
    await a_session_of(db, client_id, hours_ahead=26)
    await a_given_infusion(db, client_id, hours_ago=12 * 24)
    await a_given_infusion(db, client_id, hours_ago=5 * 24)
    for ago in range(20, 0, -1):
        if ago in (3, 4, 9):
            continue  # two silent days, and the day of the session, which would fall before it or after by the hour
        day = today - ago * DAY
        craving, mood, anxiety = (2, 7, 2) if ago > 9 else (9, 1, 8) if ago == 6 else (6, 4, 5)
        answers[day] = await an_answer(db, client_id, day, craving=craving, mood=mood, anxiety=anxiety, at=time(12))
    await noted(db, answers[today - 6 * DAY], "Met the old crowd. Hardly slept.")
    await an_alert(db, client_id)
    return answers


LONG_NOTE = (
    "Could not sleep, argued with my brother about money and walked to the old corner, stood there for an hour, went "
    "home. I am tired of this, and ashamed to say it. Tomorrow I will call, or ask somebody to call for me, by noon. "
    "My sister knows."
)


async def a_hard_month(db: Db, client_id: UUID, today: date) -> None:
    """Three weeks of two substances, use and a yes to the safety question on several days, long notes on every one, and
    every instrument answered twice."""
    await a_session_of(db, client_id, hours_ahead=-21 * 24, state=SessionState.ATTENDED)
    for days in (16, 9, 2):
        await a_given_infusion(db, client_id, hours_ago=days * 24)
    for ago in range(20, 0, -1):
        day, craving = today - ago * DAY, {"alcohol": 6, "cocaine": ago * 3 % 10}
        check_in_id = await an_answer(
            db, client_id, day, craving=craving, mood=ago % 10, anxiety=ago * 7 % 10, at=time(12)
        )
        await noted(db, check_in_id, f"{LONG_NOTE} {ago}")
        if ago in (2, 3, 6):
            await db.execute("update check_in set safety = true where check_in_id = $1", check_in_id)
        if ago in (2, 5, 8, 11):
            await db.execute(
                "update check_in set used = array['cocaine', 'alcohol'] where check_in_id = $1", check_in_id
            )
    for ago in (12, 2):
        for code, form in EVERY_INSTRUMENT.items():
            await answer(db, client_id, today - ago * DAY, form, code=code)
    await an_alert(db, client_id)


EVERY_INSTRUMENT = {
    "phq9": {str(item): 2 for item in range(1, 10)},
    "gad7": {str(item): 2 for item in range(1, 8)},
    "pacs": {str(item): 3 for item in range(1, 6)},
    "audit_c": {"1": 2, "2": 1, "3": 1},
}
