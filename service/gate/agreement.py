"""What was answered beside what a screen found, and how often screens were negative; pure.

A difference is no accusation: a screen may be a cross-reaction, an answer may be about another day than one thinks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import msgspec

from schemas.course import Infusion, InfusionState, Substance
from schemas.gate import (
    AbstinenceFigures,
    Agreement,
    Analyte,
    DrugScreen,
    ScreenResult,
    SubstanceAgreement,
)
from service.facts import gate_records

# How long after use a urine or breath sample may still find it, in hours: the longer end for single use, after Moeller,
# Kissack, Atayee and Lee, Mayo Clin Proc 2017;92(5):774-796. Alcohol itself 12 h; its markers 80 h; the metabolite of
# cocaine 4 days; heroin and morphine 3 days; short-acting benzodiazepines 3 days; amphetamines 2; cannabis 3 days.
WINDOW_HOURS: Mapping[Analyte, int] = MappingProxyType(
    {
        Analyte.ALCOHOL: 12,
        Analyte.ALCOHOL_MARKER: 80,
        Analyte.COCAINE: 96,
        Analyte.OPIOID: 72,
        Analyte.BENZODIAZEPINE: 72,
        Analyte.AMPHETAMINE: 48,
        Analyte.CANNABIS: 72,
        Analyte.OTHER: 72,
    }
)
SUBSTANCE_OF: Mapping[Analyte, Substance] = MappingProxyType(
    {
        Analyte.ALCOHOL: Substance.ALCOHOL,
        Analyte.ALCOHOL_MARKER: Substance.ALCOHOL,
        Analyte.COCAINE: Substance.COCAINE,
        Analyte.OPIOID: Substance.OPIOID,
        Analyte.BENZODIAZEPINE: Substance.OTHER,
        Analyte.AMPHETAMINE: Substance.OTHER,
        Analyte.CANNABIS: Substance.OTHER,
        Analyte.OTHER: Substance.OTHER,
    }
)


# Repeated use is found for longer than single use: what was told so shortly before the window may be what was found.
SHORTLY_BEFORE = timedelta(hours=24)
# How far back answers are read: one speaks of the time since the one before, which may have been days earlier.
ANSWERS_REACH = timedelta(days=14)


class UseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A check-in that says whether something was used since the one before."""

    counted_at: datetime
    used: list[Substance]


def of_screen(
    screen: DrugScreen,
    answers: Sequence[UseAnswer],
    treated: Sequence[Substance],
    *,
    of_sample: Sequence[DrugScreen] = (),
) -> list[SubstanceAgreement]:
    """For each treated substance how a screen goes with the answers about its detection window, in the same order.

    `of_sample`: every standing screen of the same sample, so that nobody is measured by what a laboratory refuted.
    An answer tells of the time since the one before. What a screen found may come from any time in the window: that it
    was under-reported is said only where the answers speak of all of that, and none of them, nor one of shortly before,
    mentions it. That use was over-reported is said only where all that the answer speaks of lies in the window.
    """
    found = gate_records.found_in(of_sample or [screen])
    ordered = sorted(answers, key=lambda each: each.counted_at)
    return [_of_substance(screen, found, ordered, substance) for substance in treated]


def _of_substance(
    screen: DrugScreen, found: Mapping[Analyte, bool], answers: Sequence[UseAnswer], substance: Substance
) -> SubstanceAgreement:
    looked_for = [analyte for analyte in screen.panel if SUBSTANCE_OF[analyte] is substance]
    hours = max((WINDOW_HOURS[analyte] for analyte in looked_for), default=None)
    if hours is None or screen.result is ScreenResult.INVALID:
        return SubstanceAgreement(
            substance=substance,
            agreement=Agreement.NO_DATA,
            positive=None,
            reported=None,
            answers=0,
            window_hours=hours,
        )
    since = screen.collected_at - timedelta(hours=hours)
    within = [each for each in answers if since < each.counted_at <= screen.collected_at]
    if any(found[analyte] for analyte in looked_for):
        return _of_positive(screen, answers, within, substance, hours)
    reported = any(substance in each.used for each in within) if within else None
    told = Agreement.NO_DATA if reported is None else Agreement.AGREE
    if reported and _surely_within(answers, within, substance, since):
        told = Agreement.OVER_REPORTED
    elif reported:
        told = Agreement.NO_DATA
    return SubstanceAgreement(
        substance=substance,
        agreement=told,
        positive=False,
        reported=reported,
        answers=len(within),
        window_hours=hours,
    )


