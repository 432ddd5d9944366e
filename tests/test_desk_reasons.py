"""Reasons on the desk: which finding speaks for an alert, and in which words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.alert import Finding, NewFinding, Rule, Tier
from schemas.client import RecordOrigin
from schemas.trend import Status
from service import database, ids, trends
from service.alerting import alerts, findings
from service.config import Config
from service.database import Db, Pool
from service.desk import reasons, sentences
from service.detection import limits
from service.web import pages
from tests.builders import an_infusion
from tests.desk import a_finding, an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client

TODAY = date(2026, 11, 22)
SENT = """
insert into delivery (
  clinic_id, delivery_id, kind, alert_id, channel, staff_id, webhook_endpoint_id, round, step, state, due_at, created_at
)
values ($1, $2, 'alert', $3, $4, $5, $6, $7, $8, 'sent', now(), now())
"""


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


def stored(new: NewFinding, *, at: int = 0, withdrawn: bool = False, **numbers: object) -> Finding:
    found_at = datetime(2026, 11, 22, 9, at, tzinfo=UTC)
    return Finding(
        finding_id=UUID(int=at),
        client_id=UUID(int=0),
        client_day=new.client_day,
        rule=new.rule,
        tier=new.tier,
        check_in_id=None,
        instrument_response_id=None,
        alert_id=None,
        found_at=found_at,
        found_late=False,
        origin=RecordOrigin.LIVE,
        numbers=new.numbers | numbers,
        rule_set_version=1,
        withdrawn_at=found_at if withdrawn else None,
    )


def said(rule: Rule, **numbers: object) -> str:
    return sentences.of_finding(
        stored(NewFinding(client_day=TODAY, rule=rule, tier=None, numbers=dict(numbers))), TODAY
    )


def test_what_stands_on_one_page_is_rounded_in_one_way() -> None:
    changed = {"item": "craving", "change": 1.25, "se": 0.0, "share": 1.0, "baseline": 1.25}
    assert said(Rule.WORSENING, items=[changed]) == "Craving 1.3 points above usual."
    assert sentences._range(changed) == "is 1.3 to 1.3 points above usual"
    assert (pages.score(1.25), pages.difference(1.25), pages.difference(-1.25)) == ("1.3", "+1.3", "-1.3")


def test_the_worst_tier_speaks_first_then_the_newest_and_never_one_that_was_withdrawn() -> None:
    worsening = stored(a_finding(on=TODAY), at=1)
    silence = [stored(a_finding(Rule.SILENCE, Tier.REVIEW, on=TODAY), at=at) for at in (2, 3, 4)]
    gone = stored(a_finding(Rule.OTHER_USE, Tier.TODAY, on=TODAY), at=5, withdrawn=True)
    found = [worsening, *silence, gone]
    assert reasons.by_weight(found) == [worsening, *reversed(silence)]
    assert reasons.withdrawn(found) == [gone]


def test_a_worsening_is_among_the_few_that_are_shown() -> None:
    late = stored(a_finding(Rule.WORSENING, Tier.REVIEW, on=TODAY), at=0)
    used = [stored(a_finding(Rule.OTHER_USE, Tier.TODAY, on=TODAY), at=at) for at in (1, 2, 3, 4)]
    assert late in reasons.in_short([late, *used])
    assert len(reasons.in_short([late, *used])) == reasons.SHOWN


def test_waning_names_the_interval_and_how_much_is_left_when_the_next_infusion_comes() -> None:
    numbers = {"days_since_infusion": 6, "days_to_half": 4.6, "days_to_half_low": 3.6, "days_to_half_high": 6.5}
    begun = "The benefit of the last infusion is waning, 6 days after the infusion: "
    half = begun + "half of it is gone after about 5 days (4 to 6, 80 %)"
    assert said(Rule.WANING, **numbers) == half + "."
    assert said(Rule.WANING, **numbers, next_infusion_on=None) == half + ", and none is booked."
    booked = said(Rule.WANING, **numbers, next_infusion_on="2026-12-02")
    assert booked == half + ", and the next one is booked for 2 Dec."
    for left, words in ((0.31, "about 30 %"), (0.02, "hardly any")):
        told = said(Rule.WANING, **numbers, next_infusion_on="2026-12-02", left_at_next_infusion=left)
        assert told == half + f", and {words} will be left on 2 Dec, when the next one is booked."


def test_a_worsening_says_how_much_since_when_and_on_how_many_answers_and_how_sure_that_is() -> None:
    items = [
        {"item": "craving", "change": 2.1, "se": 0.6, "share": 0.97},
        {"item": "mood", "change": -1.0, "se": 0.9, "share": 0.7},
        {"item": "anxiety", "change": 0.4, "se": 0.7, "share": 0.3},
    ]
    numbers = {"items": items, "onset_days": 3, "onset_days_low": 2, "onset_days_high": 6, "answered_of_last_7": 6}
    assert said(Rule.WORSENING, **numbers) == (
        "Craving 2.1 points above usual, mood 1.0 points below usual since about 19 Nov; 6 of 7 days answered."
    )
    new = NewFinding(client_day=TODAY, rule=Rule.WORSENING, tier=Tier.TODAY, numbers=dict(numbers))
    assert sentences.precision_of(stored(new), TODAY) == (
        "With 80 % certainty craving is 1.3 to 2.9 points above usual, mood is 0.0 to 2.2 points below usual, "
        "it began between 16 Nov and 20 Nov."
    )
    on_the_day = stored(new, onset_days=0, onset_days_low=0, onset_days_high=0)
    assert sentences.precision_of(on_the_day, TODAY).endswith("it began on 22 Nov.")
    silence = stored(NewFinding(client_day=TODAY, rule=Rule.SILENCE, tier=Tier.REVIEW, numbers={}))
    assert sentences.precision_of(silence, TODAY) == ""


def test_a_worsening_names_no_item_that_is_better_or_no_other_than_usual() -> None:
    found = [("craving", 2.1), ("mood", 0.1), ("anxiety", -0.2)]
    items = [{"item": item, "change": change, "se": 0.6, "share": 0.95} for item, change in found]
    assert (
        said(Rule.WORSENING, items=items, answered_of_last_7=6)
        == "Craving 2.1 points above usual; 6 of 7 days answered."
    )
    for nothing in (0.04, -0.3):
        items[0]["change"] = nothing
        assert said(Rule.WORSENING, items=items).startswith("Scores worse than usual")


def test_what_alerts_nobody_is_said_too() -> None:
    items = [
        {"item": "craving", "change": -1.8, "se": 0.5},
        {"item": "mood", "change": 2.0, "se": 0.6},
        {"item": "anxiety", "change": 0.2, "se": 0.6},
    ]
    better = "Better than usual: mood 2.0 points above usual, craving 1.8 points below usual."
    assert said(Rule.IMPROVING, items=items) == better


@pytest.mark.parametrize(
    ("numbers", "takes"),
    [
        ({"check_ins_needed": 7, "days_needed": 21}, "21 days and at least 7 check-ins"),
        ({"check_ins_needed": 7, "days_needed": 0}, "at least 7 check-ins"),
        ({"check_ins_needed": 7}, "at least 7 check-ins"),
    ],
)
def test_learning_takes_days_and_check_ins_and_after_a_new_usual_check_ins(
    numbers: dict[str, object], takes: str
) -> None:
    assert said(Rule.LEARNING, **numbers) == f"Learning what is usual since 22 Nov: it takes {takes}."


def test_what_learning_takes_is_what_the_detector_takes() -> None:
    """A client who answers daily has seven check-ins after a week, and is learned for three."""
    assert (limits.OWN_CHECK_INS, limits.FIRST_ALERT_DAY) == (7, 21)

    def learned(answered_ever: int) -> str:
        return sentences.of_status(Status.LEARNING, silent_days=0, answered_ever=answered_ever, share_of_limit=None)

    assert learned(3) == "Learning what is usual: it takes 21 days and at least 7 check-ins, 3 so far."
    assert learned(8) == "Learning what is usual: it takes the first 21 days, and 7 check-ins after a new usual."


def test_silence_after_an_infusion_says_how_much_of_it_came_after() -> None:
    first = said(Rule.SILENCE_AFTER_INFUSION, silent_days=2, days_since_infusion=2)
    assert first == "No answer for 2 days, the first after an infusion."
    longer = said(Rule.SILENCE_AFTER_INFUSION, silent_days=5, days_since_infusion=2)
    assert longer == "No answer for 5 days, the last 2 after an infusion."


def test_days_of_another_year_are_told_with_theirs() -> None:
    found = stored(a_finding(on=date(2024, 10, 5)))
    assert "since about 1 Oct 2024;" in sentences.of_finding(found, TODAY)
    assert "since about 1 Oct;" in sentences.of_finding(found, date(2024, 12, 31))


def test_watched_because_a_benefit_wanes_is_not_near_any_edge() -> None:
    def watched(share: float | None, *, silent_days: int = 0) -> str:
        return sentences.of_status(Status.WATCH, silent_days=silent_days, answered_ever=30, share_of_limit=share)

    assert watched(sentences.share_of_limit(0.0, 4.9)) == "The benefit of the last infusion is waning."
    assert watched(0.62) == "Near the edge of what is usual (62% of the limit)."
    assert watched(1.0) == "Near the edge of what is usual (100% of the limit)."
    beyond = "Beyond what is usual (229% of the limit), without an alert. None opens "
    usual = "in the first 21 days, in the week after another, or from few check-ins."
    assert watched(2.29) == f"{beyond}{usual} Please look yourself."
    assert watched(2.29, silent_days=1) == f"{beyond}on a day without an answer. Please look yourself."


def test_evidence_lists_the_items_and_counts_the_check_ins() -> None:
    found = stored(a_finding(on=TODAY), baseline=[3.4, None, 3.9], check_in_ids=[str(ids.new()) for _ in range(27)])
    evidence = dict(sentences.evidence_of(found))
    assert evidence["baseline"] == "craving 3.4, mood unknown, anxiety 3.9"
    assert evidence["check-ins"] == "27"


async def joined(db: Db, client_id: UUID, *found: NewFinding) -> None:
    await alerts.open_or_join(db, client_id, found, now=datetime.now(UTC), rule_set_version=1)


async def test_the_client_s_page_says_what_alerted_nobody(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        newest = (await trends.of(db, client_id, from_day=date(2000, 1, 1), until_day=date(2100, 1, 1)))[-1].client_day
        for days_ago, craving in ((13, -1.8), (14, -1.7)):
            numbers: dict[str, object] = {"items": [{"item": "craving", "change": craving, "se": 0.5}]}
            on = newest - timedelta(days=days_ago)
            await joined(db, client_id, NewFinding(client_day=on, rule=Rule.IMPROVING, tier=None, numbers=numbers))
    page = (await desk.get(f"/clients/{client_id}")).text
    assert "Better than usual: craving 1.8 points below usual." in page
    assert "1.7 points" not in page
    assert "Better than usual" not in (await desk.get("/inbox")).text


async def test_an_alert_s_page_strikes_out_what_no_longer_holds_and_offers_no_new_usual_without_a_worsening(
    desk: Desk,
) -> None:
    on = datetime.now(UTC).date() - timedelta(days=1)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db, status=Status.NOT_ON_TRACK)
        alert_id = await an_alert(db, client_id)
        await joined(db, client_id, a_finding(Rule.SILENCE, Tier.REVIEW, on=on))
    page = (await desk.get(f"/alerts/{alert_id}")).text
    assert "This is the new usual" in page
    assert "joined: No answer for 4 days." in page
    assert "it comes back" not in page
    client = (await desk.get(f"/clients/{client_id}")).text
    assert "Craving 2.1 points above usual" in client
    assert "Not yet back to usual" not in client
    inbox = (await desk.get("/inbox")).text
    assert inbox.index("Craving 2.1 points above usual") < inbox.index("and 1 more")
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        worsening = next(each for each in await findings.of_alerts(db, [alert_id]) if each.rule is Rule.WORSENING)
        await findings.withdraw(db, worsening.finding_id, why="recalculated", now=datetime.now(UTC))
    page = (await desk.get(f"/alerts/{alert_id}")).text
    assert "This is the new usual" not in page
    assert "<s>Craving 2.1 points above usual" in page
    assert "No longer holds after a late answer" in page
    client = (await desk.get(f"/clients/{client_id}")).text
    assert "Craving 2.1 points above usual" not in client
    assert "Not yet back to usual" in client
    assert "Craving 2.1 points above usual" not in (await desk.get("/inbox")).text
    assert "Craving 2.1 points above usual" not in (await desk.get("/caseload")).text


async def test_an_alert_s_page_tells_what_happened_in_order_of_time(desk: Desk) -> None:
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        alert_id = await an_alert(db, await a_followed_client(db), now=now - timedelta(hours=3))
        silence = a_finding(Rule.SILENCE, Tier.REVIEW, on=now.date())
        client_id = (await alerts.get(db, alert_id)).client_id
        await alerts.open_or_join(db, client_id, [silence], now=now, rule_set_version=1)
        # By a clock that goes behind, or told later.
        await alerts.acknowledge(db, alert_id, by=desk.person.staff_id, now=now - timedelta(hours=1))
    page = (await desk.get(f"/alerts/{alert_id}")).text
    told = re.findall(r"<span>(opened|joined|acknowledged)", page[page.index("What happened") :])
    assert told == ["opened", "acknowledged", "joined"]


async def test_an_acknowledgement_that_ran_out_says_so(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        alert_id = await an_alert(db, await a_followed_client(db), Rule.SAFETY, Tier.URGENT)
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        await alerts.acknowledge(db, alert_id, by=desk.person.staff_id, now=an_hour_ago)
    for address in ("/inbox", f"/alerts/{alert_id}"):
        page = (await desk.get(address)).text
        assert "was Maren Holt&#39;s until" in page or "was Maren Holt's until" in page
        assert "lapsed" in page
        assert "Maren Holt has it" not in page


async def test_the_inbox_counts_people_once_and_webhooks_apart_and_only_those_of_this_round(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        alert_id = await an_alert(db, await a_followed_client(db))
        await db.execute("delete from delivery where clinic_id = $1 and alert_id = $2", db.clinic_id, alert_id)
        endpoint = ids.new()
        await db.execute(
            "insert into webhook_endpoint (clinic_id, webhook_endpoint_id, url, secret_sealed, created_at)"
            " values ($1, $2, 'https://elsewhere.example/', '\\x00', now())",
            db.clinic_id,
            endpoint,
        )
        in_round = await db.value(
            "select round from alert where clinic_id = $1 and alert_id = $2", db.clinic_id, alert_id
        )
        assert isinstance(in_round, int)
        person = desk.person.staff_id
        for channel, staff_id, hook, number, step in (
            ("email", person, None, in_round, 0),
            ("email", person, None, in_round, 1),
            ("webhook", None, endpoint, in_round, 0),
            ("email", person, None, in_round + 1, 0),
        ):
            await db.execute(SENT, db.clinic_id, ids.new(), alert_id, channel, staff_id, hook, number, step)
    assert "1 person told, 1 webhook" in (await desk.get("/inbox")).text


async def test_days_after_an_infusion_are_client_days_not_spans_of_24_hours(desk: Desk) -> None:
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        # Late on the evening of a client day: its day 1 begins a few hours later, at 04:00.
        at = (now - timedelta(days=3)).replace(hour=20, minute=0)
        await an_infusion(db, client_id, given_at=at, now=now)
        zone = await db.value("select time_zone from client where client_id = $1", client_id)
    assert zone
    page = (await desk.get("/caseload")).text
    assert f"day {expected_day(at, now, str(zone))}<" in page
    assert f"day {expected_day(at, now, str(zone))}" in (await desk.get(f"/clients/{client_id}")).text


def expected_day(given_at: datetime, now: datetime, zone: str) -> int:
    def day(moment: datetime) -> date:
        return (moment.astimezone(ZoneInfo(zone)) - timedelta(hours=4)).date()

    return (day(now) - day(given_at)).days


async def test_a_discharged_client_stands_last_and_needs_nobody(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_followed_client(db, given_name="Zoe")
        left = await a_followed_client(db, given_name="Aaron", status=Status.NO_DATA)
        await db.execute(
            "update course set phase = 'discharged' where clinic_id = $1 and client_id = $2", db.clinic_id, left
        )
    page = (await desk.get("/caseload")).text
    assert "<h1>Nobody needs you just now</h1>" in page
    assert page.index("Marlow, Zoe") < page.index("Marlow, Aaron")
    assert "Discharged" in page[page.index("Marlow, Zoe") :]
    assert "No answer for" not in page
    assert "Discharged" in (await desk.get(f"/clients/{left}")).text
