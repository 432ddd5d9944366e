"""`python -m tests.crash [--kills N] [--seed S]`: kill a deployment N times, and say whether anything was lost."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from tests.crash import play

# Each commit waits 20 ms for others, so that a reply before its commit would have a moment to be caught in.
SLOW_COMMITS = {"commit_delay": "20000", "commit_siblings": "1"}


def main(arguments: list[str]) -> int:
    """Run it; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="neap-crash-"))
    folder.chmod(0o711)
    with tqdm(total=chosen.kills, unit=" kills", disable=None) as bar:
        outcome = asyncio.run(
            play.run(folder, kills=chosen.kills, seed=chosen.seed, overrides=SLOW_COMMITS, tell=lambda _: bar.update())
        )
    for what, count in {**outcome.kills, **outcome.counts}.items():
        print(f"{count:8} {what}")
    print(f"{outcome.seconds:8.0f} s; logs in {folder}")
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    print("Nothing was lost." if not outcome.faults else f"{len(outcome.faults)} promises were broken.")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
