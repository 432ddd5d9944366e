"""What leaves the house: neutral, signed, never into our own net, and the same on every attempt."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
import standardwebhooks
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service import ids, notify
from service.notify import Dead, Disable, Message, Retry, Sent, email, endpoint, outward
from service.notify.email import Email
from service.notify.webhook import Webhook
from tests.builders import NOW
from tests.senders import an_email_channel
from tests.sinks import a_hook_sink, a_mail_sink
from tests.wording import HEALTH_WORDS

SECRET = b"k" * 32


def a_message(to: str, delivery_id: UUID | None = None) -> Message:
    return Message(
        delivery_id=delivery_id or ids.new(),
        alert_id=ids.new(),
        to=to,
        link="https://neap.example/inbox",
        written_at=NOW,
        secrets=(SECRET,),
    )


async def test_an_e_mail_says_that_there_is_something_and_nothing_of_what_it_is() -> None:
    async with a_mail_sink() as sink:
        message = a_message("tamsin@harbour.example")
        assert await an_email_channel(sink.port).send(message, now=NOW) == Sent()
    [mail] = sink.messages
    assert sink.recipients == ["tamsin@harbour.example"]
    assert mail["subject"] == "New alert in the inbox"
    assert mail["message-id"] == f"<{message.delivery_id}@harbour.example>"
    assert "https://neap.example/inbox" in mail.get_content()
    assert words_in(mail) == []


def words_in(mail: EmailMessage) -> list[str]:
    text = f"{mail['subject']}\n{mail.get_content()}".lower()
    return [word for word in HEALTH_WORDS if word in text]


async def test_every_attempt_sends_the_same_e_mail() -> None:
    channel = an_email_channel(25)
    message = a_message("tamsin@harbour.example")
    assert channel.written(message).as_bytes() == channel.written(message).as_bytes()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("451 Later", Retry("the mail server refused it (451)")),
        ("552 Never", Dead("the mail server refused it (552)")),
    ],
)
async def test_a_mail_server_s_no_is_taken_as_it_is_meant(answer: str, expected: notify.Result) -> None:
    async with a_mail_sink() as sink:
        sink.answers = [answer]
        assert await an_email_channel(sink.port).send(a_message("a@harbour.example"), now=NOW) == expected


@pytest.mark.parametrize("begun", [False, True])
async def test_a_post_without_an_answer_says_whether_it_may_have_arrived(
    begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outward, "TIMEOUT_SECONDS", 0.3)
    async with a_hook_sink() as sink:
        sink.answers = [None]
        port = sink.port if begun else await a_closed_port()
        channel = Webhook(allowed={f"127.0.0.1:{port}"})
        result = await channel.send(a_message(f"http://127.0.0.1:{port}/"), now=NOW)
    assert isinstance(result, Retry)
    assert result.may_have_arrived is begun


async def test_an_e_mail_whose_data_nobody_answers_has_not_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "TIMEOUT_SECONDS", 0.3)
    async with a_mail_sink() as sink:
        sink.before_354 = True
        result = await an_email_channel(sink.port).send(a_message("a@harbour.example"), now=NOW)
    assert isinstance(result, Retry)
    assert not result.may_have_arrived


@pytest.mark.parametrize("begun", [False, True])
async def test_an_e_mail_without_an_answer_says_whether_it_may_have_arrived(
    begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email, "TIMEOUT_SECONDS", 0.3)
    async with a_mail_sink() as sink:
        sink.answers = [None]
        port = sink.port if begun else await a_closed_port()
        result = await an_email_channel(port).send(a_message("a@harbour.example"), now=NOW)
    assert isinstance(result, Retry)
    assert result.may_have_arrived is begun


@pytest.mark.parametrize(("data", "message"), [(b"what?", b"250 Kept"), (b"354 go on", b"what?")])
async def test_an_answer_that_is_none_says_nothing_of_what_came_before_it(
    data: bytes, message: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email, "TIMEOUT_SECONDS", 1.0)
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        in_data = False
        async for line in reader:
            if in_data and line != b".\r\n":
                continue
            if line.upper().startswith(b"QUIT"):
                break
            answer = message if in_data else b"250 Kept"
            in_data = line.upper().startswith(b"DATA")
            writer.write((data if in_data else answer) + b"\r\n")
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await an_email_channel(port).send(a_message("a@harbour.example"), now=NOW)
        await ended.wait()
    assert isinstance(result, Retry)
    assert result.may_have_arrived is (data == b"354 go on")


async def test_an_e_mail_that_was_taken_is_sent_however_the_goodbye_goes() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        in_data = False
        async for line in reader:
            if in_data and line != b".\r\n":
                continue
            in_data = line.upper().startswith(b"DATA")
            if line.upper().startswith(b"QUIT"):
                writer.transport.abort()
                return
            writer.write(b"354 go on\r\n" if in_data else b"250 Kept\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await an_email_channel(port).send(a_message("a@harbour.example"), now=NOW) == Sent()


async def a_closed_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_an_address_that_the_mail_server_does_not_know_is_dead() -> None:
    async with a_mail_sink() as sink:
        result = await an_email_channel(sink.port).send(a_message("nobody@harbour.example"), now=NOW)
    assert result == Dead("the mail server refused it (550)")


@pytest.mark.parametrize(
    "to",
    [
        "a,b@c.example",
        "a;b@c.example",
        "a:b@c.example",
        "<x>@c.example",
        "Ann <a@c.example>",
        "=?utf-8?q?a?=@c.example",
        "root",
        "a@c.example\nb@c.example",
        "a@c.example\x00",
        "",
    ],
)
async def test_what_is_more_or_less_than_one_address_is_given_to_no_mail_server(to: str) -> None:
    async with a_mail_sink() as sink:
        result = await an_email_channel(sink.port).send(a_message(to), now=NOW)
    assert isinstance(result, Dead)
    assert sink.messages == []


async def test_letters_that_a_mail_server_does_not_take_in_an_address_are_a_no_for_good() -> None:
    async with a_mail_sink() as sink:
        channel = an_email_channel(sink.port)
        result = await channel.send(a_message("josé@c.example"), now=NOW)
    assert isinstance(result, Dead)
    assert sink.messages == []


async def test_a_mail_server_out_of_reach_or_not_set_is_tried_again(unused_port: int) -> None:
    result = await an_email_channel(unused_port).send(a_message("a@harbour.example"), now=NOW)
    assert isinstance(result, Retry)
    none = Email(host=None, port=25, security="none", sender="", user=None, password=None)
    assert await none.send(a_message("a@harbour.example"), now=NOW) == Retry("no mail server is set")


@pytest.fixture
async def unused_port() -> int:
    async with a_mail_sink() as sink:
        return sink.port


async def test_a_webhook_is_thin_and_signed() -> None:
    async with a_hook_sink() as sink:
        channel = Webhook(allowed={f"127.0.0.1:{sink.port}"})
        message = a_message(f"http://127.0.0.1:{sink.port}/hook?of=harbour")
        assert await channel.send(message, now=dt.datetime.now(dt.UTC)) == Sent()
    [hook] = sink.hooks
    assert hook.request == "POST /hook?of=harbour HTTP/1.1"
    assert hook.headers["webhook-id"] == str(message.delivery_id)
    standardwebhooks.Webhook(SECRET).verify(hook.body, hook.headers)
    assert msgspec.json.decode(hook.body) == {
        "type": "alert.opened",
        "timestamp": "2026-11-22T23:00:00Z",
        "data": {"alert_id": str(message.alert_id), "link": "https://neap.example/inbox"},
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("500", Retry("the endpoint answered 500")),
        ("429 retry-after: 120", Retry("the endpoint answered 429", 120.0)),
        ("503 retry-after: 99999999", Retry("the endpoint answered 503", 86_400.0)),
        ("302 location: http://127.0.0.1/elsewhere", Retry("the endpoint answered 302")),
        ("410", Disable("the endpoint answered 410")),
    ],
)
async def test_an_endpoint_s_answer_is_taken_as_it_is_meant(answer: str, expected: notify.Result) -> None:
    async with a_hook_sink() as sink:
        sink.answers = [answer]
        channel = Webhook(allowed={f"127.0.0.1:{sink.port}"})
        assert await channel.send(a_message(f"http://127.0.0.1:{sink.port}/hook"), now=NOW) == expected
    assert len(sink.hooks) == 1, "no redirect is followed"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://hooks.example/hook", "the endpoint is not https"),
        ("https://hooks.example/hook", "the endpoint has a private address"),
        ("ftp://hooks.example/hook", "the endpoint is no http address"),
        ("https://user:secret@hooks.example/hook", "the endpoint is no http address"),
        ("https:///hook", "the endpoint is no http address"),
    ],
)
async def test_where_we_will_not_connect(url: str, problem: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["203.0.113.7" if host != "hooks.example" else "10.0.0.5"]

    channel = Webhook(allowed={"hooks.example:8443"}, resolve=resolve)
    assert await channel.send(a_message(url), now=NOW) == Dead(problem)


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "2002:7f00:1::", "ff02::1", "192.0.2.1", "255.255.255.255",
    "192.0.0.8", "192.88.99.1", "198.18.0.1", "::", "::127.0.0.1", "::8.8.8.8", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
    "64:ff9b:1::808:808", "64:ff9b:1::a9fe:a9fe", "2002:808:808::1", "2001:0:7f00:1::1", "2001:0:808:808::f5ff:fffe",
    "2001:db8::1", "3fff::1", "fec0::1", "5f00::1", "::ffff:169.254.169.254",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_with_one_private_address_among_public_ones_is_refused(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", address]

    channel = Webhook(allowed=set(), resolve=resolve)
    assert await channel.send(a_message("https://hooks.example"), now=NOW) == Dead("the endpoint has a private address")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert endpoint.is_public(address)


NEVER_SENT_TO = [
    "", "javascript:alert(1)", "https://", "https:///hook", "https://[", "ftp://hooks.example/", "http://hooks.example/",
    "https://127.0.0.1/", "https://10.0.0.5/x", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25e]/",
    "https://2130706433/", "https://127.1/", "https://0x7f.1/", "https://127.0.0.1./", "https://localhost/",
    "https://a.localhost/", "https://localhost./", "https://user:secret@hooks.example/", "https://:p@hooks.example/",
    "https://@hooks.example/", "https://hooks.example/#part", "https://hooks.example/#", "https://hooks.example/a b",
    "https://hooks.example/\r\nhost: other", "https://hooks.example/\x00", "https://hooks.example:0/",
    "https://hooks.example:99999/", "https://hooks.example\\@other.example/", "https://häfen.example/",
    "https://hooks.example/" + "x" * 2_000, "https://hooks<.example/", "https://]/", "https://[::1",
]  # fmt: skip


@pytest.mark.parametrize("url", NEVER_SENT_TO)
def test_what_could_never_be_sent_to_is_refused_before_it_is_kept(url: str) -> None:
    with pytest.raises(endpoint.Refused):
        endpoint.read(url, allowed={"hooks.example:8443"})


def test_a_pair_that_the_settings_allow_may_be_private_and_plain() -> None:
    allowed = {"127.0.0.1:9000", "[::1]:9000", "sink:80", "localhost:443"}
    for url in ("http://127.0.0.1:9000/x?of=1", "http://[::1]:9000/", "http://sink/", "https://localhost/"):
        assert str(endpoint.read(url, allowed=allowed)) == url
    with pytest.raises(endpoint.Refused):
        endpoint.read("http://:p@sink/", allowed=allowed)
    assert endpoint.read("https://hooks.example/neap?of=harbour", allowed=set()).host == "hooks.example"


async def test_the_name_is_asked_once_and_the_connection_goes_to_what_was_checked(tmp_path: Path) -> None:
    """A name server that would give another answer the second time (DNS rebinding) is not asked a second time; the
    certificate is still that of the name."""
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    server_tls, client_tls = certified("hooks.example", tmp_path)
    async with a_hook_sink(server_tls) as sink:
        url = f"https://hooks.example:{sink.port}/hook"
        channel = Webhook(allowed={f"hooks.example:{sink.port}"}, tls=client_tls, resolve=resolve)
        assert await channel.send(a_message(url), now=NOW) == Sent()
        other = Webhook(allowed={f"other.example:{sink.port}"}, tls=client_tls, resolve=resolve)
        refused = await other.send(a_message(f"https://other.example:{sink.port}/hook"), now=NOW)
    assert asked == ["hooks.example", "other.example"]
    assert sink.hooks[0].headers["host"] == f"hooks.example:{sink.port}"
    assert refused == Retry("out of reach (ConnectError)"), "a certificate of another name"


def certified(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server of that name, and for clients who trust its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())
    return server, client


async def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    result = await Webhook(allowed=set(), resolve=resolve).send(a_message("https://hooks.example"), now=NOW)
    assert result == Retry("out of reach (OSError)")


async def test_an_endpoint_given_as_an_address_is_judged_as_one() -> None:
    for url in ("https://127.0.0.1/hook", "https://[::1]/hook", "https://2130706433/hook"):
        assert isinstance(await Webhook(allowed=set()).send(a_message(url), now=NOW), Dead | Retry)
    assert not ipaddress.ip_address("127.0.0.1").is_global


async def test_the_retry_table_of_webhooks_is_that_of_the_specification() -> None:
    hours = [seconds / 3600 for seconds in Webhook.retry_after_seconds[3:]]
    assert (Webhook.retry_after_seconds[:3], hours) == ((5, 300, 1800), [2, 5, 10, 14, 20, 24])
