"""`python -m tests.mutation [part …] [mutant …]`: put small faults into the code, one at a time, and say which no test
notices.

Each fault (a mutant) is one changed operator, number, argument or text inside a function. Of the many, every part takes
the same sample each time, or the mutants that are named (`service.alerting.undo.*`). What is found is told in
docs/mutation.md; `make mutation` runs it niced, in one process.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from service import config, embedded
from tests.conftest import VOLATILE

REPOSITORY = Path(__file__).parent.parent
MUTMUT = Path(sys.executable).with_name("mutmut")
PYTEST = ("-m", "not slow", "--hypothesis-profile=as_found")


class Part(NamedTuple):
    """Modules (file patterns), the tests that are asked, and the sample: patterns of the mutants' names."""

    modules: Sequence[str]
    tests: Sequence[str]
    sample: Sequence[str]


def _detection(*names: str) -> list[str]:
    return [f"service/detection/{name}.py" for name in names]


PARTS = {
    "day": Part(
        _detection(
            *("fold", "filter", "hypotheses", "limits", "status", "state", "series", "waning", "explain"),
            *("improving", "population"),
        ),
        [
            *(f"tests/test_detection{name}.py" for name in ("", "_rules", "_explained", "_pinned", "_promises")),
            # What looks on while a day is folded.
            "tests/test_detection_calibrated.py::test_crossings_replayed_from_one_fold_are_those_of_a_fold",
            # What many people at once show, in seconds each.
            "--deselect=tests/test_detection.py::test_cuts_order_and_padding_change_nothing",
            "--deselect=tests/test_detection_explained.py::test_two_items_only_are_charted_for_a_whole_cohort",
            "--deselect=tests/test_detection_explained.py::test_the_size_told_holds_what_was_done_also_to_people_of_small_spread",
            "--deselect=tests/test_detection_explained.py::test_whoever_always_says_the_same_is_no_alert_the_day_they_say_one_more",
        ],
        ["*__mutmut_*7"],
    ),
    "fitting": Part(
        _detection("calibrate", "estimate", "noise", "replay", "sums", "synthetic"),
        [
            f"tests/test_detection_{name}.py"
            for name in ("calibrated", "history", "noise", "sums", "surface", "synthetic")
        ],
        ["*__mutmut_*7"],
    ),
    "alerts": Part(
        [
            f"service/alerting/{name}.py"
            for name in ("alert_states", "alerts", "ladder", "leases", "rounds", "tempo", "undo")
        ],
        [
            f"tests/test_{name}.py"
            for name in ("alerts", "alert_states", "alert_course", "alert_walks", "ladder", "tempo", "undo_acknowledge")
        ],
        [
            *(f"service.alerting.{name}.*" for name in ("alert_states", "ladder", "leases", "rounds", "tempo", "undo")),
            "service.alerting.alerts.*__mutmut_*7",
        ],
    ),
}


def main(chosen: list[str]) -> int:
    """Try the chosen parts, or all; 0 however many mutants survive, for each wants a person's judgement."""
    named = [each for each in chosen if "." in each]
    for name in [each for each in chosen if each not in named] or PARTS:
        with tempfile.TemporaryDirectory(prefix="neap-mutation-") as made:
            folder = Path(made)
            folder.chmod(0o711)
            with a_server(folder / "server") as superuser_url:
                _try(PARTS[name], named or PARTS[name].sample, folder / "copy", superuser_url)
    return 0


def _try(part: Part, sample: Sequence[str], copy: Path, superuser_url: str) -> None:
    """Mutate a copy of the tree, and print what the tests did not notice."""
    for package in ("service", "jobs", "schemas", "tests"):
        shutil.copytree(REPOSITORY / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    # A JSON list is a TOML list.
    chosen = {"only_mutate": part.modules, "pytest_add_cli_args_test_selection": [*PYTEST, *part.tests]}
    table = "[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in chosen.items())
    settings = (REPOSITORY / "pyproject.toml").read_text()
    (copy / "pyproject.toml").write_text(settings.replace("[tool.mutmut]\n", table))

    def mutmut(*arguments: str, output: int | None = subprocess.PIPE) -> str:
        environment = {**os.environ, "NEAP_TEST_ADMIN_URL": superuser_url}
        ran = subprocess.run([MUTMUT, *arguments], cwd=copy, env=environment, stdout=output, text=True, check=True)
        return ran.stdout or ""

    mutmut("run", "--max-children", "1", *sample, output=None)
    lines = (line.strip().partition(": ") for line in mutmut("results", "--all", "true").splitlines())
    ends = {name: end for name, _, end in lines if end != "not checked"}
    for name, end in ends.items():
        if end != "killed":
            print(mutmut("show", name))
    print(", ".join(f"{count} {end}" for end, count in Counter(ends.values()).most_common()))


@contextmanager
def a_server(data_dir: Path) -> Iterator[str]:
    """One PostgreSQL for all mutants: each would else make and migrate one of its own. Its superuser's address."""
    with asyncio.Runner() as runner:
        running = embedded.running(config.load({"NEAP_DATA_DIR": str(data_dir)}), overrides=VOLATILE)
        try:
            yield runner.run(running.__aenter__()).superuser_url
        finally:
            runner.run(running.__aexit__(None, None, None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
