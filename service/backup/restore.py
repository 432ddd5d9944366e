"""Making a data folder of a base backup and the archived log: the embedded server starts over it as over its own."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from service import embedded
from service.backup import base_backup
from service.backup.base_backup import Backup
from service.embedded import EmbeddedError, archiving, recovery


class Restored(NamedTuple):
    """When the last transaction that came back was committed, None where the archived log held none; `fault`: why that
    is not all that was archived, None where it is."""

    last_commit_at: datetime | None
    fault: str | None


async def into(backup: Backup, backup_dir: Path, data_dir: Path, *, until: datetime | None = None) -> Restored:
    """Restore into a new data folder, with passwords of its own; the master key lies in no backup. With `until`, what
    was committed later does not come back.

    Raises EmbeddedError where the folder is not empty, a cluster lies where its own belongs or the server cannot
    recover, BackupFault where the backup is not whole; the folder is empty again then.
    """
    _make_empty(data_dir)
    account, files = embedded.place_of(data_dir)
    if files.cluster_dir.exists():
        # Not ours: of a data folder that was here before, and perhaps the only copy of what it holds.
        _clear(data_dir)
        raise EmbeddedError(f"{files.cluster_dir} lies where the restored cluster belongs; move it away first")
    # Before the replay: a server that runs goes on archiving meanwhile.
    newest = archiving.newest_segment(backup_dir)
    try:
        await base_backup.verify(data_dir, backup.data)
        embedded.record_place(data_dir, files.cluster_dir)
        password = embedded.make_passwords(data_dir)
        recovery.lay_out(backup.data, files, account)
        segments = archiving.wal_dir(backup_dir)
        recovered = await recovery.recover(files, account, segments=segments, password=password, until=until)
    except BaseException:
        discard(data_dir)
        raise
    fault = None if until is not None else _gap(recovered.ended_in, newest, segments)
    return Restored(recovered.last_commit_at, fault)


def _gap(ended_in: int, newest: int | None, segments: Path) -> str | None:
    if newest is None:
        return f"{segments} holds no log: nothing came back that was written after the backup"
    if newest <= ended_in:
        return None
    after = newest - ended_in
    return f"the log goes on for {after} segments after what came back: one is missing, damaged or cannot be read"


def _make_empty(data_dir: Path) -> None:
    if data_dir.exists() and any(data_dir.iterdir()):
        raise EmbeddedError(f"{data_dir} is not empty; restore into a folder of its own")
    data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)


def discard(data_dir: Path) -> None:
    """Delete what was restored, after its server, should one still run."""
    embedded.stop_left(data_dir)
    cluster = embedded.cluster_of(data_dir)
    shutil.rmtree(cluster, ignore_errors=True)
    shutil.rmtree(cluster.with_name(f"{cluster.name}.unfinished"), ignore_errors=True)
    _clear(data_dir)


def _clear(data_dir: Path) -> None:
    for each in data_dir.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
