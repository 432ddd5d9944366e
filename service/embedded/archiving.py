"""Archiving of the embedded server's write-ahead log by PostgreSQL's own `basic_archive`.

It writes a segment beside, syncs and renames it, takes one that is there already with the same content for done, and
never overwrites another (PostgreSQL, "Continuous Archiving and Point-in-Time Recovery" and "basic_archive").
"""

from __future__ import annotations

import shlex
from pathlib import Path

from service.embedded.account import Account
from service.embedded.errors import EmbeddedError

# What was written longer ago is archived, however little it is: at most so much is lost with the disk.
ARCHIVE_TIMEOUT_SECONDS = 30


def wal_dir(backup_dir: Path) -> Path:
    """Where the segments are."""
    return backup_dir / "wal"


def prepare(backup_dir: Path, account: Account) -> None:
    """Make the folder of segments, of which nobody but the server reads. Raises EmbeddedError."""
    folder = wal_dir(backup_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        account.own(folder)
    except OSError as error:
        raise EmbeddedError(f"{folder} cannot be made: {error.strerror}") from error
    if not account.can_enter(folder):
        raise EmbeddedError(f"the server runs as uid {account.uid}, which cannot enter {folder}; set NEAP_BACKUP_DIR")


def settings(backup_dir: Path) -> dict[str, str]:
    """The server's settings: archive, and let two of pg_basebackup's connections in."""
    return {
        "archive_mode": "on",
        "archive_library": "basic_archive",
        "basic_archive.archive_directory": str(wal_dir(backup_dir)),
        "archive_timeout": str(ARCHIVE_TIMEOUT_SECONDS),
        "max_wal_senders": "3",
    }


def restore_command(folder: Path) -> str:
    """What fetches a segment again: PostgreSQL's %f and %p, and the folder's name quoted for it and for the shell."""
    return f'cp {shlex.quote(str(folder)).replace("%", "%%")}/%f "%p"'
