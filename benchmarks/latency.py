"""The 99th percentile of a check-in's latency at half the highest load, counted from the moment it fell due."""

from __future__ import annotations

import statistics

from benchmarks import driving
from benchmarks.driving import Extent, drive
from benchmarks.figures import Figure, say, show, watching_others
from benchmarks.ground import Ground

FEWEST_SECONDS = 5.0


async def measure(ground: Ground, extent: Extent, *, highest_per_second: float | None) -> None:
    """Show the median over the runs of the p99, milliseconds; the highest load is measured where it is not given."""
    p50, p99 = [], []
    with watching_others() as others:
        async with driving.neap(ground) as server:
            if highest_per_second is None:
                outcome = await drive(ground, server, seconds=extent.seconds)
                highest_per_second = sum(outcome.statuses.values()) / extent.seconds
            per_second = highest_per_second / 2
            for _ in range(extent.rounds):
                seconds = max(extent.seconds, FEWEST_SECONDS)
                outcome = await drive(ground, server, seconds=seconds, per_second=per_second)
                p50.append(percentile(outcome.latencies_ms, 50))
                p99.append(percentile(outcome.latencies_ms, 99))
                say(f"at {per_second:.0f}/s: p50 {p50[-1]:.1f} ms, p99 {p99[-1]:.1f} ms")
    show(
        Figure(
            figure="p99_at_half_load",
            value=statistics.median(p99),
            unit="ms",
            foreign_cpus=others.cpus,
            notes={"per_second": round(per_second), "p50_ms": round(statistics.median(p50), 2)},
        )
    )


def percentile(values: list[float], percent: int) -> float:
    """The value that `percent` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
