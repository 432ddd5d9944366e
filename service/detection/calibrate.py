"""Making the rules: priors from people, the limit from simulation to the false-alert budget.

`make_shipped` draws stable made-up people, fits the population to some, the surface and the limits to others, and
returns the data file. Same seed, numpy version and machine architecture: same file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields

import msgspec
import numpy as np
from msgspec.structs import replace

from service.detection.estimate import asked_items, fit_missingness, fit_prior, people_count
from service.detection.limits import FEATURES, FIRST_ALERT_DAY, FLOOR
from service.detection.noise import CLIP_SDS, fit_noise
from service.detection.population import (
    ITEMS,
    Array,
    Noise,
    Rules,
    Shipped,
    Surface,
)
from service.detection.replay import Evidence, above_twice, alert_days, crossings, gather
from service.detection.series import Days
from service.detection.synthetic import SHIFTED, Population, cohort, drawn_like

BUDGETS_DAYS = (20.0, 30.0, 45.0, 60.0, 90.0, 150.0, 250.0, 365.0)
CAP_STEP = 0.16
COMMAND = "python -m service calibrate"
FIRST_LIMIT = 3.1
TOLERANCE = 0.005
DAMPING = 0.6
"""Of the surface's steps: a whole one overshoots where two features say nearly the same."""
KEPT_SHARES = dict.fromkeys(FLOOR, 0.5) | {"answered": 0.75, "answered_distance": 0.75}
"""Of these fitted terms: the whole of them costs delay, and so much of them holds the budget well enough elsewhere."""
SURFACE_ROUNDS = 8
SETTLING_ROUNDS = 3
"""Of the other terms, once those are set."""
MOST_TRIES = 8
LIMIT_COHORTS = 3
"""People for the limit, as a multiple of the others: with 2,000 its false-alert rate is known to 2 % only."""

# From a history: each crossing of a person raises that person's limit by the least of these steps that keeps the
# share of people above twice the budget below the bound. A larger step would meet the cap's own bound, half the limit,
# at once, and be gone the sooner.
CAP_STEPS = (0.25, 0.5, 1.0, 1.5)
MOST_ABOVE_TWICE = 0.1
SIMULATION_ALERTS = 20.0
"""What the simulated limit weighs beside the history's own people, in false alerts seen."""

# One-step-ahead likelihood on made-up people chooses 200 degrees; 40 cost nothing there and let one odd answer count
# by its surprise, where a close clip would cut a true jump off.
NOISE = Noise(degrees=40.0, scale=1.0, drift=0.0, clip_sds=CLIP_SDS)

DIGEST_LENGTH = 8

Tell = Callable[[str], None]


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """Rules made from a history, and how they fare on it: `kept` names what it could not tell and the known rules had
    to; `false_alert_days` and `above_twice` are those of its own people, taken as stable throughout."""

    shipped: Shipped
    people: int
    client_days: int
    kept: tuple[str, ...]
    simulated_limit: float
    false_alert_days: float
    above_twice: float


