"""The units and the settings that docs/operations.md gives for a host without containers fit together.

Each unit's environment is put together as systemd does it (systemd.exec(5)) from the documented files, and read as the
process reads it; the documented commands are run with the programs of the host replaced.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from service import config
from service.config import Config, Role

REPOSITORY = Path(__file__).parent.parent
UNITS = REPOSITORY / "deploy" / "systemd"
TEXT = (REPOSITORY / "docs" / "operations.md").read_text()
SECTION = TEXT[TEXT.index("## On Debian 12") : TEXT.index("## Updates, and back")]
UPDATES = TEXT[TEXT.index("## Updates, and back") : TEXT.index("## The master key")]
SERVER, EMBEDDED = SECTION.split("### Without a server of your own")
NAME = r"[A-Z][A-Z_0-9]*"

# In place of our program: it reads what it would be told, and asks for what it would need.
PYTHON = """#!{python}
import sys
from service import config
settings = config.load()
{needs}
open({told!r}, "a").write(" ".join(sys.argv[1:]) + chr(10))
"""
NEEDS_ALL = "settings.database_urls(), settings.master_key(), settings.smtp_password.strip()"
NEEDS_FOLDER = "assert settings.embedded and str(settings.data_dir) == '/var/lib/neap'"


def block_after(words: str, text: str) -> str:
    """The first block of code after some words."""
    found = re.search(r"```sh\n(.*?)```", text[text.index(words) :], re.DOTALL)
    assert found is not None
    return found.group(1)


def a_host(folder: Path, text: str) -> Path:
    """Its /etc/neap as documented: the two files of settings, and the secrets that `make secrets` and a person make."""
    etc = folder / "etc"
    etc.mkdir()
    (etc / "neap.env").write_text(block_after("`/etc/neap/neap.env`", text))
    (etc / "mail.env").write_text(block_after("`/etc/neap/mail.env`", SERVER))
    subprocess.run(
        [sys.executable, REPOSITORY / ".ci" / "secrets", etc / "secrets"], check=True, stdout=subprocess.DEVNULL
    )
    (etc / "secrets" / "smtp_password").write_text("of the mail account\n")
    return etc


def values_of(unit: str, name: str) -> list[str]:
    """A setting of a unit that is a list: an empty one forgets those before it."""
    values: list[str] = []
    for value in re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE):
        values = [*values, value] if value else []
    return values


def environment_of(unit: str, etc: Path, credentials: Path) -> dict[str, str]:
    """What systemd gives the process; files of settings go before the unit's own, and nothing behind # is dropped."""
    credentials.mkdir()
    for value in values_of(unit, "LoadCredential"):
        name, _, source = value.partition(":")
        (credentials / name).write_bytes(Path(source.replace("/etc/neap", str(etc))).read_bytes())
    given = [value.replace("%d", str(credentials)) for value in values_of(unit, "Environment")]
    for file in values_of(unit, "EnvironmentFile"):
        lines = Path(file.replace("/etc/neap", str(etc))).read_text().splitlines()
        given += [line for line in lines if line and not line.startswith(("#", ";"))]
    assert all(re.fullmatch(rf"{NAME}=\S+", each) for each in given)
    return dict(each.split("=", 1) for each in given)


def settings_of(name: str, etc: Path, *, drop_in: bool = False) -> Config:
    unit = (UNITS / f"{name}.service").read_text()
    if drop_in:
        unit += "\n" + (UNITS / f"{name}.service.d" / "embedded.conf").read_text()
    return config.load(environment_of(unit, etc, etc.parent / f"credentials-{name}"))


def test_each_unit_starts_with_the_documented_settings_and_has_all_that_it_needs(tmp_path: Path) -> None:
    etc = a_host(tmp_path, SERVER)
    web, jobs = settings_of("neap-web", etc), settings_of("neap-jobs", etc)
    key = (etc / "secrets" / "key").read_text()
    needed: tuple[tuple[Config, Role], ...] = ((web, "web"), (jobs, "jobs"), (jobs, "sweep"))
    for loaded, role in needed:
        assert (loaded.key, loaded.base_url) == (key, "https://neap.clinic.example")
        password = (etc / "secrets" / f"{role}_password").read_text()
        assert loaded.database_url_of(role) == f"postgresql://neap_{role}:{password}@127.0.0.1:5432/neap"
    assert (jobs.smtp_host, jobs.smtp_user, jobs.smtp_password) == (
        "smtp.clinic.example",
        "neap",
        "of the mail account",
    )
    assert (web.smtp_host, web.smtp_password) == (None, None)


def test_the_units_beside_the_embedded_server_use_its_folder(tmp_path: Path) -> None:
    etc = a_host(tmp_path, EMBEDDED)
    database = settings_of("neap-database", etc)
    web, jobs = settings_of("neap-web", etc, drop_in=True), settings_of("neap-jobs", etc, drop_in=True)
    for loaded in (database, web, jobs):
        assert loaded.embedded
        assert loaded.key is None
        assert (loaded.data_dir, loaded.backup_dir) == (Path("/var/lib/neap"), Path("/var/backups/neap"))
    assert (jobs.smtp_user, jobs.smtp_password) == ("neap", "of the mail account")
    unit = (UNITS / "neap-database.service").read_text()
    for line in ("StateDirectory=neap", "ReadWritePaths=-/var/backups/neap", "User=neap"):
        assert f"\n{line}\n" in unit


