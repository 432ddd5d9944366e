"""The account the embedded server runs as: ours, or an unprivileged one when we are root.

PostgreSQL refuses to run as root, so root hands it to an ordinary account, which must be able to reach both the
binaries and the data.
"""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from service.embedded.errors import EmbeddedError

# The first that exists. initdb wants an account with a name, so a bare number will not do.
UNPRIVILEGED_NAMES = ("postgres", "nobody", "daemon")

# Where root may keep what the account cannot reach elsewhere; the first that works.
REACHABLE_PARENTS = ("/var/lib", "/var/tmp", tempfile.gettempdir())  # noqa: S108 - checked to be root's own below


class Account(NamedTuple):
    """Who runs the server; `switch` holds when we are root and step down to it."""

    uid: int
    gid: int
    switch: bool

    def start(
        self, command: Sequence[str | Path], *, folder: Path, output: int | IO[bytes], environ: Mapping[str, str]
    ) -> psutil.Popen:
        """Start a command as this account, in a session of its own so that Ctrl-C does not reach it."""
        return psutil.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def can_run(self, command: Sequence[str | Path]) -> bool:
        """Whether this account can run the command, and it ends well."""
        try:
            return self.start(command, folder=Path("/"), output=subprocess.DEVNULL, environ={}).wait() == 0
        except OSError:
            return False

    def can_enter(self, folder: Path) -> bool:
        """Whether this account can go into the folder."""
        return self.can_run(["/bin/sh", "-c", 'cd "$1"', "sh", folder])

    def own(self, path: Path) -> None:
        """Hand a file or folder to this account."""
        if self.switch:
            os.chown(path, self.uid, self.gid)


def account_for(cluster_dir: Path) -> Account:
    """Say who runs the server of a cluster: its owner, or for a new one ourselves unless we are root."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    if cluster_dir.is_dir() and cluster_dir.stat().st_uid != 0:
        owner = cluster_dir.stat()
        return Account(owner.st_uid, owner.st_gid, switch=True)
    for name in UNPRIVILEGED_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(UNPRIVILEGED_NAMES)} is there"
    )


def reachable_folder(account: Account) -> Path:
    """Give root's folder for what the account must reach: writable by root alone, open to look into."""
    for parent in REACHABLE_PARENTS:
        folder = Path(parent) / "neap-embedded"
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != 0:
                continue
            folder.chmod(0o755)
        except OSError:
            continue
        if account.can_enter(folder):
            return folder
    raise EmbeddedError(f"no folder below {', '.join(REACHABLE_PARENTS)} can hold the server's files")
