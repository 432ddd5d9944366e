"""Which given infusions are followed by talk therapy inside the clinic's window; pure.

Trials of ketamine with psychotherapy put sessions around the infusions (Grabski et al. 2022, Am J Psychiatry
179:152-162, alcohol use disorder); that therapy works better soon after than later is not settled, and the window is a
setting of the clinic.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from schemas.course import Infusion, SessionState, TherapySession
from schemas.session import Coverage, CoverageState


def of(
    infusions: Sequence[Infusion],
    sessions: Sequence[TherapySession],
    *,
    window_hours: int,
    now: datetime,
    gone: Collection[UUID] = (),
) -> list[Coverage]:
    """Every given infusion with the session that covers it or may, by time.

    A session lies in the window when it begins after the infusion was given and not later than `window_hours` after.
    One session may cover several infusions, for windows overlap when infusions come close together. What is booked
    with one of the staff who are `gone` is not booked any more.
    """
    given = sorted((each.given_at, each.infusion_id) for each in infusions if each.given_at is not None)
    held = [each for each in sessions if not _is_with(gone, each, now)]
    in_order = sorted(held, key=lambda each: (each.planned_at, each.therapy_session_id))
    covered = []
    for given_at, infusion_id in given:
        closes_at = given_at + timedelta(hours=window_hours)
        inside = [each for each in in_order if given_at < each.planned_at <= closes_at]
        state, session = _judge(inside, closes_at, now)
        covered.append(
            Coverage(
                infusion_id=infusion_id,
                given_at=given_at,
                closes_at=closes_at,
                state=state,
                therapy_session_id=None if session is None else session.therapy_session_id,
            )
        )
    return covered


def _is_with(gone: Collection[UUID], session: TherapySession, now: datetime) -> bool:
    return session.state is SessionState.PLANNED and session.planned_at > now and session.staff_id in gone


def _judge(
    inside: Sequence[TherapySession], closes_at: datetime, now: datetime
) -> tuple[CoverageState, TherapySession | None]:
    attended = next((each for each in inside if each.state is SessionState.ATTENDED), None)
    if attended is not None:
        return CoverageState.COVERED, attended
    planned = [each for each in inside if each.state is SessionState.PLANNED]
    coming = [each for each in planned if each.planned_at > now]
    if closes_at > now and (coming or not planned):
        return (CoverageState.BOOKED, coming[0]) if coming else (CoverageState.OPEN, None)
    return (CoverageState.UNRECORDED, planned[0]) if planned else (CoverageState.UNCOVERED, None)


def counts(found: Sequence[Coverage], *, now: datetime) -> tuple[int, int]:
    """How many infusions are covered, of how many whose window is over or who are covered already."""
    covered = sum(each.state is CoverageState.COVERED for each in found)
    over = [each for each in found if each.state is not CoverageState.COVERED and each.closes_at <= now]
    return covered, covered + len(over)
