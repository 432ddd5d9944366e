"""The sentences that both briefs share, filled from numbers; pure. Nothing is said that has no evidence beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from statistics import fmean
from textwrap import shorten

from schemas.alert import AlertState, Finding, Tier
from schemas.brief import BriefSection, BriefSentence, Evidence
from schemas.course import Infusion, Phase, Substance
from schemas.instrument_response import Change, InstrumentSeries, SeriesPoint
from service.desk import open_alerts, reasons, sentences
from service.desk.brief_facts import AlertSince, BriefFacts, Day
from service.desk.open_alerts import OpenAlert
from service.facts import courses, pauses
from service.facts.checkins import CheckInRow
from service.facts.client_day import of as client_day_of

MOST_DAYS_NAMED = 5
MOST_ALERTS = 6
MOST_UNSAFE = 3
# The brief is one sheet; what is longer is read at the day it leads to.
MOST_QUOTED, LEAST_QUOTED, QUOTED_IN_ALL = 400, 120, 800


def section(code: str, title: str, told: Iterable[BriefSentence | None]) -> BriefSection:
    """A section of what there is to say."""
    return BriefSection(code=code, title=title, sentences=[each for each in told if each is not None])


def say(text: str, evidence: Sequence[Evidence], *, quote: str | None = None) -> BriefSentence:
    """One sentence with what it rests on."""
    return BriefSentence(text=text, evidence=list(evidence), quote=quote)


def of_check_ins(facts: BriefFacts, rows: Iterable[CheckInRow]) -> list[Evidence]:
    """Check-ins as evidence, each at its day in the table of the client's page."""
    page = f"/clients/{facts.client.client_id}"
    return [
        Evidence(kind="check_in", id=row.check_in_id, href=f"{page}#d-{row.client_day.isoformat()}") for row in rows
    ]


def of_infusion(infusion: Infusion) -> Evidence:
    """An infusion as evidence, on the page of the client's treatment."""
    page = f"/clients/{infusion.client_id}/treatment"
    return Evidence(kind="infusion", id=infusion.infusion_id, href=page)


def on(facts: BriefFacts, day: date) -> str:
    """A day as it is said: "18 Nov"."""
    return sentences.day(day, facts.today)


def at(facts: BriefFacts, moment: datetime) -> str:
    """An appointment or a record as it is said, on the clinic's clock as on every page: "18 Nov 14:00"."""
    local = moment.astimezone(facts.clinic_zone)
    return f"{sentences.day(local.date(), facts.now.astimezone(facts.clinic_zone).date())} {local:%H:%M}"


def changed(facts: BriefFacts, since_words: str) -> list[BriefSentence]:
    """Each substance's craving, mood and anxiety: the mean since, beside that of the days before."""
    # What is treated no more was asked about for a part of the time: it is told, too.
    asked = {each for day in facts.days for each, value in day.row.craving.items() if value is not None}
    named = dict.fromkeys([*courses.active_on(facts.substances, facts.today), *sorted(asked)])
    told = [_mean_of(facts, f"Craving for {each}", since_words, _craving_for(each)) for each in named]
    told.append(_mean_of(facts, "Mood (high is good)", since_words, lambda day: day.row.mood))
    told.append(_mean_of(facts, "Anxiety", since_words, lambda day: day.row.anxiety))
    return [each for each in told if each is not None]


def _craving_for(substance: Substance) -> Callable[[Day], int | None]:
    return lambda day: day.row.craving.get(substance)


def _mean_of(
    facts: BriefFacts, name: str, since_words: str, value_of: Callable[[Day], int | None]
) -> BriefSentence | None:
    since = [(day, value) for day in facts.days if (value := value_of(day)) is not None]
    if not since:
        return None
    before = [(day, value) for day in facts.before if (value := value_of(day)) is not None]
    text = f"{name} {_mean(since)} on average {since_words} ({_answers(len(since))})"
    if before:
        text += f", {_mean(before)} in the 14 days before ({_answers(len(before))})"
    return say(f"{text}.", of_check_ins(facts, (day.row for day, _ in [*before, *since])))


def _mean(values: Sequence[tuple[Day, int]]) -> str:
    return sentences.tenths(fmean(value for _, value in values))


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def answers(facts: BriefFacts) -> BriefSentence:
    """How many of the days since were answered, and which were not."""
    first = facts.since_on + timedelta(days=1)
    asked = [
        day
        for ahead in range((facts.today - first).days)
        if pauses.covering(facts.pauses, day := first + timedelta(days=ahead)) is None
        and courses.active_on(facts.substances, day)
    ]
    answered = {day.row.client_day for day in facts.days}
    silent = [day for day in asked if day not in answered]
    if not asked:
        return say(_nothing_asked(facts, first), [])
    text = f"{len(asked) - len(silent)} of {len(asked)} full days answered"
    if silent:
        named = ", ".join(on(facts, day) for day in silent[-MOST_DAYS_NAMED:])
        text += f"; no answer on {named}" + (" and before" if len(silent) > MOST_DAYS_NAMED else "")
    return say(f"{text}.", of_check_ins(facts, (day.row for day in facts.days)))


