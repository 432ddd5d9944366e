"""Drawing charts in a process of their own: started when first needed, and again when it died."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections import OrderedDict
from pathlib import Path

import msgspec

from service import errors
from service.web.charts.chart_spec import Spec, svg_for_both_themes

log = logging.getLogger(__name__)

WORKER = "service.web.charts.chart_worker"
# `-m` finds our packages from here, wherever the web process was started.
ROOT = Path(__file__).parents[3]
# The first chart takes up to 1.4 s (start-up), later ones some 30 ms; a machine with other work takes ten times that.
DRAW_SECONDS = 30.0
# A chart is some 40 kB; an SVG line longer than this is a fault.
LONGEST_LINE_BYTES = 4 * 1024 * 1024
KEPT = 64
TRIES = 2
FAULTS = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, msgspec.DecodeError)
"""What a drawing process that died, hangs or answers with nonsense ends in."""


class Charts:
    """The one drawing process of a web process; a reply longer than `longest_line_bytes` counts as a fault of it."""

    def __init__(self, *, longest_line_bytes: int = LONGEST_LINE_BYTES) -> None:
        self._longest_line_bytes = longest_line_bytes
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._drawn: OrderedDict[str, str] = OrderedDict()

    async def draw(self, spec: Spec) -> str:
        """The SVG of a specification. Raises NotReady where the drawing process keeps dying."""
        version = version_of(spec)
        # What was drawn already waits for nobody's drawing; somebody before us may draw the same.
        if (kept := self._kept(version)) is not None:
            return kept
        async with self._turn:
            if (kept := self._kept(version)) is not None:
                return kept
            svg = svg_for_both_themes(await self._ask(msgspec.json.encode(spec)))
            self._drawn[version] = svg
            while len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)
            return svg

    def _kept(self, version: str) -> str | None:
        if version not in self._drawn:
            return None
        self._drawn.move_to_end(version)
        return self._drawn[version]

    @property
    def process_id(self) -> int | None:
        """The drawing process, None before the first chart."""
        return None if self._process is None else self._process.pid

    def kill(self) -> None:
        """Kill the drawing process, if there is one; the next chart starts another."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        """End the drawing process, if there is one."""
        self.kill()
        process, self._process = self._process, None
        if process is not None:
            await process.wait()

    async def _ask(self, line: bytes) -> str:
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(DRAW_SECONDS):
                    return await self._ask_once(line)
            except FAULTS as error:
                log.warning("chart_worker_failed", extra={"error_type": type(error).__name__})
                await self.close()
            except BaseException:
                # The drawing that nobody waits for would be taken for the next one's, who is another client.
                self.kill()
                self._process = None
                raise
        raise errors.NotReady("The chart cannot be drawn just now; its numbers stand in the table.")

    async def _ask_once(self, line: bytes) -> str:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line + b"\n")
        await process.stdin.drain()
        reply = await process.stdout.readuntil(b"\n")
        return msgspec.json.decode(reply, type=str)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", WORKER),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=self._longest_line_bytes,
            )
        return self._process


def version_of(spec: Spec) -> str:
    """The same for the same data, whenever it is drawn: what an ETag is made of."""
    return hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()[:24]