def test_each_timer_starts_a_command_there_is_with_the_documented_folders(tmp_path: Path) -> None:
    etc = a_host(tmp_path, EMBEDDED)
    timers = sorted(file.stem for file in UNITS.glob("*.timer"))
    assert timers == ["neap-backup", "neap-restore-drill"]
    for name in timers:
        assert f"{name}.timer" in EMBEDDED
        loaded = settings_of(name, etc)
        assert (loaded.data_dir, loaded.backup_dir) == (Path("/var/lib/neap"), Path("/var/backups/neap"))
        unit = (UNITS / f"{name}.service").read_text()
        [started] = re.findall(r"^ExecStart=/opt/neap/\.venv/bin/python -m service (.+)$", unit, re.MULTILINE)
        asked = subprocess.run(
            [sys.executable, "-m", "service", *started.split(), "--help"],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
        )
        assert b"usage" in asked.stdout


def test_without_a_password_of_the_mail_account_the_documented_lines_are_left_out(tmp_path: Path) -> None:
    etc = a_host(tmp_path, SERVER)
    (etc / "secrets" / "smtp_password").unlink()
    mail = (etc / "mail.env").read_text()
    (etc / "mail.env").write_text(re.sub(r"^NEAP_SMTP_USER=.*\n", "", mail, flags=re.MULTILINE))
    unit = (UNITS / "neap-jobs.service").read_text()
    unit = re.sub(r"^.*smtp_password$\n", "", unit, flags=re.MULTILINE)
    loaded = config.load(environment_of(unit, etc, tmp_path / "credentials"))
    assert (loaded.smtp_host, loaded.smtp_password) == ("smtp.clinic.example", None)


def run_block(block: str, folder: Path, etc: Path, *, needs: str, program: Path = REPOSITORY) -> str:
    """Run documented commands as they stand, but for programs of the host; what our own were told, line by line."""
    programs, told = folder / "programs", folder / "told"
    programs.mkdir(exist_ok=True)
    for name in ("cp", "systemctl", "git", "make"):
        (programs / name).write_text("#!/bin/sh\nexit 0\n")
    (programs / "install").write_text('#!/bin/sh\nfor last; do :; done; mkdir "$last"\n')
    # What is piped into it is read: a writer whose reader is gone would fail, or not, as the machine is busy.
    (programs / "psql").write_text("#!/bin/sh\ncat > /dev/null\n")
    (programs / "runuser").write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n')
    (programs / "python").write_text(PYTHON.format(python=sys.executable, needs=needs, told=str(told)))
    for each in programs.iterdir():
        each.chmod(0o700)
    block = block.replace("/etc/neap", str(etc)).replace("/opt/neap", str(program)).replace("/var/lib", str(folder))
    block = block.replace(".venv/bin/python", str(programs / "python"))
    environ = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return told.read_text()


FIRST_CLINIC = (
    "-m service create-clinic --slug harbour --name Harbour Clinic --time-zone America/Chicago"
    " --admin-email you@clinic.example --admin-name Your Name\n"
)


def test_the_documented_commands_bring_it_up(tmp_path: Path) -> None:
    etc = a_host(tmp_path, SERVER)
    block = block_after("Roles, database and schema", SERVER)
    told = run_block(block, tmp_path, etc, needs=NEEDS_ALL)
    assert told == f"-m service migrate\n{FIRST_CLINIC}-m service doctor --send-test you@clinic.example\n"


def test_the_documented_commands_bring_it_up_with_the_embedded_server(tmp_path: Path) -> None:
    etc = a_host(tmp_path, EMBEDDED)
    [block] = [each for each in re.findall(r"```sh\n(.*?)```", EMBEDDED, re.DOTALL) if "service migrate" in each]
    assert run_block(block, tmp_path, etc, needs=NEEDS_FOLDER) == f"-m service migrate\n{FIRST_CLINIC}"


def test_an_update_and_the_way_back_switch_folders_twice_and_end_at_the_moment_of_the_stop(tmp_path: Path) -> None:
    etc = a_host(tmp_path, EMBEDDED)
    program, data = tmp_path / "program", tmp_path / "neap"
    needs = NEEDS_FOLDER + "; sys.argv += [str(settings.key), open('release').read()]"
    forward, back = re.findall(r"```sh\n(.*?)```", UPDATES, re.DOTALL)
    for folder, release in ((program, "1"), (data / "secrets", "")):
        folder.mkdir(parents=True)
        (folder / "release").write_text(release)
    key = (etc / "secrets" / "key").read_text()
    (data / "secrets" / "key").write_text(key)
    for release in ("2", "3"):
        new = Path(f"{program}-new")
        new.mkdir()
        (new / "release").write_text(release)
        run_block(forward, tmp_path, etc, needs=needs, program=program)
        assert (program / "release").read_text() == release, "also where one was made before"
    (tmp_path / "told").unlink()
    stopped = Path(f"{program}-stopped").read_text().strip()
    told = run_block(back, tmp_path, etc, needs=needs, program=program).splitlines()
    assert told == [
        f"-m service restore --until {stopped} --to {data} {key} 2",
        "-m service migrate None 2",
    ]
    assert re.search(r"\.\d{6}Z$", stopped), "an answer of that second is not left out"
    assert datetime.fromisoformat(stopped).tzinfo is not None
    assert list(data.iterdir()) == []
    assert Path(f"{data}-new", "secrets", "key").is_file()


def test_every_file_that_the_section_names_is_made_by_it_or_shipped() -> None:
    for name in set(re.findall(r"deploy/[\w./-]+\.(?:service|conf)|deploy/proxy/\w+", SECTION)):
        assert (REPOSITORY / name).is_file(), name
    for unit in UNITS.glob("*.service"):
        for name in re.findall(r"/etc/neap/(?:secrets/)?([\w.]+)", unit.read_text()):
            made = {"key", "web_password", "jobs_password", "sweep_password"}  # by `make secrets`
            assert name in made or f"/etc/neap/{name}" in SERVER or f"/etc/neap/secrets/{name}" in SERVER, name