def _nothing_asked(facts: BriefFacts, first: date) -> str:
    days = [first + timedelta(days=ahead) for ahead in range((facts.today - first).days)]
    if not days:
        return "No full day has passed since."
    if not any(courses.active_on(facts.substances, day) for day in days):
        return "Nothing was asked since: no substance is entered for the course on these days."
    return "Nothing was asked since: paused on every full day."


def safety(facts: BriefFacts) -> list[BriefSection]:
    """The section of a yes to the safety question, in the client's own words; none where nobody said yes."""
    if not facts.unsafe:
        return []
    # The same said again on a day is one sentence.
    alike: dict[tuple[date, str | None], list[Day]] = {}
    for day in facts.unsafe:
        alike.setdefault((day.row.client_day, day.note), []).append(day)
    groups = list(alike.values())
    shown = groups[-MOST_UNSAFE:]
    told = [
        say(
            f"Yes to the safety question on {on(facts, days[0].row.client_day)}{_times(len(days))}.",
            of_check_ins(facts, (day.row for day in days)),
            quote=quoted(facts, days[0]),
        )
        for days in reversed(shown)
    ]
    if rest := [day for days in groups[: -len(shown)] for day in days]:
        told.append(say(f"{len(rest)} more before.", of_check_ins(facts, (day.row for day in rest))))
    return [section("safety", "Said about safety", told)]


def _times(count: int) -> str:
    return "" if count == 1 else f", {count} times"


