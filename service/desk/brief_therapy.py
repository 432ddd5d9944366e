"""What a therapist reads before a session: what changed, in whose words, what was done, what is open; pure."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.alert import AlertState
from schemas.brief import BriefSection, BriefSentence, Evidence
from schemas.course import SessionState
from schemas.session import CoverageState
from schemas.treatment import Curve, CurvePoint
from service.desk import brief_words as words
from service.desk.brief_facts import BriefFacts, Day
from service.facts.client_day import of as client_day_of

CURVE_SHOWN_DAYS = 3
MOST_SESSIONS = 3
ITEMS = ("craving", "mood", "anxiety")


def sections_of(facts: BriefFacts) -> list[BriefSection]:
    """The whole brief, the first question first."""
    since = words.since_on(facts, "session")
    return [
        *words.safety(facts),
        words.section("changed", f"What changed {since}", [words.away(facts), *words.changed(facts, "since")]),
        words.section("days", "Worst and best day", _days(facts)),
        words.section("infusion", "Effect of the infusions", _infusion(facts)),
        words.section("use", "Use", [words.use(facts, "since")]),
        words.section("instruments", "Instruments", words.instruments(facts)),
        words.section("answers", "Answers given", [words.answers(facts)]),
        words.section("alerts", "Alerts and what was done", words.alerts(facts)),
        words.section("open", "Open questions", _open(facts)),
    ]


def _days(facts: BriefFacts) -> list[BriefSentence]:
    """The days on which things were worst and best, by the mean of what was answered, in the client's own words.

    A day with use or with a yes to the safety question is not told as the best one, whatever its numbers.
    """
    weighed = [(burden, day) for day in facts.days if (burden := _burden(day)) is not None]
    if len(weighed) < 2:
        return []
    hard = {row.client_day for row in facts.reports if row.safety or row.used}
    worst = max(weighed, key=lambda each: (each[0], each[1].row.client_day))[1]
    others = [each for each in weighed if each[1].row.client_day not in hard]
    if not others:
        none = "No best day: use, or a yes to the safety question, on every answered day."
        return [
            _day(facts, "Worst day", worst),
            words.say(none, words.of_check_ins(facts, (day.row for _, day in weighed))),
        ]
    best = min(others, key=lambda each: (each[0], -each[1].row.client_day.toordinal()))[1]
    if worst is best:
        return []
    return [_day(facts, "Worst day", worst), _day(facts, "Best day", best)]


def _burden(day: Day) -> float | None:
    mood = None if day.row.mood is None else 10 - day.row.mood
    known = [value for value in (day.craving, mood, day.row.anxiety) if value is not None]
    return sum(known) / len(known) if known else None


def _day(facts: BriefFacts, name: str, day: Day) -> BriefSentence:
    scores = [("craving", day.craving), ("mood", day.row.mood), ("anxiety", day.row.anxiety)]
    told = ", ".join(f"{item} {value}" for item, value in scores if value is not None)
    return words.say(
        f"{name} {words.on(facts, day.row.client_day)}: {told}.",
        words.of_check_ins(facts, [day.row]),
        quote=words.quoted(facts, day),
    )


def _infusion(facts: BriefFacts) -> list[BriefSentence | None]:
    if not facts.curves:
        return [words.say("No infusion was given yet.", [])]
    last = facts.curves[-1]
    previous = facts.curves[-2] if len(facts.curves) > 1 else None
    return [_effect(facts, last), _against(facts, last, previous), _covered(facts)]


def _effect(facts: BriefFacts, curve: Curve) -> BriefSentence:
    over = (facts.today - client_day_of(curve.given_at, facts.zone)).days
    first = [point for point in curve.points if 1 <= point.days_since <= CURVE_SHOWN_DAYS]
    told = [told for item in ITEMS if (told := _course_of(curve, first, item))]
    given = f"Infusion {curve.number}, {words.at(facts, curve.given_at)}"
    if not told:
        said = "its first day after has not come yet" if over < 1 else f"no answer on {_days_after(over)}"
        return words.say(f"{given}: {said}.", _evidence_of(facts, curve, first))
    return words.say(f"{given}: {'; '.join(told)}.", _evidence_of(facts, curve, first))


def _days_after(over: int) -> str:
    return "the day after it" if over == 1 else f"the {min(over, CURVE_SHOWN_DAYS)} days after it"


def _course_of(curve: Curve, first: Sequence[CurvePoint], item: str) -> str:
    """ "craving 7 before, then 3 on day 1, 3 on day 2", "" where nothing was answered."""
    values = [(point.days_since, value) for point in first if (value := getattr(point, item)) is not None]
    if not values:
        return ""
    before = None if curve.before is None else getattr(curve.before, item)
    was = "" if before is None else f"{before} before, then "
    return f"{item} {was}{', '.join(f'{value} on day {day}' for day, value in values)}"


def _against(facts: BriefFacts, last: Curve, previous: Curve | None) -> BriefSentence | None:
    if previous is None or not last.against_previous:
        return None
    change = last.against_previous[-1]
    told = [
        f"{item} {abs(difference)} {'higher' if difference > 0 else 'lower'}" if difference else f"{item} the same"
        for item in ITEMS
        if (difference := getattr(change, item)) is not None
    ]
    if not told:
        return None
    points = [each for each in (*last.points, *previous.points) if each.days_since == change.days_since]
    return words.say(
        f"Day {change.days_since} after infusion {last.number} against day {change.days_since} after infusion "
        f"{previous.number}: {', '.join(told)}.",
        _evidence_of(facts, last, points),
    )


def _evidence_of(facts: BriefFacts, curve: Curve, points: Sequence[CurvePoint]) -> list[Evidence]:
    page = f"/clients/{facts.client.client_id}"
    infusion = Evidence(kind="infusion", id=curve.infusion_id, href=f"{page}/treatment")
    answers = [
        Evidence(kind="check_in", id=point.check_in_id, href=f"{page}#d-{point.client_day.isoformat()}")
        for point in points
    ]
    return [infusion, *answers]


def _covered(facts: BriefFacts) -> BriefSentence | None:
    coverage = facts.coverage
    if not coverage.closed:
        return None
    return words.say(
        f"{coverage.covered} of {coverage.closed} infusions were followed by an attended session within "
        f"{coverage.window_hours} hours.",
        [Evidence(kind="coverage", id=None, href=f"/clients/{facts.client.client_id}/sessions")],
    )


def _open(facts: BriefFacts) -> list[BriefSentence]:
    """What nobody has answered yet."""
    return [*_unowned(facts), *_uncovered(facts), *_sessions_to_ask_about(facts)]


def _unowned(facts: BriefFacts) -> list[BriefSentence]:
    unowned = [alert for alert, _ in facts.alerts if alert.state in (AlertState.OPEN, AlertState.DISPATCHED)]
    if not unowned:
        return []
    count = "1 alert" if len(unowned) == 1 else f"{len(unowned)} alerts"
    evidence = [Evidence(kind="alert", id=each.alert_id, href=f"/alerts/{each.alert_id}") for each in unowned]
    return [words.say(f"Nobody has taken on {count} yet.", evidence)]


def _uncovered(facts: BriefFacts) -> list[BriefSentence]:
    page = f"/clients/{facts.client.client_id}/sessions"
    return [
        words.say(
            f"No session is booked after the infusion of {words.at(facts, window.given_at)}; its window closes "
            f"{words.at(facts, window.closes_at)}.",
            [Evidence(kind="infusion", id=window.infusion_id, href=page)],
        )
        for window in facts.coverage.items
        if window.state is CoverageState.OPEN
    ]


def _sessions_to_ask_about(facts: BriefFacts) -> list[BriefSentence]:
    missed = [each for each in facts.sessions if each.state is SessionState.MISSED and each.planned_at > facts.since]
    unsaid = [each for each in facts.sessions if each.state is SessionState.PLANNED and each.planned_at <= facts.now]
    told = [
        (each, f"The session of {words.at(facts, each.planned_at)} was missed.") for each in missed[-MOST_SESSIONS:]
    ]
    if len(missed) > MOST_SESSIONS:
        told.append((missed[0], f"{len(missed) - MOST_SESSIONS} sessions before were missed, too."))
    told += [
        (each, f"Nobody wrote down what became of the session of {words.at(facts, each.planned_at)}.")
        for each in unsaid[-1:]
    ]
    page = f"/clients/{facts.client.client_id}/sessions"
    return [
        words.say(text, [Evidence(kind="therapy_session", id=each.therapy_session_id, href=page)])
        for each, text in told
    ]
