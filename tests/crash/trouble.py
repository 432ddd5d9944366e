"""What mail and webhooks meet meanwhile: a server that refuses, hangs, or answers late; and what it was sent."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from tests.sinks import HookSink, MailSink

MAIL_REFUSES = ("451 Try again later", "421 Closing", "452 No room")
HOOK_REFUSES = ("503", "500", "429 Retry-After: 1")
SHARE = 0.35
RELEASED_AFTER_SECONDS = 2.0


@dataclass
class Sinks:
    """Both receivers; seeded trouble while `troubled` runs."""

    mail: MailSink
    hooks: HookSink
    random: Random
    refused: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def troubled(self) -> None:
        """Refuse some, let some hang and answer them later, until `stopping`; then take everything."""
        while not self.stopping.is_set():
            if self.random.random() < SHARE:
                self.mail.answers.append(self.random.choice(MAIL_REFUSES))
                self.hooks.answers.append(self.random.choice((*HOOK_REFUSES, None)))
                self.refused += 2
            try:
                await asyncio.wait_for(self.stopping.wait(), RELEASED_AFTER_SECONDS * self.random.random())
            except TimeoutError:
                self.hooks.released.set()  # late, but answered
                self.hooks.released = asyncio.Event()
        self.mail.answers.clear()
        self.hooks.answers.clear()
        self.hooks.released.set()

    def by_id(self) -> Mapping[str, list[bytes]]:
        """Every message that arrived, by the id under which it was sent: its bytes, each time."""
        found = defaultdict[str, list[bytes]](list)
        for message in self.mail.messages:
            found[str(message["Message-ID"]).strip("<>").partition("@")[0]].append(b"")
        for hook in self.hooks.hooks:
            found[hook.headers["webhook-id"]].append(hook.body)
        return found