def quoted(facts: BriefFacts, day: Day) -> str | None:
    """What the client wrote on a day, as much as a sheet has room for; None where nothing may be read."""
    # The worst and the best day have theirs beside those about safety.
    beside = min(len(facts.unsafe), MOST_UNSAFE) + 2
    most = max(LEAST_QUOTED, min(MOST_QUOTED, QUOTED_IN_ALL // beside))
    return None if day.note is None else shorten(day.note, most, placeholder=" …")


def use(facts: BriefFacts, since_words: str) -> BriefSentence:
    """Use that was reported since, by day; that none was is said with how often it was asked."""
    asked = [row for row in facts.reports if row.used is not None]
    reported = [row for row in asked if row.used]
    if not asked:
        return say(f"The question about use was not answered {since_words}.", [])
    if not reported:
        return say(f"No use reported {since_words} ({_answers(len(asked))}).", of_check_ins(facts, asked))
    named = "; ".join(f"{' and '.join(row.used or ())} on {on(facts, row.client_day)}" for row in reported[-5:])
    earlier = f", and {len(reported) - 5} more" if len(reported) > 5 else ""
    return say(f"Use reported {since_words}: {named}{earlier}.", of_check_ins(facts, reported))


def alerts(facts: BriefFacts) -> list[BriefSentence]:
    """Each alert that is open and those closed since, up to a sheet's worth: why, and what became of it."""
    shown = max(MOST_ALERTS, sum(alert.closed_at is None for alert, _ in facts.alerts))
    told = [_alert(facts, alert, found) for alert, found in facts.alerts[:shown]]
    if rest := [alert for alert, _ in facts.alerts[shown:]]:
        href = f"/clients/{facts.client.client_id}"
        evidence = [Evidence(kind="alert", id=each.alert_id, href=href) for each in rest]
        told.append(say(f"{len(rest)} closed {'alert' if len(rest) == 1 else 'alerts'} more.", evidence))
    return told


def _alert(facts: BriefFacts, alert: AlertSince, found: Sequence[Finding]) -> BriefSentence:
    weighed = reasons.by_weight(found)
    # What is urgent is never behind "and more".
    told = [each for each in weighed if each.tier is Tier.URGENT] or weighed[:1]
    # Whoever says the same three times on a day is told of once.
    said = dict.fromkeys(sentences.of_finding(each, facts.today) for each in told)
    why = " ".join(said) or "No reason stands any more."
    more = f" And {len(weighed) - len(told)} more." if len(weighed) > len(told) else ""
    evidence = Evidence(kind="alert", id=alert.alert_id, href=f"/alerts/{alert.alert_id}")
    return say(
        f"{alert.tier.word.capitalize()}, {on(facts, _local(facts, alert.opened_at))}: {why}{more} {_done(alert)}",
        [evidence],
    )


def open_since(facts: BriefFacts, alert: OpenAlert) -> BriefSentence:
    """That an alert is open, how urgent, since when, and who has it, in the words of the gate's page."""
    evidence = Evidence(kind="alert", id=alert.alert_id, href=f"/alerts/{alert.alert_id}")
    whose = open_alerts.whose(alert, facts.clinic_zone, now=facts.now)
    newest = f", newest reason {at(facts, alert.newest_at)}" if alert.renewed else ""
    text = f"{alert.tier.word.capitalize()} alert open since {at(facts, alert.opened_at)}{newest}. {whose}"
    return say(text, [evidence])


def _local(facts: BriefFacts, moment: datetime) -> date:
    return moment.astimezone(facts.zone).date()


def _done(alert: AlertSince) -> str:
    match alert.state:
        case AlertState.RESOLVED:
            return f"Resolved: {sentences.words(alert.outcome or 'closed')}."
        case AlertState.AUTO_RESOLVED:
            return "Closed by itself."
        case AlertState.ACKNOWLEDGED:
            return f"{alert.acknowledged_by or 'Somebody'} has it."
        case AlertState.SNOOZED:
            return "Snoozed."
        case AlertState.OPEN | AlertState.DISPATCHED:
            return "Nobody has it yet."


def instruments(facts: BriefFacts) -> list[BriefSentence]:
    """Of each instrument the newest total, beside the one before it: reliable change by the instrument's own rule."""
    return [_instrument(facts, each, each.points[-1]) for each in facts.instruments if each.points]


def _instrument(facts: BriefFacts, series: InstrumentSeries, point: SeriesPoint) -> BriefSentence:
    total = "not scored, too much was left out" if point.total is None else _points(series, point.total)
    band = f" ({point.band})" if point.band else ""
    href = f"/clients/{facts.client.client_id}/instruments"
    evidence = [Evidence(kind="instrument_response", id=point.response_id, href=href)]
    change = "" if point.since_previous is None else f", {_compared(facts, series, point.since_previous)}"
    return say(f"{series.title}, {on(facts, point.client_day)}: {total}{band}{change}.{_left_out(point)}", evidence)


# Up to here a tenth of a point says something.
SHORT_SCALE = 10


def _points(series: InstrumentSeries, value: float) -> str:
    """Points as one says them: what rests on a question that was filled in with the mean is rounded, and says so."""
    if value.is_integer():
        return f"{value:g}"
    return f"about {value:.0f}" if series.greatest > SHORT_SCALE else sentences.tenths(value)


def _left_out(point: SeriesPoint) -> str:
    """Which questions were left out; an urgent one is worth asking about."""
    if not point.missing:
        return ""
    named = f"Question{'s' if len(point.missing) > 1 else ''} {', '.join(point.missing)}"
    was = "were" if len(point.missing) > 1 else "was"
    filled = ", and filled in with the mean: no change is judged from that" if point.filled_in else ""
    return f" {named} {was} left out{filled}."


def _compared(facts: BriefFacts, series: InstrumentSeries, change: Change) -> str:
    filled_in = any(each.filled_in and each.client_day == change.since for each in series.points)
    then = f"{on(facts, change.since)}{', when a question was filled in with the mean' if filled_in else ''}"
    if not change.points:
        return f"the same as on {then}"
    told = f"{_points(series, abs(change.points))} {'higher' if change.points > 0 else 'lower'} than on {then}"
    if change.reliable is None:
        return told
    return f"{told}, {'a reliable change' if change.reliable else 'within what may be chance'}"


def away(facts: BriefFacts) -> BriefSentence | None:
    """That the client is discharged or paused, where they are."""
    if facts.course.phase is Phase.DISCHARGED and facts.course.ended_on is not None:
        href = f"/clients/{facts.client.client_id}/treatment"
        evidence = Evidence(kind="course", id=facts.course.course_id, href=href)
        return say(f"Discharged; the last day of the course was {on(facts, facts.course.ended_on)}.", [evidence])
    pause = pauses.covering(facts.pauses, facts.today)
    if pause is None:
        return None
    until = f" until {on(facts, pause.until_on)}" if pause.until_on is not None else ""
    href = f"/clients/{facts.client.client_id}/treatment"
    return say(
        f"Paused{until} ({sentences.words(pause.reason)}): no reminders, and silence says nothing.",
        [Evidence(kind="pause", id=pause.pause_id, href=href)],
    )


def since_on(facts: BriefFacts, what: str) -> str:
    """ "since the session of 12 Nov", or since the course began where there was none."""
    if not facts.since_appointment:
        return f"since the course began on {on(facts, client_day_of(facts.since, facts.zone))}"
    return f"since the {what} of {on(facts, _local(facts, facts.since))}"
