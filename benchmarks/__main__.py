"""`python -m benchmarks`: measure the figures of docs/benchmarks.md, one JSON object a line on stdout."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks import (
    driving,
    fold_cost,
    ground,
    latency,
    memory,
    noticing,
    restoring,
    storm,
    telling,
    throughput,
    ticking,
)

NAMES = ("throughput", "latency", "noticing", "telling", "storm", "fold", "ticking", "memory", "restore")


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed and memory.")
    parser.add_argument("--only", choices=NAMES, help="one measurement")
    parser.add_argument("--quick", action="store_true", help="one short round of each: a look, not a figure")
    return parser.parse_args()


async def main(given: argparse.Namespace) -> None:
    """Measure what was asked for, the parts one after another: they share the machine."""
    wanted = NAMES if given.only is None else (given.only,)
    extent = driving.QUICK if given.quick else driving.FULL
    if {"throughput", "latency"} & set(wanted):
        async with ground.prepared() as prepared:
            highest = await throughput.measure(prepared, extent) if "throughput" in wanted else None
            if "latency" in wanted:
                await latency.measure(prepared, extent, highest_per_second=highest)
    if "noticing" in wanted:
        await noticing.measure(quick=given.quick)
    if "telling" in wanted:
        await telling.measure(quick=given.quick)
    if "storm" in wanted:
        await storm.measure(quick=given.quick)
    if "fold" in wanted:
        await fold_cost.measure(quick=given.quick)
    if "ticking" in wanted:
        await ticking.measure(quick=given.quick)
    if "memory" in wanted:
        await memory.measure()
    if "restore" in wanted:
        await restoring.measure(quick=given.quick)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
