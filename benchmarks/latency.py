"""The 99th percentile of a check-in's latency at half the highest load, counted from the moment it fell due."""

from __future__ import annotations

import statistics

from benchmarks import driving
from benchmarks.driving import Extent, drive
from benchmarks.figures import Figure, say, show, watching_others
from benchmarks.ground import Ground
from benchmarks.throughput import LITESTAR, OURS

FEWEST_SECONDS = 5.0


async def measure(ground: Ground, extent: Extent, *, highest_per_second: float | None) -> None:
    """Show the median over the runs of the p99, milliseconds; the highest load is measured where it is not given.

    The bare peer answers the same load in alternating rounds: what the machine itself stalls for, both are charged.
    """
    async with driving.neap(ground) as ours, driving.peer("bare_litestar", ground) as bare:
        if highest_per_second is None:
            outcome = await drive(ground, ours, seconds=extent.seconds)
            highest_per_second = sum(outcome.statuses.values()) / extent.seconds
        per_second = highest_per_second / 2
        seconds = max(extent.seconds, FEWEST_SECONDS)
        runs: dict[str, list[list[float]]] = {OURS: [], LITESTAR: []}
        with watching_others() as others:
            for _ in range(extent.rounds):
                for name, server in ((OURS, ours), (LITESTAR, bare)):
                    outcome = await drive(ground, server, seconds=seconds, per_second=per_second)
                    runs[name].append(outcome.latencies_ms)
                    p50, p99 = percentile(outcome.latencies_ms, 50), percentile(outcome.latencies_ms, 99)
                    say(f"{name} at {per_second:.0f}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    p99_of = {name: statistics.median(percentile(each, 99) for each in its) for name, its in runs.items()}
    p50_of = {name: statistics.median(percentile(each, 50) for each in its) for name, its in runs.items()}
    show(
        Figure(
            figure="p99_at_half_load",
            value=p99_of[OURS],
            unit="ms",
            versus={LITESTAR: p99_of[LITESTAR]},
            ratio={LITESTAR: p99_of[OURS] / p99_of[LITESTAR]},
            foreign_cpus=others.cpus,
            notes={
                "per_second": round(per_second),
                "p50_ms": round(p50_of[OURS], 2),
                f"p50_ms, {LITESTAR}": round(p50_of[LITESTAR], 2),
            },
        )
    )


def percentile(values: list[float], percent: int) -> float:
    """The value that `percent` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
