"""Whatever stands in a setting or an argument, it is taken or refused in one line, and a secret is never repeated."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest
from asyncpg import InterfaceError, connect_utils
from hypothesis import example, given
from hypothesis import strategies as st

from service import addresses, commands, config
from service.__main__ import main
from service.config import Config, ConfigError
from tests.conftest import A_MASTER_KEY

REPOSITORY = Path(__file__).parent.parent
MARK = "S3cr3tHalf"
SETTINGS = [each.variable for each in config.settings()]
FILES = [f"{each.variable}_FILE" for each in config.settings() if each.secret]
URLS = [name for name in SETTINGS if name.endswith("_URL")]
HIDDEN = [*URLS, *(each.variable for each in config.settings() if each.secret)]

UGLY = [
    "", " ", "\n", "\t", "\0", "\x1b[2J", "\udcff", "ä", "٣", "-", "-1", "0", "1e9", "99999999999999999999", "true",
    "null", "[]", "{}", "%", "%zz", "'", '"', "`", "$(id)", "a b", "a\nb", "../..", "/", "/dev/null", "/proc/self/mem",
    "~", "~~", "~nobody-at-all/x", "http://[", "http://", "https://", "https:///x", "http://h:", "http://h:0",
    "http://h:99999", "http://h:x", "http://u:p@h", "http://h/x", "http://h?x", "http://h#x", "http://[::1",
    "http://[::1]]", "http://ℋ:1", "postgresql://h:abc/neap", "postgresql://[/neap", "postgresql://h:99999/neap",
    "postgresql://h/a/b", "postgresql://", "postgresql:///neap?port=x", "postgresql://h/neap?sslmode=maybe",
    "postgresql://h/neap?x", "postgresql://h,,i/neap", "postgresql://h:1,i:x/neap", "postgresql://h/neap?host=",
    "postgresql://h/neap#x", "postgresql://::1/neap", "h:99999", "h:0", ":1", "[::1]", "[::g]:1", "1.2.3.4/99",
    "1.2.3", "10.0.0.300", "::1", "fe80::1%eth0", ",", "h:1,", "a@", "@b", "a@b@c", "a <a@b", "a@b\nBcc: c@d",
    "<a@b>", "x" * 5000, "." * 300, "9" * 5000, "[" * 500, "{" * 500,
]  # fmt: skip


def outcome(environ: dict[str, str]) -> Config | ConfigError:
    """What becomes of it: anything else that is raised fails the test."""
    try:
        return config.load(environ)
    except ConfigError as error:
        refused = error
    assert refused.faults
    assert all(fault.startswith("NEAP_") and len(fault) < 400 for fault in refused.faults)
    assert not any("\n" in fault for fault in refused.faults)
    return refused


@pytest.mark.parametrize("variable", [*SETTINGS, *FILES])
def test_any_text_is_a_setting_or_is_refused(variable: str) -> None:
    for text in UGLY:
        outcome({variable: text})
        outcome({variable: text, "NEAP_DATABASE_URL": "postgresql://db/neap", "NEAP_SMTP_HOST": "mail"})


@given(variable=st.sampled_from([*SETTINGS, *FILES]), text=st.text(max_size=40))
def test_no_text_at_all_breaks_the_reading_of_settings(variable: str, text: str) -> None:
    outcome({variable: text})


@given(name=st.text(max_size=20))
def test_an_unknown_name_is_one_line_too(name: str) -> None:
    outcome({f"NEAP_{name}": "x"})


PARTS = st.sampled_from(
    [
        "h",
        "h:1",
        ":",
        "/",
        "//",
        "@",
        "[",
        "]",
        "::1",
        "?",
        "#",
        "%",
        ",",
        "neap",
        "=",
        "&",
        "sslmode",
        "port",
        "u:p",
        " ",
    ]
)


@given(variable=st.sampled_from(HIDDEN), before=st.lists(PARTS, max_size=5), after=st.lists(PARTS, max_size=5))
@example("NEAP_OWNER_DATABASE_URL", ["postgresql", ":", "//", "u", ":"], ["/", "rest", "@", "h", "/", "neap"])
def test_what_is_refused_is_not_repeated(variable: str, before: list[str], after: list[str]) -> None:
    for scheme in ("", "postgresql://", "postgresql://neap_owner:", "https://"):
        said = outcome({variable: f"{scheme}{''.join(before)}{MARK}{''.join(after)}"})
        assert MARK not in str(said) or variable == "NEAP_BASE_URL"
        if isinstance(said, ConfigError):
            assert MARK not in str(said)


@given(parts=st.lists(PARTS, max_size=8))
@example(["u:p", "@", "h", "@", "h", "/", "neap"])
@example(["h", "/", "neap", "?", "port", "=", "h:1"])
@example(["u:p", "@", "::1", "/", "neap"])
def test_an_address_that_is_taken_is_one_that_the_driver_can_read(parts: list[str]) -> None:
    url = f"postgresql://{''.join(parts)}"
    if addresses.database_faults(url, login=True):
        return
    for each in (url, config.with_login(url, "neap_web", "p/w@x")):
        try:
            vars(connect_utils)["_parse_connect_dsn_and_args"](
                dsn=each, host=None, port=None, user=None, password=None, passfile=None, database=None, ssl=None,
                service=None, servicefile=None, direct_tls=None, server_settings=None, target_session_attrs=None,
                krbsrvname=None, gsslib=None,
            )  # fmt: skip
        except InterfaceError:
            continue


@given(text=st.one_of(st.text(max_size=30), st.from_regex(addresses.SENDER, fullmatch=True)))
@example("Neap, the clinic <neap@clinic.example>")
def test_a_sender_that_is_taken_can_be_written_into_a_message(text: str) -> None:
    if addresses.is_sender(text):
        message = EmailMessage()
        message["From"] = text
        assert "@" in message["From"].addresses[0].addr_spec


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("NEAP_BASE_URL", "https://"),
        ("NEAP_BASE_URL", "https://neap.example/below"),
        ("NEAP_HOST", "a b"),
        ("NEAP_HOST", "10.0.0.300"),
        ("NEAP_METRICS_HOST", "http://localhost"),
        ("NEAP_SMTP_HOST", "mail:25"),
        ("NEAP_MAIL_FROM", "notamail"),
        ("NEAP_WEBHOOK_ALLOW", "h:99999"),
        ("NEAP_DATABASE_URL", "postgresql://:pw@db/neap"),
        ("NEAP_DATABASE_URL", "postgresql://db/neap?password=pw"),
        ("NEAP_WEB_DATABASE_URL", "postgresql://neap_web:p@ss@db/neap"),
        ("NEAP_WEB_DATABASE_URL", "postgresql://neap_web:12/rest@db/neap"),
    ],
)
def test_what_could_not_work_is_refused(setting: str, text: str) -> None:
    said = outcome({setting: text})
    assert isinstance(said, ConfigError)
    assert setting in said.faults[0]


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("NEAP_BASE_URL", "http://[::1]:8080"),
        ("NEAP_BASE_URL", "HTTPS://neap-1.example/"),
        ("NEAP_PORT", "0"),
        ("NEAP_HOST", "::"),
        ("NEAP_HOST", "web-1.internal"),
        ("NEAP_SMTP_HOST", "mail_catcher"),
        ("NEAP_MAIL_FROM", "The clinic <neap+x@clinic.example>"),
        ("NEAP_WEBHOOK_ALLOW", "hooks-2.internal:8443"),
        ("NEAP_DATABASE_URL", "postgresql://one:5432,two:5433/neap?target_session_attrs=read-write"),
        ("NEAP_DATABASE_URL", "postgres://%2Fvar%2Frun%2Fpostgresql/neap"),
        ("NEAP_DATABASE_URL", "postgresql:///neap?host=/var/run/postgresql&port=5433"),
        ("NEAP_WEB_DATABASE_URL", "postgresql://neap_web:p%2Fw%40x@[fd00::2]:5432/neap?sslmode=require"),
    ],
)
def test_what_works_is_taken(setting: str, text: str) -> None:
    said = outcome({setting: text, "NEAP_MAIL_FROM": "neap@clinic.example"} | {setting: text})
    assert isinstance(said, Config), said


def test_an_empty_file_of_a_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    said = outcome({"NEAP_WEB_PASSWORD_FILE": str(tmp_path / "password")})
    assert str(said) == "NEAP_WEB_PASSWORD_FILE is empty"


def test_backups_lie_apart_from_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "link").symlink_to(data)
    apart = {"NEAP_DATA_DIR": str(data), "NEAP_BACKUP_DIR": str(tmp_path / "data-backup")}
    assert isinstance(outcome(apart), Config)
    for folder in (
        data,
        data / "postgres" / "deep",
        tmp_path,
        Path("/"),
        tmp_path / "link" / "x",
        data / ".." / "data",
    ):
        said = outcome(apart | {"NEAP_BACKUP_DIR": str(folder)})
        assert "NEAP_BACKUP_DIR and NEAP_DATA_DIR must lie apart" in str(said)


def test_a_record_of_the_server_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "web_password").write_text("x")
    (tmp_path / "embedded.json").write_text("{")
    with pytest.raises(ConfigError, match="NEAP_DATA_DIR"):
        config.load({"NEAP_DATA_DIR": str(tmp_path)}).database_url_of("web")


async def ran(*module_and_arguments: str, **settings: str) -> tuple[int, str]:
    """The exit status of a process of ours, and all that it said on standard error."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", *module_and_arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "NEAP_KEY": A_MASTER_KEY, **settings},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("program", [("service", "doctor"), ("service", "migrate"), ("jobs",)])