def make_shipped(
    seed: int,
    *,
    clients: int = 2000,
    rounds: int = SURFACE_ROUNDS,
    budgets_days: tuple[float, ...] = BUDGETS_DAYS,
    tell: Tell = lambda _: None,
) -> Shipped:
    """The shipped data file from nothing but `seed`; `tell` hears of progress. Takes about 2 minutes of one core.

    `budgets_days` ascends and holds 60, the budget of the rules as stored.
    """
    rules = _unfitted(seed, clients)
    tell("population fitted")
    rules = fit_surface(rules, seed + 1, clients=clients // 3, rounds=rounds, tell=tell)
    stable = gather(cohort(seed + 2, LIMIT_COHORTS * clients).days, rules)
    limits = []
    for budget_days in budgets_days:
        guess = round(rules.limit + float(np.log(budget_days / rules.budget_days)), 4)
        rules = replace(rules, budget_days=budget_days, limit=guess)
        rules = replace(rules, limit=find_limit(rules, stable))
        limits.append(rules.limit)
        tell(f"budget {budget_days:g} days: limit {rules.limit:.4f}")
    kept = replace(rules, budget_days=60.0, limit=limits[budgets_days.index(60.0)])
    return Shipped(budgets_days=budgets_days, limits=tuple(limits), rules=kept)


def _unfitted(seed: int, clients: int) -> Rules:
    """The population of `seed`, with a flat surface and a limit to begin from."""
    training = cohort(seed, clients).days
    prior = fit_prior(training)
    return Rules(
        version=f"shipped-{seed}",
        seed=seed,
        command=f"{COMMAND} --seed {seed} --clients {clients}",
        numpy=np.__version__,
        bit_generator="PCG64",
        budget_days=60.0,
        limit=FIRST_LIMIT,
        cap_step=CAP_STEP,
        prior=prior,
        noise=NOISE,
        missingness=fit_missingness(training, prior),
        surface=Surface(**dict.fromkeys(FEATURES, 0.0)),
    )


def make_from(
    history: Days,
    known: Rules,
    *,
    seed: int,
    command: str,
    budgets_days: tuple[float, ...] = (60.0,),
    budget_days: float = 60.0,
    simulated_clients: int = 1000,
    tell: Tell = lambda _: None,
) -> Fitted:
    """Rules for a real history's people: population, noise and missed days are theirs, and so is the limit as far as
    they have days enough; the rest comes from simulating them. What they cannot tell is kept from `known`.

    `budgets_days` ascends and holds `budget_days`, the budget of the rules as stored. Raises ValueError when nobody
    has enough answers.
    """
    digest = _digest(history, known.version, seed, simulated_clients, budgets_days, budget_days)
    known = replace(known, version=f"history-{seed}-{digest}", budget_days=budget_days, seed=seed, command=command)
    rules, kept = _fitted_to(history, known)
    tell(f"population fitted: {rules.noise}")
    own = gather(history, rules)
    simulated = gather(drawn_like(history, rules, seed, simulated_clients), rules)
    rules = _capped(rules, own, tell)
    limits, drawn = list[float](), rules.limit
    for budget in budgets_days:
        guess = rules.limit + float(np.log(budget / rules.budget_days))
        rules = replace(rules, budget_days=budget, limit=round(guess, 4))
        limit, simulated_limit = _joint_limit(rules, own, simulated)
        # Fewer alerts take no lower a limit, though of few people the days may say so by chance.
        limit = max([limit, *limits])
        rules = replace(rules, limit=limit)
        limits.append(limit)
        drawn = simulated_limit if budget == budget_days else drawn
        tell(f"budget {budget:g} days: limit {limit:.4f}, simulated {simulated_limit:.4f}")
    rules = replace(rules, budget_days=budget_days, limit=limits[budgets_days.index(budget_days)])
    crossing, _ = crossings(own, rules)
    return Fitted(
        shipped=Shipped(budgets_days=budgets_days, limits=tuple(limits), rules=rules),
        people=people_count(history),
        client_days=int(history.active.sum()),
        kept=kept,
        simulated_limit=drawn,
        false_alert_days=alert_days(own, crossing),
        above_twice=above_twice(own, crossing, budget_days),
    )


def _digest(history: Days, *others: object) -> str:
    """Tells rules apart that come from other numbers, though the seed be the same: of the days and all else given."""
    hashed = hashlib.sha256(repr((history.scores.shape, others)).encode())
    for field in fields(history):
        hashed.update(np.nan_to_num(getattr(history, field.name), nan=-1).tobytes())
    return hashed.hexdigest()[:DIGEST_LENGTH]


def _fitted_to(history: Days, known: Rules) -> tuple[Rules, tuple[str, ...]]:
    """The rules with the history's population, noise and missed days, and what was kept of `known`."""
    prior = fit_prior(history, known.prior)
    kept = [f"{name} (never asked)" for i, name in enumerate(ITEMS) if i not in asked_items(history)]
    if not history.infusion.any():
        kept.append("infusion effect (no infusion in the history)")
    missingness = known.missingness
    if (history.active & np.isnan(history.scores).all(axis=2)).any():
        missingness = fit_missingness(history, prior)
    else:
        kept.append("missed days (none in the history)")
    rules = replace(
        known,
        numpy=np.__version__,
        prior=prior,
        missingness=missingness,
    )
    kept.append("limit surface")
    return replace(rules, noise=fit_noise(history, rules)), tuple(kept)


def _capped(rules: Rules, own: Evidence, tell: Tell) -> Rules:
    """The rules with the least cap step that is fair enough to people of odd noise, else with the fairest."""
    shares = list[tuple[float, Rules]]()
    for step in CAP_STEPS:
        rules = replace(rules, cap_step=step)
        rules = replace(rules, limit=find_limit(rules, own))
        share = above_twice(own, crossings(own, rules)[0], rules.budget_days)
        tell(f"cap step {step:g}: {share:.1%} of people above twice the budget")
        if share <= MOST_ABOVE_TWICE:
            return rules
        shares.append((share, rules))
    return min(shares, key=lambda pair: pair[0])[1]


def _joint_limit(rules: Rules, own: Evidence, simulated: Evidence) -> tuple[float, float]:
    """The limit from the history's people and from simulated ones, weighed by the false alerts seen, and the latter."""
    alerts = float((own.own_day >= FIRST_ALERT_DAY).sum()) / rules.budget_days
    share = alerts / (alerts + SIMULATION_ALERTS)
    drawn = find_limit(rules, simulated)
    found = find_limit(replace(rules, limit=drawn), own) if alerts >= 1 else drawn
    return round(share * found + (1 - share) * drawn, 4), drawn


def encode(shipped: Shipped) -> bytes:
    """The data file's bytes."""
    return msgspec.json.format(msgspec.json.encode(shipped), indent=1) + b"\n"


def find_limit(rules: Rules, stable: Days | Evidence) -> float:
    """The limit at which stable people give one false alert per `rules.budget_days` days (secant on the log rate)."""
    if isinstance(stable, Days):
        stable = gather(stable, rules)
    limit, tried = rules.limit, list[tuple[float, float]]()
    for _ in range(MOST_TRIES):
        found, _ = crossings(stable, replace(rules, limit=limit))
        # Without any crossing the excess has no end; two is more than a step of the secant should be.
        excess = float(np.clip(np.log(alert_days(stable, found) / rules.budget_days), -2.0, 2.0))
        tried.append((limit, excess))
        if abs(excess) < TOLERANCE:
            break
        slope = 1.0
        if len(tried) > 1:
            (before, was), (now, is_) = tried[-2:]
            slope = float(np.clip((is_ - was) / (now - before), 0.3, 3.0))
        limit = round(limit - excess / slope, 4)
    return min(tried, key=lambda pair: abs(pair[1]))[0]


def fit_surface(rules: Rules, seed: int, *, clients: int, rounds: int, tell: Tell = lambda _: None) -> Rules:
    """Fits the surface so that the hazard of a false alert is flat over populations the rules were not made for."""
    populations = [
        Population(),
        *SHIFTED.values(),
        Population(asked=(False, True, True)),
        Population(asked=(True, False, False)),
        Population(asked=(False, False, True)),
    ]
    people = [cohort(seed + 101 * i, clients, population=p).days for i, p in enumerate(populations)]
    drawn = [gather(Days.joined(people), rules)]  # together: few people cost a fold as much as many
    tell("people of other populations folded")
    kept = rules.cap_step
    rules = replace(rules, cap_step=0.0)
    for _ in range(rounds):
        rules = _surface_step(rules, drawn, FEATURES, tell)
    reduced = {name: round(share * getattr(rules.surface, name), 4) for name, share in KEPT_SHARES.items()}
    rules = replace(rules, surface=replace(rules.surface, **reduced))
    for _ in range(min(SETTLING_ROUNDS, rounds)):
        rules = _surface_step(rules, drawn, tuple(name for name in FEATURES if name not in KEPT_SHARES), tell)
    return replace(rules, cap_step=kept)


def _surface_step(rules: Rules, drawn: list[Evidence], moving: tuple[str, ...], tell: Tell) -> Rules:
    """The rules with the terms named and the limit moved towards a flat hazard."""
    columns = [FEATURES.index(name) for name in moving]
    parts = [_risk(rules, evidence) for evidence in drawn]
    step = _log_hazard(np.concatenate([p[0][:, columns] for p in parts]), np.concatenate([p[1] for p in parts]))
    step[0] += np.log(rules.budget_days)
    step *= DAMPING
    moved = {
        name: round(getattr(rules.surface, name) + float(by), 4) for name, by in zip(moving, step[1:], strict=True)
    }
    tell(f"surface: {moved}")
    return replace(rules, surface=replace(rules.surface, **moved), limit=round(rules.limit + float(step[0]), 4))


def _risk(rules: Rules, evidence: Evidence) -> tuple[Array, Array]:
    """Features (rows, FEATURES) of every day at risk from the first alert day on, and whether it crossed (rows,)."""
    crossing, resting = crossings(evidence, rules)
    at_risk = (evidence.own_day >= FIRST_ALERT_DAY) & ~resting
    return evidence.seen[at_risk].astype(np.float64), crossing[at_risk].astype(np.float64)


def _log_hazard(seen: Array, crossed: Array) -> Array:
    """Poisson regression of crossings on the features (intercept first), lightly ridged; Newton's steps."""
    design = np.concatenate([np.ones((len(seen), 1)), seen], axis=1)
    ridge = np.full(design.shape[1], 2.0)
    ridge[0] = 0.0
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(max(crossed.mean(), 1e-6))
    for _ in range(12):
        rate = np.exp(np.clip(design @ beta, -20, 2))
        gradient = design.T @ (crossed - rate) - ridge * beta
        curvature = design.T @ (design * rate[:, None]) + np.diag(ridge)
        beta = beta + np.linalg.solve(curvature, gradient)
    return beta
