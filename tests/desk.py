"""Builders for the desk: invented staff, their sessions, trends and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import NewFinding, Rule, Tier
from schemas.client import RecordOrigin
from schemas.staff import Role, SessionStage
from schemas.trend import Status, Trend
from service import trends
from service.alerting import alerts
from service.database import Db
from service.keys import tokens
from service.people import staff, staff_sessions
from service.web.desk_session import COOKIE


class SignedInAs(msgspec.Struct, frozen=True):
    """A person with a session, straight in the tables."""

    staff_id: UUID
    token: str
    csrf_token: str

    @property
    def bearer(self) -> dict[str, str]:
        """As a program sends it: no cookie, so nothing that another site could abuse."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def cookie(self) -> dict[str, str]:
        """As a browser sends it (httpx drops a __Host- cookie over http)."""
        return {"Cookie": f"{COOKIE}={self.token}"}


async def a_person(
    db: Db,
    role: Role = Role.THERAPIST,
    *,
    email: str | None = None,
    name: str = "Maren Holt",
    roles: Sequence[Role] = (),
) -> UUID:
    """A member of staff who never signed in."""
    return await staff.add(
        db, email=email or f"{role}@clinic.example", name=name, roles=roles or [role], now=datetime.now(UTC)
    )


CSRF_OF = """
select csrf_token
from staff_session
where clinic_id = $1
  and session_hash = $2
"""


async def a_session(db: Db, staff_id: UUID, stage: SessionStage = SessionStage.FULL) -> SignedInAs:
    """A session that begins now, as the web process would."""
    token = await staff_sessions.start(db, staff_id, stage, now=datetime.now(UTC))
    csrf_token = await db.value(CSRF_OF, db.clinic_id, tokens.digest_of(token))
    assert isinstance(csrf_token, str)
    return SignedInAs(staff_id, token, csrf_token)


def a_trend_day(
    day: date,
    *,
    craving: int | None = 3,
    mood: int | None = 6,
    anxiety: int | None = 4,
    status: Status = Status.ON_TRACK,
) -> Trend:
    """One client day of a trend, on track with a known band unless said otherwise."""
    return Trend(
        client_day=day,
        status=status,
        answered=craving is not None,
        partly=False,
        craving=craving,
        mood=mood,
        anxiety=anxiety,
        baseline=[3.4, 6.2, 3.9],
        sd=[1.0, 1.0, 1.0],
        level=[3.5, 6.1, 4.0],
        band_low=[2.1, 4.7, 2.4],
        band_high=[5.2, 7.6, 5.4],
        statistic=1.2,
        limit_value=4.9,
        crossing=False,
        resting=False,
        silent_days=0,
        days_since_infusion=4,
        origin=RecordOrigin.LIVE,
        rule_set_version=1,
    )


async def a_trend(db: Db, client_id: UUID, days: Sequence[Trend]) -> None:
    """Put these days in place; `db` of the jobs or the owner, for the web process only reads trends."""
    await trends.replace(db, {client_id: days[0].client_day}, [(client_id, day) for day in days])


def a_finding(rule: Rule = Rule.WORSENING, tier: Tier = Tier.TODAY, *, on: date) -> NewFinding:
    """A finding with the numbers that its rule gives."""
    numbers: dict[str, object] = {"late_days": 0}
    if rule is Rule.WORSENING:
        numbers = {
            "onset_days": 4,
            "onset_days_low": 2,
            "onset_days_high": 6,
            "items": [
                {
                    "item": "craving",
                    "change": 2.1,
                    "se": 0.4,
                    "share": 0.97,
                    "baseline": 3.4,
                    "sd": 1.0,
                    "mean_since_onset": 5.6,
                },
                {
                    "item": "mood",
                    "change": -0.3,
                    "se": 0.4,
                    "share": 0.2,
                    "baseline": 6.2,
                    "sd": 1.0,
                    "mean_since_onset": 5.9,
                },
            ],
            "statistic": 5.61,
            "limit": 4.9,
            "raised": 1.0,
            "answered_of_last_7": 6,
            "shape": "step",
        }
    if rule is Rule.SILENCE:
        numbers = {"silent_days": 4, "days_since_infusion": 5}
    return NewFinding(client_day=on, rule=rule, tier=tier, numbers=numbers)


async def an_alert(
    db: Db, client_id: UUID, rule: Rule = Rule.WORSENING, tier: Tier = Tier.TODAY, *, now: datetime | None = None
) -> UUID:
    """An open alert with one finding, its first messages queued."""
    now = now or datetime.now(UTC)
    change = await alerts.open_or_join(
        db, client_id, [a_finding(rule, tier, on=now.date() - timedelta(days=1))], now=now, rule_set_version=1
    )
    return (change.opened + change.joined)[0]
