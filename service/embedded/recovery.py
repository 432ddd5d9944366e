"""Bringing a base backup and the archived log back to life as the cluster of a data folder.

The server runs once, spoken to over a socket in a folder of its own and by nobody else, until it has replayed all there
is (PostgreSQL, "Recovering Using a Continuous Archive Backup"). Its superuser then gets the new folder's password, for
the old one may be lost with the old machine.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import psutil

from service.embedded import archiving, server
from service.embedded.account import Account, reachable_folder
from service.embedded.errors import EmbeddedError
from service.embedded.server import Files


class Recovered(NamedTuple):
    """When the last transaction that came back was committed, None where the log held none; and the segment of the log
    in which the replay ended."""

    last_commit_at: datetime | None
    ended_in: int


# No connection before all is replayed, no archive to write into, and nobody else to let in.
SETTINGS = {"hot_standby": "off", "archive_mode": "off", "listen_addresses": "", "recovery_target_timeline": "latest"}
PORT = 5432
# Each try to connect leaves a line in the server's log, among which the reason of a failure has to be found.
POLL_SECONDS = 0.25


def lay_out(backup: Path, files: Files, account: Account) -> None:
    """Copy a base backup to where the cluster belongs. Raises EmbeddedError where something lies there."""
    if files.cluster_dir.exists():
        raise EmbeddedError(f"{files.cluster_dir} is there already; restore into a folder of its own")
    unfinished = files.cluster_dir.with_name(f"{files.cluster_dir.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        shutil.copytree(backup, unfinished, symlinks=True)
    except shutil.Error as error:
        # One line for each file of a backup that does not fit.
        reasons = {str(each[2]).rpartition("]")[2].partition(":")[0].strip() for each in error.args[0]}
        raise EmbeddedError(f"{unfinished}: cannot be copied ({', '.join(sorted(reasons))})") from error
    (unfinished / "recovery.signal").touch()
    for each in (unfinished, *unfinished.rglob("*")):
        account.own(each)
    unfinished.chmod(0o700)
    unfinished.rename(files.cluster_dir)


# A promoted server replays no more, so that this stays what it was.
ENDED = """
select pg_last_xact_replay_timestamp() as last_commit_at, pg_walfile_name(pg_last_wal_replay_lsn()) as segment
"""


async def recover(
    files: Files, account: Account, *, segments: Path, password: str, until: datetime | None = None
) -> Recovered:
    """Replay the archived log to its end, which is also where a segment is missing or damaged; or `until` a moment.

    Raises EmbeddedError, with the end of the server's log, where it cannot.
    """
    begin = files.log.stat().st_size if files.log.exists() else 0
    with tempfile.TemporaryDirectory(dir=reachable_folder(account) if account.switch else None) as made:
        sockets = Path(made)
        account.own(sockets)
        async with _server(files, account, sockets, segments, until) as process:
            while (connection := await _connection(sockets)) is None:
                if process.poll() is not None:
                    raise EmbeddedError(f"PostgreSQL did not recover; its log ends:\n{server.tail(files.log, begin)}")
                await asyncio.sleep(POLL_SECONDS)
            try:
                record = await connection.fetchrow(ENDED)
                assert record is not None
                recovered = Recovered(
                    msgspec.convert(record["last_commit_at"], datetime | None), archiving.place_of(record["segment"])
                )
                statement = await connection.fetchval(
                    "select format('alter role postgres password %L', $1::text)", password
                )
                await connection.execute(statement)
            finally:
                await connection.close()
    return recovered


@asynccontextmanager
async def _server(
    files: Files, account: Account, sockets: Path, segments: Path, until: datetime | None
) -> AsyncIterator[psutil.Popen]:
    trust = sockets / "hba.conf"
    trust.write_text("local all postgres trust\n")
    account.own(trust)
    settings = {
        **server.SETTINGS,
        **SETTINGS,
        "unix_socket_directories": str(sockets),
        "port": str(PORT),
        "hba_file": str(trust),
        "restore_command": archiving.restore_command(segments),
    }
    if until is not None:
        settings |= {"recovery_target_time": until.isoformat(), "recovery_target_action": "promote"}
    process = server.spawn(files, account, settings)
    try:
        yield process
    finally:
        await asyncio.to_thread(server.stop, process)


async def _connection(sockets: Path) -> asyncpg.Connection[asyncpg.Record] | None:
    try:
        return await asyncpg.connect(host=str(sockets), port=PORT, user="postgres", database="postgres", ssl=False)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return None
