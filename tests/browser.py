"""A real web process and a real Chromium, for tests that go through the page."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

from service.config import DatabaseUrls

ROOT = Path(__file__).parent.parent
READY_SECONDS = 180
# Chromium looks for its own servers at every start unless it is told not to; as root it has no sandbox.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

DESKTOP = ("chromium", "chromium-browser", "google-chrome")
MOUSE = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(database: DatabaseUrls, data_dir: Path, key: str, port: int) -> dict[str, str]:
    """What the processes of one test are told: this test's database, and nothing of the machine's own settings."""
    settings = {
        "NEAP_PORT": str(port),
        "NEAP_DATA_DIR": str(data_dir),
        "NEAP_KEY": key,
        "NEAP_OWNER_DATABASE_URL": database.owner,
        "NEAP_WEB_DATABASE_URL": database.web,
        "NEAP_JOBS_DATABASE_URL": database.jobs,
        "NEAP_SWEEP_DATABASE_URL": database.sweep,
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("NEAP_")} | settings


@asynccontextmanager
async def running(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours, ended by SIGTERM when the block ends."""
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, env=dict(env))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


class Web(NamedTuple):
    """A web process that accepts check-ins, and its address."""

    address: str
    process: asyncio.subprocess.Process

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """It stands still: connections stay open and are accepted, and nobody answers."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def a_web(env: Mapping[str, str]) -> AsyncIterator[Web]:
    """`python -m service web`, once it accepts check-ins."""
    address = f"http://127.0.0.1:{env['NEAP_PORT']}"
    async with running("-m", "service", "web", env=env) as process:
        # The transport waits a little longer before each further try, until the process listens.
        transport = httpx.AsyncHTTPTransport(retries=8)
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(transport=transport) as http:
            (await http.get(f"{address}/health/ready", timeout=READY_SECONDS)).raise_for_status()
        yield Web(address, process)


@asynccontextmanager
async def web_process(env: Mapping[str, str]) -> AsyncIterator[str]:
    """The address of a web process."""
    async with a_web(env) as web:
        yield web.address


def chromium(*, with_windows: bool = False) -> str:
    """Where Chromium is. Fails where there is none, and says how to get it.

    The headless shell is the same engine without the windows and messages of a desktop: a page costs it a seventh of
    the processor time.
    """
    shell = () if with_windows else ("chromium-headless-shell",)
    found = os.environ.get("NEAP_CHROMIUM") or next(filter(None, map(shutil.which, (*shell, *DESKTOP))), None)
    assert found, "no Chromium: install Debian's package chromium, or set NEAP_CHROMIUM"
    return found


@asynccontextmanager
async def browser(*, letters: int = 16, with_windows: bool = False) -> AsyncIterator[Browser]:
    """Chromium, whose user set letters of this size (px) in its settings; `with_windows` can show messages, too."""
    async with async_playwright() as playwright:
        # Playwright says by the same flag that there is a mouse; only one of them counts.
        flags = [*FLAGS, f"--blink-settings={MOUSE},defaultFontSize={letters}"]
        started = await playwright.chromium.launch(executable_path=chromium(with_windows=with_windows), args=flags)
        try:
            yield started
        finally:
            await started.close()


class Watched:
    """What a browser context did that it must not: requests elsewhere, refusals by the content security policy."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.faults: list[str] = []

    def request(self, request: Request) -> None:
        if not request.url.startswith((self._address, "data:", "blob:")):
            self.faults.append(f"external request: {request.url}")

    def follow(self, page: Page) -> None:
        page.on("request", self.request)
        page.on("pageerror", lambda error: self.faults.append(f"error on the page: {error}"))
        page.on("console", lambda message: self.console(message.text))

    def console(self, text: str) -> None:
        if re.search(r"content.security.policy|refused to", text, re.IGNORECASE):
            self.faults.append(f"policy: {text}")


@asynccontextmanager
async def watched_context(
    started: Browser,
    address: str,
    *,
    width: int = 390,
    height: int = 844,
    script: bool = True,
    zone: str | None = None,
    locale: str | None = None,
    workers: bool = True,
) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile whose pages ask nobody but us and break no policy: checked when the block ends."""
    watched = Watched(address)
    context = await started.new_context(
        base_url=address,
        viewport={"width": width, "height": height},
        java_script_enabled=script,
        timezone_id=zone,
        locale=locale,
        service_workers="allow" if workers else "block",
    )
    context.on("page", watched.follow)
    yield context
    # A request that is still under way fails no other test.
    await context.unroute_all(behavior="ignoreErrors")
    await context.close()
    assert not watched.faults, watched.faults


async def until(page: Page, predicate: str, *, argument: object = None, seconds: float = 40) -> None:
    """Wait for an asynchronous predicate of the page: Playwright's own wait takes the promise itself for a yes."""
    await page.evaluate(
        f"""async (argument) => {{
          const met = {predicate.strip()};
          const ends = Date.now() + {seconds * 1000};
          while (!(await met(argument))) {{
            if (Date.now() > ends) throw new Error("it did not come in time");
            await new Promise((go) => requestAnimationFrame(go));
          }}
        }}""",
        argument,
    )
