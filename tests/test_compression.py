"""What goes over the wire compressed, and what must not."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
import pytest

from service.database import Pool
from service.web import languages, phone_scripts
from service.web.assets import DIRECTORY
from tests.builders import a_clinic

SCRIPT = "/static/phone.js"


async def test_files_and_the_client_s_page_come_compressed_to_whoever_takes_that(
    http: httpx.AsyncClient, owner_pool: Pool
) -> None:
    await a_clinic(owner_pool, slug="harbour", now=datetime.now(UTC))
    for path in (SCRIPT, "/phone/worker.js", "/phone/harbour"):
        packed = await http.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await http.get(path, headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert "Accept-Encoding" in packed.headers["vary"]
        assert packed.headers["vary"] == plain.headers["vary"]
        assert packed.content == plain.content
        assert int(packed.headers["content-length"]) < len(plain.content) / 2


@pytest.mark.parametrize("wish", ["", "br", "gzip;q=0", "gzip; q=0.0, br"])
async def test_whoever_does_not_take_gzip_gets_none(http: httpx.AsyncClient, wish: str) -> None:
    reply = await http.get(SCRIPT, headers={"Accept-Encoding": wish})
    assert "content-encoding" not in reply.headers
    assert b"openStore" in reply.content


async def test_a_file_has_another_etag_for_other_bytes_and_each_is_known_again(http: httpx.AsyncClient) -> None:
    packed = await http.get(SCRIPT, headers={"Accept-Encoding": "gzip;q=0.5"})
    plain = await http.get(SCRIPT, headers={"Accept-Encoding": "identity"})
    assert packed.headers["etag"] != plain.headers["etag"]
    for wish, etag, status in (
        ("gzip", packed.headers["etag"], 304),
        ("identity", plain.headers["etag"], 304),
        ("identity", packed.headers["etag"], 200),
    ):
        reply = await http.get(SCRIPT, headers={"Accept-Encoding": wish, "If-None-Match": etag})
        assert reply.status_code == status


async def test_pages_with_secrets_and_answers_of_the_api_stay_as_they_are(
    http: httpx.AsyncClient, owner_pool: Pool
) -> None:
    """Whoever may choose a part of a page could else guess its secrets by its length (BREACH)."""
    await a_clinic(owner_pool, slug="harbour", now=datetime.now(UTC))
    for path in ("/harbour/sign-in", "/v1/today", "/openapi.json"):
        reply = await http.get(path, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in reply.headers, path


def test_one_file_holds_what_every_opening_needs_and_the_rest_takes_it_from_there() -> None:
    sources = {path.name: path.read_text() for path in DIRECTORY.glob(languages.SCRIPTS)}
    served = phone_scripts.served(sources)
    assert sorted(served) == [
        "phone.js",
        "phone_after.js",
        "phone_connection.js",
        "phone_history.js",
        "phone_log.js",
        "phone_monitoring.js",
        "phone_pin.js",
        "phone_questions.js",
        "phone_reminders.js",
        "phone_unsent.js",
        "phone_worker.js",
    ]
    assert "import {" not in served["phone.js"]
    assert 'from "./phone.js"' in served["phone_history.js"]
    assert "phone_page.js" not in served["phone_history.js"]
    assert 'from "./phone_monitoring.js"' in served["phone_reminders.js"]


def test_two_modules_that_use_one_name_are_refused_before_a_browser_does() -> None:
    sources = {
        "phone.js": 'import { one } from "./phone_one.js";\nconst twice = one;\n',
        "phone_one.js": "export const one = 1;\nfunction twice() {}\n",
    }
    with pytest.raises(AssertionError, match="twice"):
        phone_scripts.served(sources)


def test_no_text_of_a_script_stands_within_another_for_the_blanks_in_it_would_go() -> None:
    within = re.compile(r"`[^`]*\$\{[^}`]*`")
    files = [path for path in DIRECTORY.glob("*.js") if ".min." not in path.name]
    assert files
    found = [f"{path.name}: {text}" for path in files for text in within.findall(path.read_text())]
    assert not found, "rjsmin takes the inner template for code"
