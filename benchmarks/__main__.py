"""`python -m benchmarks`: measure the figures of docs/benchmarks.md, one JSON object a line on stdout."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks import driving, ground, latency, throughput


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed and memory.")
    parser.add_argument("--only", choices=["throughput", "latency"], help="one measurement")
    parser.add_argument("--quick", action="store_true", help="one short round of each: a look, not a figure")
    return parser.parse_args()


async def main(given: argparse.Namespace) -> None:
    extent = driving.QUICK if given.quick else driving.FULL
    async with ground.prepared() as prepared:
        rate = None
        if given.only in (None, "throughput"):
            rate = await throughput.measure(prepared, extent)
        if given.only in (None, "latency"):
            await latency.measure(prepared, extent, highest_per_second=rate)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
