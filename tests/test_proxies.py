"""The proxies of `deploy/proxy`, as they are shipped but for name, ports and certificate, before a real web process."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from schemas.clinic import Clinic
from service import database as databases
from service.config import DatabaseUrls
from service.database import Pool
from service.people import devices
from tests.browser import ROOT, Web, a_web, environment, free_port
from tests.builders import a_client, a_clinic
from tests.conftest import A_MASTER_KEY
from tests.desk import a_person, a_session
from tests.phone import Phone
from tests.signing_in import give_password

pytestmark = pytest.mark.slow

NAME = "neap.clinic.example"
UP_SECONDS = 20
SHIPPED = ROOT / "deploy" / "proxy"


class Certificate(NamedTuple):
    """A certificate that signed itself, and its key."""

    certificate: Path
    key: Path

    @property
    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)


def a_certificate(folder: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "proxy.pem", folder / "proxy.key")
    made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


class Proxied(NamedTuple):
    """A web process behind a proxy, and the ports of the latter."""

    web: Web
    clinic: Clinic
    owner: Pool
    certificate: Certificate
    tls_port: int
    plain_port: int

    @asynccontextmanager
    async def visitor(self, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
        """Somebody who comes over TLS from this address of this machine."""
        transport = ByName(self.certificate.trusted, address)
        base_url = f"https://{NAME}:{self.tls_port}"
        async with httpx.AsyncClient(base_url=base_url, transport=transport, timeout=UP_SECONDS) as http:
            yield http


class ByName(httpx.AsyncHTTPTransport):
    """Connects to this machine whatever name is asked for, and checks the certificate for the name."""

    def __init__(self, trusted: ssl.SSLContext, local_address: str) -> None:
        super().__init__(verify=trusted, local_address=local_address, retries=8)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host="127.0.0.1")
        return await super().handle_async_request(request)


def nginx_with(folder: Path, certificate: Certificate, web_port: int, tls_port: int, plain_port: int) -> list[str]:
    """How nginx is started with the shipped file."""
    shipped = (SHIPPED / "nginx.conf").read_text()
    for written, here in (
        ("127.0.0.1:8080", f"127.0.0.1:{web_port}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{tls_port} ssl"),
        ("listen 80", f"listen 127.0.0.1:{plain_port}"),
        ("/etc/letsencrypt/live/neap.clinic.example/fullchain.pem", str(certificate.certificate)),
        ("/etc/letsencrypt/live/neap.clinic.example/privkey.pem", str(certificate.key)),
    ):
        assert written in shipped
        shipped = shipped.replace(written, here)
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    main = f"{user}daemon off;\npid {folder / 'nginx.pid'};\nerror_log stderr;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{\n{temporary}{shipped}\n}}\n")
    return ["-e", "stderr", "-c", str(folder / "nginx.conf")]


def caddy_with(folder: Path, certificate: Certificate, web_port: int, tls_port: int, plain_port: int) -> list[str]:
    """How Caddy is started with the shipped file; its own certificates would need the world."""
    shipped = (SHIPPED / "Caddyfile").read_text()
    assert "127.0.0.1:8080" in shipped
    shipped = shipped.replace("127.0.0.1:8080", f"127.0.0.1:{web_port}")
    tls = f"{NAME} {{\n\ttls {certificate.certificate} {certificate.key}\n"
    ports = f"\thttp_port {plain_port}\n\thttps_port {tls_port}\n\tdefault_bind 127.0.0.1\n"
    options = f"{{\n\tadmin off\n{ports}\tstorage file_system {folder / 'caddy'}\n}}\n"
    (folder / "Caddyfile").write_text(options + shipped.replace(f"{NAME} {{\n", tls))
    return ["run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


PROXIES = {"nginx": nginx_with, "caddy": caddy_with}


@pytest.fixture(params=[name for name in PROXIES if shutil.which(name)])
async def proxied(
    request: pytest.FixtureRequest, database: DatabaseUrls, owner_pool: Pool, tmp_path: Path
) -> AsyncIterator[Proxied]:
    web_port, tls_port, plain_port = free_port(), free_port(), free_port()
    certificate = a_certificate(tmp_path)
    arguments = PROXIES[request.param](tmp_path, certificate, web_port, tls_port, plain_port)
    behind = {"NEAP_FORWARDED_ALLOW_IPS": "127.0.0.1", "NEAP_BASE_URL": f"https://{NAME}:{tls_port}"}
    clinic = await a_clinic(owner_pool, slug="harbour")
    async with a_web(environment(database, tmp_path / "data", A_MASTER_KEY, web_port) | behind) as web:
        process = await asyncio.create_subprocess_exec(
            request.param, *arguments, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        )
        try:
            yield Proxied(web, clinic, owner_pool, certificate, tls_port, plain_port)
        finally:
            process.terminate()
            await process.wait()


async def test_phones_and_desks_come_through_and_plain_http_is_led_to_tls(proxied: Proxied) -> None:
    async with databases.transaction(proxied.owner, proxied.clinic.clinic_id) as db:
        code = await devices.issue_code(db, await a_client(db), by=None, now=datetime.now(UTC))
    async with proxied.visitor() as http:
        page = await http.get("/harbour/sign-in")
        assert page.status_code == 200
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        phone = Phone(http)
        await phone.enrol("harbour", code.code)
        answered = {"kind": "moment", "answered_at": datetime.now(UTC).isoformat(), "time_zone": "UTC"}
        assert (await phone.check_in(answered | {"craving": {"alcohol": 4}})).status_code == 201
        for mebibytes in (1.5, 3):
            reply = await http.post("/v1/check-ins/batch", content=b" " * int(mebibytes * 2**20), headers=phone.headers)
            assert reply.status_code == 413
            assert reply.headers["content-type"].startswith("application/problem+json")
            assert reply.json()["type"].endswith("too-large")
    async with httpx.AsyncClient() as http:
        led = await http.get(f"http://127.0.0.1:{proxied.plain_port}/harbour/sign-in", headers={"Host": NAME})
        assert led.status_code in (301, 308)
        assert led.headers["location"].startswith(f"https://{NAME}")


async def test_who_tries_passwords_is_known_by_the_proxy_and_not_by_what_they_say(proxied: Proxied) -> None:
    codes = []
    async with proxied.visitor("127.0.0.2") as attacker:
        for number in range(6):
            attacker.headers["X-Forwarded-For"] = f"203.0.113.{number}"
            codes.append((await give_password(attacker, password="wrong wrong wrong")).status_code)
    assert codes == [401] * 5 + [429]
    async with proxied.visitor("127.0.0.3") as elsewhere:
        assert (await give_password(elsewhere, password="wrong wrong wrong")).status_code == 401


async def test_the_inbox_s_stream_arrives_at_once_and_holds_up_no_stop(proxied: Proxied) -> None:
    async with databases.transaction(proxied.owner, proxied.clinic.clinic_id) as db:
        session = await a_session(db, await a_person(db))
    async with proxied.visitor() as http, http.stream("GET", "/inbox/stream", headers=session.cookie) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        async with asyncio.timeout(UP_SECONDS):
            while (await anext(lines)) != "event: changed":
                pass
        proxied.web.process.terminate()
        async with asyncio.timeout(UP_SECONDS):
            await proxied.web.process.wait()
            async for _ in lines:
                pass
