"""Phones that send until they are told that it is stored, and remember what they were told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import httpx

from service import ids
from tests.builders import PhoneRow

SAFETY_SHARE = 0.04
AGAIN_SECONDS = 0.05
ANSWER_SECONDS = 15
STORED = (200, 201)
LATER = (429, 503)
DEFECT = 500


@dataclass
class Said:
    """What was sent, and what of it was acknowledged."""

    sent: dict[UUID, PhoneRow] = field(default_factory=dict)
    unsafe: set[UUID] = field(default_factory=set)
    acknowledged: set[UUID] = field(default_factory=set)
    tries: int = 0
    refused: list[str] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def acknowledged_again(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + count
        while len(self.acknowledged) < wanted:
            self.more.clear()
            await self.more.wait()


@dataclass
class Phones:
    """Clients' phones at one address, a seeded choice of who answers what."""

    base_url: str
    rows: list[PhoneRow]
    random: Random
    said: Said = field(default_factory=Said)
    stopping: bool = False

    async def send_on(self) -> None:
        """Send one check-in after the other until `stopping`; the last one, too, until it is acknowledged."""
        async with httpx.AsyncClient(base_url=self.base_url, timeout=ANSWER_SECONDS) as http:
            while not self.stopping:
                await self._send_one(http)

    async def _send_one(self, http: httpx.AsyncClient) -> None:
        row, check_in_id = self.random.choice(self.rows), ids.new()
        unsafe = self.random.random() < SAFETY_SHARE
        self.said.sent[check_in_id] = row
        if unsafe:
            self.said.unsafe.add(check_in_id)
        body = self._body(unsafe=unsafe)
        while True:
            self.said.tries += 1
            try:
                reply = await http.put(
                    f"/v1/check-ins/{check_in_id}", json=body, headers={"Authorization": f"Bearer {row.access_token}"}
                )
            except httpx.HTTPError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if reply.status_code in STORED:
                self.said.acknowledged.add(check_in_id)
                self.said.more.set()
                return
            if reply.status_code not in LATER:
                self.said.refused.append(f"{reply.status_code} {reply.text[:200]}")
                if reply.status_code != DEFECT:
                    return
            await asyncio.sleep(AGAIN_SECONDS)

    def _body(self, *, unsafe: bool) -> dict[str, object]:
        now = datetime.now(UTC)
        return {
            "kind": self.random.choice(("daily", "moment")),
            "answered_at": (now - timedelta(seconds=self.random.randint(1, 3000))).isoformat(),
            "sent_at": now.isoformat(),
            "time_zone": "America/Chicago",
            "craving": {"alcohol": self.random.randint(0, 10)},
            "mood": self.random.randint(0, 10),
            "anxiety": self.random.randint(0, 10),
            "used": [],
            "safety": unsafe,
            "note": None,
        }
