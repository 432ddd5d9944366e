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
    """For each treated substance how a screen goes with the answers in its detection window, in the same order.

    `of_sample`: every standing screen of the same sample, so that nobody is measured by what a laboratory refuted.
    A check-in counts when it was answered in the window before the sample. It tells of the time since the one before,
    which may begin before the window: that use was over-reported is said only where all of that time lies in it.
    """
    found = gate_records.found_in(of_sample or [screen])
    return [_of_substance(screen, found, answers, substance) for substance in treated]


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
    positive = any(found[analyte] for analyte in looked_for)
    reported = any(substance in each.used for each in within) if within else None
    told = _compared(positive=positive, reported=reported)
    if told is Agreement.OVER_REPORTED and not _surely_within(answers, within, substance, since):
        told = Agreement.NO_DATA
    return SubstanceAgreement(
        substance=substance,
        agreement=told,
        positive=positive,
        reported=reported,
        answers=len(within),
        window_hours=hours,
    )


def _surely_within(
    answers: Sequence[UseAnswer], within: Sequence[UseAnswer], substance: Substance, since: datetime
) -> bool:
    """Whether use was told that the screen should have found: an answer speaks of all the time since the one before."""
    moments = sorted(each.counted_at for each in answers)
    before = dict(zip(moments[1:], moments, strict=False))
    used = [each.counted_at for each in within if substance in each.used]
    return any(each in before and before[each] >= since for each in used)


def _compared(*, positive: bool, reported: bool | None) -> Agreement:
    if reported is None:
        return Agreement.NO_DATA
    if positive == reported:
        return Agreement.AGREE
    return Agreement.UNDER_REPORTED if positive else Agreement.OVER_REPORTED


def earliest(screens: Sequence[DrugScreen]) -> datetime | None:
    """From when on answers are needed to compare these screens; None without any."""
    longest = timedelta(hours=max(WINDOW_HOURS.values()))
    return min((each.collected_at - longest for each in screens), default=None)


def abstinence(
    infusions: Sequence[Infusion],
    screens: Sequence[DrugScreen],
    treated_at: Mapping[UUID, Sequence[Substance]],
    *,
    now: datetime,
) -> AbstinenceFigures:
    """How many of the infusions' screens found none of the treated substances, with missing ones counted apart.

    Every infusion whose slot has come and that was not cancelled is an occasion, for each begins with a screen. Of the
    standing `screens` of an infusion the one that counts most does (`gate_records.found_in`); where none looked for a
    treated substance it is missing. `treated_at`: the treated substances by infusion.
    """
    begun = [each for each in infusions if (each.given_at or each.planned_at) <= now]
    occasions = [each for each in begun if each.state is not InfusionState.CANCELLED]
    found = [_is_negative(each.infusion_id, screens, treated_at.get(each.infusion_id, ())) for each in occasions]
    negative, positive, missing = found.count(True), found.count(False), found.count(None)
    return AbstinenceFigures(
        occasions=len(occasions),
        negative=negative,
        positive=positive,
        missing=missing,
        share_missing_as_positive=negative / len(occasions) if occasions else None,
        share_missing_excluded=negative / (negative + positive) if negative + positive else None,
    )


def _is_negative(infusion_id: UUID, screens: Sequence[DrugScreen], treated: Sequence[Substance]) -> bool | None:
    """Whether the screen found nothing that is treated; None where there is none that says so."""
    found = gate_records.found_in(each for each in screens if each.infusion_id == infusion_id)
    of_treated = [positive for analyte, positive in found.items() if SUBSTANCE_OF[analyte] in treated]
    return not any(of_treated) if of_treated else None
