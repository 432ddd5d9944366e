"""Making a data folder of a base backup and the archived log: the embedded server starts over it as over its own."""

from __future__ import annotations

import base64
import shutil
from datetime import datetime
from pathlib import Path

from service import embedded
from service.backup import base_backup
from service.backup.base_backup import Backup
from service.embedded import EmbeddedError, archiving, recovery


async def into(backup: Backup, backup_dir: Path, data_dir: Path, *, key: bytes) -> datetime | None:
    """Restore into a new data folder, with passwords of its own and the master key that opens what is sealed; when the
    last transaction that came back was committed, None where the archived log held none.

    Raises EmbeddedError where the folder is not empty or the server cannot recover, BackupFault where the backup is
    not whole; the folder is empty again then.
    """
    _make_empty(data_dir)
    try:
        await base_backup.verify(data_dir, backup.data)
        account, files = embedded.place_of(data_dir)
        embedded.record_place(data_dir, files.cluster_dir)
        password = embedded.make_secrets(data_dir, key=base64.urlsafe_b64encode(key).decode())
        recovery.lay_out(backup.data, files, account)
        segments = archiving.wal_dir(backup_dir)
        return await recovery.recover(files, account, segments=segments, password=password)
    except BaseException:
        discard(data_dir)
        raise


def _make_empty(data_dir: Path) -> None:
    if data_dir.exists() and any(data_dir.iterdir()):
        raise EmbeddedError(f"{data_dir} is not empty; restore into a folder of its own")
    data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)


def discard(data_dir: Path) -> None:
    """Delete what was restored, and whatever else lies in the folder."""
    cluster = embedded.cluster_of(data_dir)
    shutil.rmtree(cluster, ignore_errors=True)
    shutil.rmtree(cluster.with_name(f"{cluster.name}.unfinished"), ignore_errors=True)
    for each in data_dir.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
