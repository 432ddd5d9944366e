"""One PostgreSQL server over one folder: made, started, recovered, stopped."""

import asyncio
import logging
import shutil
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil

from service.embedded.account import Account
from service.embedded.errors import EmbeddedError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
POLL_SECONDS = 0.02
STOP_SECONDS = 30
PORT_TRIES = 5

# Small, durable, and silent about values: a terse error names no key and no row, and no statement is logged.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "io_method": "sync",
    "max_wal_senders": "0",
    "autovacuum_max_workers": "2",
    "max_parallel_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m [%p] ",
}

# Nothing of the caller's environment reaches the server: PGDATA, PGPORT or a locale of his would change it.
ENVIRON = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


class Found(NamedTuple):
    """A running server and the port it wrote into its pid file."""

    process: psutil.Process
    port: int


class Files(NamedTuple):
    """Where a server's things are."""

    binaries: Path
    cluster_dir: Path
    log: Path


def initialise(files: Files, account: Account, password: str, *, synced: bool) -> None:
    """Make a new cluster with one superuser, `postgres`; all or nothing, about half a second."""
    parent = files.cluster_dir.parent
    unfinished = parent / f"{files.cluster_dir.name}.unfinished"
    password_file = parent / f"{files.cluster_dir.name}.password"
    _end_orphans(unfinished)
    if unfinished.exists():
        shutil.rmtree(unfinished)  # ourselves, since the account may not unlink in the folder above
    unfinished.mkdir(mode=0o700)
    account.own(unfinished)
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    account.own(password_file)
    password_file.write_text(password)
    command: list[str | Path] = [files.binaries / "initdb", "--pgdata", unfinished, "--pwfile", password_file]
    command += ["--username=postgres", "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C"]
    # Small segments: one is archived whole each half minute in which anything was written.
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--wal-segsize=1", "--no-instructions"]
    try:
        with files.log.open("ab") as output:
            process = account.start(
                command if synced else [*command, "--no-sync"], folder=parent, output=output, environ=ENVIRON
            )
            if process.wait() != 0:
                raise EmbeddedError(f"initdb failed:\n{tail(files.log, 0)}")
    finally:
        password_file.unlink(missing_ok=True)
    unfinished.rename(files.cluster_dir)


def found(cluster_dir: Path) -> Found | None:
    """Give the server that runs over a folder, whoever started it; a pid file alone proves nothing."""
    try:
        lines = (cluster_dir / "postmaster.pid").read_text().split("\n")
        server = Found(psutil.Process(int(lines[0])), int(lines[3]))
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    return server if _stands_in(server.process, cluster_dir) else None


async def start(
    files: Files, account: Account, *, port: int, superuser_password: str, overrides: Mapping[str, str]
) -> Found:
    """Start the server and wait until it takes connections, however long recovery takes."""
    await _clear_remains(files.cluster_dir)
    for _ in range(PORT_TRIES):
        chosen = port if _is_free(port) else _free_port()
        begin = files.log.stat().st_size if files.log.exists() else 0
        process = spawn(files, account, {**SETTINGS, **overrides, "port": str(chosen)})
        try:
            if await _ready(process, chosen, superuser_password):
                return Found(process, chosen)
        except BaseException:
            stop(process)
            raise
        if _is_free(chosen):
            break
    raise EmbeddedError(f"PostgreSQL did not start; {files.log} ends:\n{tail(files.log, begin)}")


async def answers(port: int, superuser_password: str) -> bool:
    """Whether our server takes connections at the port: it knows our password and is not starting or stopping."""
    try:
        connection = await asyncpg.connect(
            host=HOST, port=port, user="postgres", password=superuser_password, database="postgres", ssl=False
        )
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    await connection.close()
    return True


def lives(pid: int) -> bool:
    """Whether a process is there and not over; one that we took over is a zombie where nobody collects orphans."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(process: psutil.Process) -> None:
    """Stop the server: fast, and at once (to be recovered at the next start) if that takes too long."""
    for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            process.send_signal(request)
        except psutil.NoSuchProcess:
            return
        if _ends_within(process, STOP_SECONDS):
            return


def _ends_within(process: psutil.Process, seconds: float) -> bool:
    """Wait for an end; a server that we took over ends as a zombie where nobody collects orphans."""
    for _ in range(int(seconds / POLL_SECONDS)):
        with suppress(psutil.TimeoutExpired):
            process.wait(POLL_SECONDS)
            return True
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                continue
            with suppress(psutil.TimeoutExpired):
                process.wait(0)  # one of our own that ended just after the wait is collected
        return True
    return False


def spawn(files: Files, account: Account, settings: Mapping[str, str]) -> psutil.Popen:
    """Start the server with these settings and wait for nothing."""
    command: list[str | Path] = [files.binaries / "postgres", "-D", files.cluster_dir]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with files.log.open("ab") as output:
        return account.start(command, folder=files.cluster_dir.parent, output=output, environ=ENVIRON)


async def _ready(process: psutil.Popen, port: int, superuser_password: str) -> bool:
    waited_polls = 0
    while process.poll() is None:
        if await answers(port, superuser_password):
            return True
        await asyncio.sleep(POLL_SECONDS)
        waited_polls += 1
        if waited_polls * POLL_SECONDS == 5:
            log.info("embedded_server_recovering")
    return False


async def _clear_remains(cluster_dir: Path) -> None:
    """After a kill -9: end what is left of the old server's processes and drop its pid file.

    The caller holds the lock file, so nobody else is starting this server now.
    """
    pid_file = cluster_dir / "postmaster.pid"
    if not pid_file.exists():
        return
    remains = _processes_over(cluster_dir)
    for process in remains:
        try:
            process.send_signal(signal.SIGQUIT)
        except psutil.NoSuchProcess:
            continue
    await asyncio.to_thread(psutil.wait_procs, remains, STOP_SECONDS)
    pid_file.unlink(missing_ok=True)


def _processes_over(cluster_dir: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _stands_in(process, cluster_dir)]


def _stands_in(process: psutil.Process, cluster_dir: Path) -> bool:
    """PostgreSQL's processes stand in their data folder; that tells ours from a stranger with an old pid."""
    try:
        return process.name() == "postgres" and process.cwd() == str(cluster_dir.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _is_free(port: int) -> bool:
    if port == 0:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def tail(file: Path, begin: int) -> str:
    """What the log says from a place on, its last lines."""
    with file.open("rb") as lines:
        lines.seek(begin)
        return "\n".join(lines.read().decode(errors="replace").splitlines()[-20:])


def _end_orphans(unfinished: Path) -> None:
    """End an initdb whose starter was killed, with its children; the caller holds the lock file, so none is in use."""
    orphans = [each for each in psutil.process_iter() if _initialises(each, unfinished)]
    for orphan in orphans:
        try:
            orphan.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(orphans, STOP_SECONDS)


def _initialises(process: psutil.Process, unfinished: Path) -> bool:
    try:
        if process.name() not in ("initdb", "postgres"):
            return False
        return str(unfinished) in process.cmdline() or process.cwd() == str(unfinished.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
