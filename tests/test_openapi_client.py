"""The API's description is enough: a public generator makes a typed client of it, and its examples are what we take."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from service import app, database, ids
from service.config import Config
from service.database import Pool
from service.people import devices
from service.web.api import openapi
from tests.builders import a_client, a_clinic
from tests.phone import Phone

CLINIC = "harbour"
PACKAGE = "neap_generated_client"


def operations(application: Litestar) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every described operation: its name, its handler, and what the description says of it."""
    described = openapi.describe(application)["paths"]
    for route in application.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                told = described.get(route.path_format, {}).get(method.lower())
                if told is not None:
                    yield f"{method} {route.path}", handler, told


def test_every_body_and_reply_has_an_example_that_its_shape_accepts(settings: Config) -> None:
    seen = 0
    for name, handler, told in operations(app.create(settings)):
        body = handler.opt.get("body") if "requestBody" in told else None
        replies = {status: shape for status, shape in handler.opt.get("replies", {}).items() if shape is not None}
        pairs = [(shape, told["responses"][str(status)]) for status, shape in replies.items()]
        for shape, held in [*pairs, *([(body, told["requestBody"])] if body else [])]:
            example = held["content"]["application/json"]["example"]
            try:
                msgspec.json.decode(msgspec.json.encode(example), type=shape)
            except msgspec.ValidationError as error:
                raise AssertionError(f"{name}: {error}") from error
            seen += 1
    assert seen > 100


@pytest.fixture
def generated(settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package that the generator made; everything it printed."""
    description, config = tmp_path / "openapi.json", tmp_path / "config.yaml"
    description.write_bytes(msgspec.json.encode(openapi.describe(app.create(settings))))
    config.write_text("post_hooks: []\n")
    line: list[str | Path] = [
        Path(sys.executable).with_name("openapi-python-client"),
        "generate",
        "--path",
        description,
        "--meta",
        "none",
    ]
    line += ["--config", config, "--output-path", tmp_path / PACKAGE, "--fail-on-warning"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    said: str = done.stdout + done.stderr
    return said


async def test_a_generated_client_enrols_checks_in_and_reads_back(
    generated: str, http: httpx.AsyncClient, owner_pool: Pool
) -> None:
    assert "warning" not in generated.lower()
    clinic, now = await a_clinic(owner_pool, slug=CLINIC), datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, now=now)
        code = (await devices.issue_code(db, client_id, by=None, now=now)).code

    def of(module: str) -> Any:
        return importlib.import_module(f"{PACKAGE}.{module}")

    models, client = of("models"), of("client").Client("http://neap.test").set_async_httpx_client(http)
    form = models.EnrolForm(clinic=CLINIC, code=code, public_key=Phone(http).public_key)
    enrolled = await of("api.device.enrol").asyncio(client=client, body=form)
    http.headers["Authorization"] = f"Bearer {enrolled.access_token}"
    craving = models.CheckInFormCraving.from_dict({"alcohol": 6})
    answer = models.CheckInForm(
        kind=models.Kind.DAILY,
        answered_at=now,
        sent_at=now,
        time_zone="America/Chicago",
        craving=craving,
        mood=4,
        anxiety=7,
    )
    check_in_id = str(ids.new())
    stored = await of("api.check_ins.put_check_in").asyncio(check_in_id, client=client, body=answer)
    page = await of("api.check_ins.get_check_ins").asyncio(client=client)
    assert [str(item.id) for item in page.items] == [check_in_id] == [str(stored.check_in.id)]
    assert (page.items[0].craving.to_dict(), page.items[0].mood, page.items[0].anxiety) == ({"alcohol": 6}, 4, 7)
    refused = await of("api.check_ins.get_check_ins").asyncio(client=client, before="nonsense")
    assert isinstance(refused, models.Problem)
    assert refused.type_.endswith("/problems/invalid")
