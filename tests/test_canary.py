"""Words that only a client says never reach logs, errors, metrics or messages: real processes, from answer to alert."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.people import clients, webhook_endpoints
from tests.browser import ROOT, free_port
from tests.builders import MASTER, a_client, a_clinic, a_phone
from tests.checking_in import Setting, form_now
from tests.conftest import A_MASTER_KEY
from tests.desk import SignedInAs, a_person, a_session
from tests.sinks import HookSink, MailSink

PATIENCE_SECONDS = 60
CANARY = "zyzzyva"
HEALTH_WORDS = ("craving", "ketamine", "alcohol", "infusion", "relapse")


class Spoken:
    """Everything that left the processes but for the pages of those who may read them."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def quoting(self, word: str) -> list[str]:
        return [where for where, text in self.texts.items() if word in text.lower()]


@asynccontextmanager
async def overheard(spoken: Spoken, name: str, *arguments: str, env: Mapping[str, str]) -> AsyncIterator[Process]:
    """A process of ours, and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, env=dict(env), stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        spoken.texts[f"log of {name}"] = output.decode()


def environment(settings: Config, mail: MailSink, hooks: HookSink, port: int, metrics: int) -> dict[str, str]:
    urls = {f"NEAP_{role.upper()}_DATABASE_URL": settings.database_url_of(role) for role in ("web", "jobs", "sweep")}
    return {
        **{name: text for name, text in os.environ.items() if not name.startswith("NEAP_")},
        **urls,
        "NEAP_DATA_DIR": str(settings.data_dir),
        "NEAP_KEY": A_MASTER_KEY,
        "NEAP_PORT": str(port),
        "NEAP_METRICS_PORT": str(metrics),
        "NEAP_LOG_FORMAT": "json",
        "NEAP_SMTP_HOST": "127.0.0.1",
        "NEAP_SMTP_PORT": str(mail.port),
        "NEAP_SMTP_SECURITY": "none",
        "NEAP_MAIL_FROM": "neap@clinic.example",
        "NEAP_WEBHOOK_ALLOW": f"127.0.0.1:{hooks.port}",
    }


async def a_named_client(owner: Pool, hooks: HookSink) -> tuple[Setting, SignedInAs]:
    now = datetime.now(UTC)
    clinic = await a_clinic(owner, now=now)
    async with database.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db, given_name="Ines", family_name=f"Mc{CANARY.title()}", now=now)
        phone = await a_phone(db, client_id, now=now)
        therapist = await a_person(db)
        await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=now - timedelta(days=1))
        await webhook_endpoints.add(db, MASTER, f"http://127.0.0.1:{hooks.port}/hook", now=now)
        return Setting(clinic.clinic_id, client_id, phone, owner), await a_session(db, therapist)


async def wrong_requests(http: httpx.AsyncClient, here: Setting, person: SignedInAs) -> AsyncIterator[httpx.Response]:
    """What a broken phone, a typing mistake or a stranger sends, each with the client's own words in it."""
    address, headers = f"/v1/check-ins/{uuid4()}", here.phone.headers
    yield await http.put(address, json=form_now(mood=CANARY, note=CANARY), headers=headers)
    yield await http.put(address, content=b'{"note": "' + CANARY.encode() + b"\xe9", headers=headers)
    yield await http.put(address, json=form_now(note=CANARY * 400), headers=headers)
    yield await http.put(address, json=form_now(used=[CANARY]), headers=headers)
    yield await http.put(address, json=form_now(note=CANARY), headers={"Authorization": f"Bearer {CANARY}"})
    yield await http.post("/v1/check-ins/batch", json=[{"id": str(uuid4()), "mood": CANARY}, CANARY], headers=headers)
    yield await http.get(f"/v1/check-ins?before={CANARY}", headers=headers)
    yield await http.get(f"/clients/{CANARY}", headers=person.cookie)
    yield await http.post("/sign-in", data={"clinic": CANARY, "email": f"{CANARY}@x.example", "password": CANARY})


async def until_told(mail: MailSink, hooks: HookSink) -> None:
    while not (mail.messages and hooks.hooks):
        waits = [asyncio.create_task(mail.arrived.wait()), asyncio.create_task(hooks.asked.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        mail.arrived.clear()
        hooks.asked.clear()


async def test_a_client_s_words_stay_inside(
    settings: Config, owner_pool: Pool, mail: MailSink, hooks: HookSink
) -> None:
    here, person = await a_named_client(owner_pool, hooks)
    port, metrics, spoken = free_port(), free_port(), Spoken()
    env = environment(settings, mail, hooks, port, metrics)
    transport = httpx.AsyncHTTPTransport(retries=8)
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        overheard(spoken, "web", "service", "web", env=env),
        overheard(spoken, "jobs", "jobs", env=env),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=30) as http,
    ):
        (await http.get("/health/ready")).raise_for_status()
        stored = await http.put(
            f"/v1/check-ins/{uuid4()}", json=form_now(safety=True, note=f"{CANARY} again"), headers=here.phone.headers
        )
        assert stored.status_code == 201, stored.text
        async for refused in wrong_requests(http, here, person):
            assert refused.status_code != 201, refused.request.url
            spoken.texts[f"answer to {refused.request.method} {len(spoken.texts)}"] = refused.text
        assert CANARY.title() in (await http.get(f"/clients/{here.client_id}", headers=person.cookie)).text
        await until_told(mail, hooks)
        spoken.texts["metrics"] = (await http.get(f"http://127.0.0.1:{metrics}/metrics")).text
    spoken.texts |= {f"mail {number}": each.as_string() for number, each in enumerate(mail.messages)}
    spoken.texts |= {f"webhook {number}": str((each.headers, each.body)) for number, each in enumerate(hooks.hooks)}
    assert spoken.quoting(CANARY) == []
    messages = [where for word in HEALTH_WORDS for where in spoken.quoting(word) if where.startswith(("mail", "web"))]
    assert messages == []


@pytest.mark.parametrize("word", HEALTH_WORDS)
def test_what_is_looked_for_would_be_found(word: str) -> None:
    spoken = Spoken()
    spoken.texts["log"] = f"the client's {word.title()} rose"
    assert spoken.quoting(word) == ["log"]
