"""Whether a change is more than noise, and whether a target is reached, each with its formula in words; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from schemas.instrument import Instrument, ReliableChange, Remission, Response, Worse

# The two-sided 5 % point of the normal distribution: Jacobson & Truax 1991, J Consult Clin Psychol 59:12-19.
Z = 1.96


def least_reliable(rule: ReliableChange) -> float:
    """The difference in points from which on (published points) or beyond which (formula) a change is reliable."""
    if rule.points is not None:
        return rule.points
    assert rule.sd is not None
    assert rule.r is not None
    return Z * math.sqrt(2) * rule.sd * math.sqrt(1 - rule.r)


def is_reliable(rule: ReliableChange, difference: float) -> bool:
    """Whether a difference of two totals is more than the noise of measuring, in either direction."""
    size, least = abs(difference), least_reliable(rule)
    return size >= least if rule.points is not None else size > least


def is_worse(instrument: Instrument, difference: float) -> bool:
    """Whether a difference (later less earlier) is in the direction of worse."""
    return difference > 0 if instrument.worse is Worse.HIGHER else difference < 0


def baseline(rule: Response | Remission, totals: Sequence[float]) -> float | None:
    """The total that a response or a remission is judged from, of those before it by time; None where there is none.

    The first that is high enough to judge by: HEDIS lets an episode begin with the first elevated total, so that a low
    one before it hides no later improvement.
    """
    least = rule.first_at_least
    return next((each for each in totals if each > 0 and (least is None or each >= least)), None)


def responded(rule: Response, first: float, total: float) -> bool:
    """Whether the response's share of its baseline is reached."""
    return first - total >= rule.share * first


def remitted(rule: Remission, total: float) -> bool:
    """Whether the total is in remission."""
    return total < rule.below


def formula_of_reliable(rule: ReliableChange) -> str:
    """How a reliable change is found, in words."""
    if rule.points is not None:
        return f"a difference of at least {rule.points:g} points"
    return (
        f"a difference beyond 1.96·√2·sd·√(1−r) = 1.96·√2·{rule.sd:g}·√(1−{rule.r:g}) = {least_reliable(rule):.2f} "
        "points (Jacobson & Truax 1991)"
    )


def formula_of_response(rule: Response) -> str:
    """How response is found, in words."""
    return f"at least {rule.share:.0%} less than the first total{_from(rule.first_at_least)}"


def formula_of_remission(rule: Remission) -> str:
    """How remission is found, in words."""
    return f"a total below {rule.below:g}{_from(rule.first_at_least)}"


def _from(first_at_least: float | None) -> str:
    return "" if first_at_least is None else f", judged from the first total of at least {first_at_least:g} on"
