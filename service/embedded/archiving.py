"""Archiving of the embedded server's write-ahead log by PostgreSQL's own `basic_archive`.

It writes a segment beside, syncs and renames it, takes one that is there already with the same content for done, and
never overwrites another (PostgreSQL, "Continuous Archiving and Point-in-Time Recovery" and "basic_archive").
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from service.embedded.account import Account
from service.embedded.errors import EmbeddedError

# What was written longer ago is archived, however little it is: at most so much is lost with the disk.
ARCHIVE_TIMEOUT_SECONDS = 30
SEGMENT, HISTORY = re.compile(r"[0-9A-F]{24}"), re.compile(r"[0-9A-F]{8}\.history")
TIMELINE_DIGITS = 8


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


def take_over(backup_dir: Path, cluster_dir: Path, account: Account) -> None:
    """Go on with the archive of this cluster, or begin one.

    A cluster that was restored is a timeline of its own, which PostgreSQL told nobody of while it recovered: its
    history has to lie in the archive, or the next restore would not know of what came after. Raises EmbeddedError
    where the archive is another cluster's, for their segments have the same names.
    """
    own, file = _system_identifier(cluster_dir), backup_dir / "cluster"
    if file.exists() and file.read_text().strip() != own:
        raise EmbeddedError(
            f"{backup_dir} holds the archive of another cluster than {cluster_dir}: give this one a folder of its own"
        )
    file.write_text(f"{own}\n")
    for history in sorted((cluster_dir / "pg_wal").glob("*.history")):
        archived = wal_dir(backup_dir) / history.name
        if not archived.exists():
            unfinished = archived.with_suffix(".unfinished")
            shutil.copyfile(history, unfinished)
            account.own(unfinished)
            unfinished.rename(archived)


def _system_identifier(cluster_dir: Path) -> str:
    """What tells clusters apart: the first eight bytes of PostgreSQL's pg_control (catalog/pg_control.h)."""
    with (cluster_dir / "global" / "pg_control").open("rb") as control:
        return control.read(8).hex()


def newest_segment(backup_dir: Path) -> int | None:
    """The place in the log of the newest archived segment of the timeline that a restore follows, 0 where it has none
    yet; None where no segment of any lies there. A timeline that was left may go on further: nobody follows it.
    """
    folder = wal_dir(backup_dir)
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    segments = [name for name in names if SEGMENT.fullmatch(name)]
    if not segments:
        return None
    latest = max(name[:TIMELINE_DIGITS] for name in (*segments, *(each for each in names if HISTORY.fullmatch(each))))
    return max((place_of(name) for name in segments if name.startswith(latest)), default=0)


def place_of(segment: str) -> int:
    """Where a segment lies in the log, by its file's name: timeline, log, segment, eight hexadecimal digits each."""
    return int(segment[TIMELINE_DIGITS:], 16)


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
