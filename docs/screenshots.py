"""The two pictures of the README, taken from a demonstration that starts for them (`make screenshots`)."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from playwright.async_api import Page, expect

from service.demo.visit import Running
from tests.browser import browser, watched_context

IMAGES = Path(__file__).parent / "images"
MOST_BYTES = 200_000
READY_SECONDS = 180
ALERT_MILLISECONDS = 120_000


@asynccontextmanager
async def demonstration(data_dir: Path) -> AsyncIterator[Running]:
    """A demonstration of its own, once its doors are open; stopped at the end."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("NEAP_")}
    environ["NEAP_DATA_DIR"] = str(data_dir)
    command = (sys.executable, "-m", "service", "demo")
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=PIPE, stderr=DEVNULL)
    try:
        async with asyncio.timeout(READY_SECONDS):
            await _ready(process)
        yield msgspec.json.decode((data_dir / "demo.json").read_bytes(), type=Running)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _ready(process: Process) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"Check-ins arrive"):
            return
    raise RuntimeError("the demonstration did not start")


async def caseload(page: Page, link: str) -> None:
    """What a therapist sees once the demonstration's fresh client has crossed the limit."""
    await page.goto(link)
    await page.get_by_role("button").first.click()
    await page.wait_for_url("**/caseload")
    inbox = page.get_by_role("link", name="Inbox")
    await expect(inbox).to_contain_text(re.compile("[2-9]"), timeout=ALERT_MILLISECONDS)
    await page.reload()


async def check_in(page: Page, link: str) -> None:
    """What a client sees, half-way through today's check-in."""
    await page.emulate_media(reduced_motion="reduce")  # no colour on its way
    await page.goto(link)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await page.get_by_role("button", name="Not now").click()
    for name, score in (("craving.", 4), ("mood", 6)):
        await page.locator(f'input[name^="{name}"][value="{score}"]').first.check()


async def take(page: Page, name: str) -> None:
    """Write the picture. Raises ValueError where it is larger than a README should carry."""
    file = IMAGES / name
    picture = await page.screenshot(path=file)
    if len(picture) > MOST_BYTES:
        raise ValueError(f"{name} has {len(picture)} bytes")
    sys.stdout.write(f"{name}: {len(picture)} bytes\n")


async def both(data_dir: Path) -> None:
    """Take both pictures of one demonstration."""
    async with demonstration(data_dir) as running, browser() as chromium:
        async with watched_context(chromium, running.base_url) as context:
            page = await context.new_page()
            await check_in(page, running.links.client)
            await take(page, "phone.png")
        async with watched_context(chromium, running.base_url, width=1200, height=800) as context:
            page = await context.new_page()
            await caseload(page, running.links.therapist)
            await take(page, "caseload.png")


def main() -> None:
    """Take them in a folder that is gone afterwards."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="neap-") as folder:
        # The embedded server may run as another account, which must be able to reach its files.
        Path(folder).chmod(0o711)
        asyncio.run(both(Path(folder) / "data"))


if __name__ == "__main__":
    main()
