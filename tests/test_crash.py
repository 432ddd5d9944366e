"""Whatever is killed, nothing that was acknowledged is lost: a short run here, the long one by `make crash-test`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests import folders
from tests.crash import play
from tests.folders import QUICK

KILLS = 6
SEED = 20261127


async def test_killed_again_and_again_it_loses_nothing() -> None:
    folder = Path(tempfile.mkdtemp(prefix="neap-crash-", dir=folders.in_memory()))
    folder.chmod(0o711)
    said: list[int] = []
    # What is killed is a process, never the machine: what it wrote stays, synced or not.
    overrides = {**QUICK, "max_connections": "60"}
    outcome = await play.run(folder, kills=KILLS, seed=SEED, overrides=overrides, tell=said.append)
    assert outcome.faults == []
    assert said == list(range(1, KILLS + 1))
    assert outcome.counts["acknowledged"] == outcome.counts["stored"] == outcome.counts["sent"]
    assert outcome.counts["messages"] > 0
    shutil.rmtree(folder)