def _of_positive(
    screen: DrugScreen,
    answers: Sequence[UseAnswer],
    within: Sequence[UseAnswer],
    substance: Substance,
    hours: int,
) -> SubstanceAgreement:
    since, at = screen.collected_at - timedelta(hours=hours), screen.collected_at
    # The first answer after the sample speaks of the hours before it, too.
    after = next(([each] for each in answers if each.counted_at > at), [])
    around = [each for each in answers if since - SHORTLY_BEFORE < each.counted_at <= since]
    begun = any(each.counted_at <= since for each in answers)
    reported = any(substance in each.used for each in [*around, *within, *after])
    told = Agreement.AGREE if reported else Agreement.NO_DATA
    if not reported and begun and within and (after or within[-1].counted_at == at):
        told = Agreement.UNDER_REPORTED
    return SubstanceAgreement(
        substance=substance,
        agreement=told,
        positive=True,
        reported=reported if reported or within else None,
        answers=len(within),
        window_hours=hours,
    )


def _surely_within(
    answers: Sequence[UseAnswer], within: Sequence[UseAnswer], substance: Substance, since: datetime
) -> bool:
    """Whether use was told that the screen should have found: an answer speaks of all the time since the one before."""
    moments = [each.counted_at for each in answers]
    before = dict(zip(moments[1:], moments, strict=False))
    used = [each.counted_at for each in within if substance in each.used]
    return any(each in before and before[each] >= since for each in used)


def earliest(screens: Sequence[DrugScreen]) -> datetime | None:
    """From when on answers are needed to compare these screens; None without any."""
    longest = timedelta(hours=max(WINDOW_HOURS.values())) + ANSWERS_REACH
    return min((each.collected_at - longest for each in screens), default=None)


def abstinence(
    infusions: Sequence[Infusion],
    screens: Sequence[DrugScreen],
    treated_at: Mapping[UUID, Sequence[Substance]],
    *,
    opens_hours: int,
    now: datetime,
) -> AbstinenceFigures:
    """How many of the infusions' screens found none of the treated substances, with missing ones counted apart.

    Every infusion whose slot has come and that was not cancelled is an occasion, for each begins with a screen. Of the
    standing `screens` of an infusion the one that counts most does (`gate_records.found_in`). One that found something
    treated is positive; where something treated was not looked for, and nothing found, the occasion is missing. One
    that names no infusion belongs to the next slot within `opens_hours`. `treated_at`: treated substances by infusion.
    """
    begun = [each for each in infusions if (each.given_at or each.planned_at) <= now]
    occasions = [each for each in begun if each.state is not InfusionState.CANCELLED]
    screens_of: dict[UUID, list[DrugScreen]] = {each.infusion_id: [] for each in occasions}
    for screen in screens:
        infusion_id = screen.infusion_id or _next_slot(screen, occasions, timedelta(hours=opens_hours))
        if infusion_id in screens_of:
            screens_of[infusion_id].append(screen)
    found = [_is_negative(screens_of[each.infusion_id], treated_at.get(each.infusion_id, ())) for each in occasions]
    negative, positive, missing = found.count(True), found.count(False), found.count(None)
    return AbstinenceFigures(
        occasions=len(occasions),
        negative=negative,
        positive=positive,
        missing=missing,
        share_missing_as_positive=negative / len(occasions) if occasions else None,
        share_missing_excluded=negative / (negative + positive) if negative + positive else None,
    )


def _next_slot(screen: DrugScreen, occasions: Sequence[Infusion], reach: timedelta) -> UUID | None:
    coming = [(each.given_at or each.planned_at, each.infusion_id) for each in occasions]
    return min(
        ((at, infusion_id) for at, infusion_id in coming if timedelta() <= at - screen.collected_at <= reach),
        default=(None, None),
    )[1]


def _is_negative(screens: Sequence[DrugScreen], treated: Sequence[Substance]) -> bool | None:
    """Whether the screens found nothing that is treated; None where they do not say so of all of it."""
    found = gate_records.found_in(screens)
    if any(positive for analyte, positive in found.items() if SUBSTANCE_OF[analyte] in treated):
        return False
    sought = {SUBSTANCE_OF[analyte] for analyte in found}
    return True if treated and sought >= set(treated) else None