async def test_a_password_that_is_written_wrong_shows_nowhere(program: tuple[str, ...]) -> None:
    status, said = await ran(*program, NEAP_OWNER_DATABASE_URL=f"postgresql://neap_owner:{MARK}/rest@db/neap")
    assert (status, MARK in said) == (2, False)
    assert all(line.startswith("setting: NEAP_OWNER_DATABASE_URL") for line in said.splitlines())


async def test_an_address_that_is_taken_is_told_as_such(settings: Config) -> None:
    urls = msgspec.structs.asdict(settings.database_urls())
    environ = {f"NEAP_{role.upper()}_DATABASE_URL": url for role, url in urls.items()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for program, name in ((("jobs",), "NEAP_METRICS"), (("service", "web"), "NEAP")):
            status, said = await ran(*program, **environ, **{f"{name}_PORT": port})
            assert (status, said) == (
                2,
                f"setting: {name}_HOST, {name}_PORT: nobody can listen there (Address already in use)\n",
            )


@pytest.mark.parametrize("command", commands.names())
def test_a_wrong_argument_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--nonsense\nmore"])
    said = capsys.readouterr().err
    assert (ended.value.code, len(said.splitlines())) == (2, 1)
    assert said.startswith("service")


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["-x"], ["calibrate", "--seed", "x"], ["backup", "--keep", "x"]]
)
def test_what_argparse_refuses_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code, len(capsys.readouterr().err.splitlines())) == (2, 1)
