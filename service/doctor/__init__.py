"""Whether a deployment is fit: each thing that must hold, looked at from outside, with what to do where it does not.

Nothing here changes anything, and no line holds a secret or a word about a person. One fault is one problem: what
cannot be looked at because of one that was said is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

import asyncpg

from service.config import Config, ConfigError, Role
from service.doctor import doors, machine, mail, server
from service.doctor.finding import CONNECT_SECONDS, Finding
from service.doctor.mail import send_test

__all__ = ["Finding", "examine", "problems", "send_test"]

CHECK_SECONDS = CONNECT_SECONDS * 3


class Check(NamedTuple):
    """What is looked at, and the role under which, None without the database; `first`: where this is wrong, nothing
    else that is asked under the role says anything.
    """

    name: str
    look: Callable[[Config], Awaitable[list[Finding]]]
    role: Role | None = None
    first: bool = False


BEFORE: Sequence[Check] = (Check("settings", machine.settings), Check("master key", machine.key))
AFTER: Sequence[Check] = (
    Check("PostgreSQL", server.itself, "owner"),
    Check("rights", server.each_right, "owner"),
    Check("schema", server.its_schema, "web", first=True),
    Check("sealed data", server.sealed_data, "web"),
    Check("mail", mail.looked_at),
    Check("web", machine.web),
    Check("jobs", server.promises, "web"),
    Check("disk", machine.disk),
    Check("backup", machine.backup),
    Check("archived log", server.archived_log, "owner"),
)


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Every finding, in the order in which one would mend them; a check that breaks is a problem of its own."""
    for check in BEFORE:
        for each in await _found(check, config):
            yield each
    said, shut = await doors.tried(config)
    for each in said:
        yield each
    for check in AFTER:
        if check.role in shut:
            continue
        found = await _found(check, config)
        if check.role is not None and check.first and problems(found):
            shut.add(check.role)
        for each in found:
            yield each


async def _found(check: Check, config: Config) -> list[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check.look(config)
    except ConfigError as fault:
        return [Finding(check.name, "not set", "; ".join(fault.faults))]
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        remedy = "look into the server's log, and ask again"
        return [Finding(check.name, f"no answer ({type(error).__name__})", remedy)]


def problems(findings: Sequence[Finding]) -> int:
    """How many need somebody."""
    return sum(each.is_problem for each in findings)
