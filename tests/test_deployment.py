"""What is shipped for containers and the command line fits the product: settings, secrets, commands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from docs import citus
from docs import rights as docs_rights
from jobs import metrics
from service import commands, config
from service.database import Pool
from service.storage import rights

REPOSITORY = Path(__file__).parent.parent
COMPOSE = (REPOSITORY / "compose.yaml").read_text()


def settings_named_in(text: str) -> set[str]:
    return set(re.findall(r"\bNEAP_[A-Z_]+\b(?!\*)", text))


def service_of_compose(name: str) -> str:
    """The text of one service, from its name to the next one at the same depth."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_every_setting_named_for_containers_is_one() -> None:
    known = {line.variable for line in config.settings()}
    known |= {line.variable + "_FILE" for line in config.settings() if line.secret}
    named = settings_named_in(COMPOSE) | settings_named_in((REPOSITORY / "Dockerfile").read_text())
    assert named - known == set()


def test_only_migrate_gets_the_administrator_s_address_and_each_process_only_its_own_secrets() -> None:
    assert "admin_database_url" in service_of_compose("migrate")
    secrets = {name: re.findall(r"secrets: \[(.*)\]", service_of_compose(name)) for name in ("web", "jobs")}
    assert secrets == {"web": ["key, web_password"], "jobs": ["key, jobs_password, sweep_password"]}


def test_no_container_runs_as_root_or_writes_to_its_image() -> None:
    hardened = COMPOSE.count("<<: *neap")
    assert hardened == 3
    for name in ("postgres", "mail"):
        for line in ("user: ", "read_only: true", "cap_drop: [ALL]", "security_opt: [no-new-privileges:true]"):
            assert line in service_of_compose(name), f"{name}: {line}"
    assert "\nUSER 10001:10001\n" in (REPOSITORY / "Dockerfile").read_text()


def test_the_secret_files_are_made_once_in_a_folder_of_their_owner_s(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([sys.executable, REPOSITORY / ".ci" / "secrets", folder], check=True, capture_output=True)
    assert {file.name for file in folder.iterdir()} == set(re.findall(r"file: secrets/(\w+)", COMPOSE))
    assert folder.stat().st_mode & 0o777 == 0o700
    loaded = config.load({"NEAP_DATABASE_URL": "postgresql://db/neap", "NEAP_KEY_FILE": str(folder / "key")})
    assert len(loaded.master_key()) == 32


def test_every_command_says_in_one_sentence_what_it_does() -> None:
    for name in commands.names():
        sentence = (commands.command(name).__doc__ or "").split("\n", 1)[0]
        assert sentence.endswith("."), name


def test_make_without_a_target_lists_every_target_a_person_calls() -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    shown = subprocess.run(["make"], cwd=REPOSITORY, env=environ, check=True, capture_output=True, text=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(re.findall(r"^  make ([a-z-]+)", shown, re.MULTILINE)) == set(phony.group(1).split())


def test_the_help_of_the_program_names_every_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "service", "--help"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    assert all(name in shown for name in commands.names())


async def test_the_statements_for_a_cluster_are_those_of_the_tables_there_are(owner_pool: Pool) -> None:
    """`python -m docs.citus` writes them."""
    async with owner_pool.acquire() as connection:
        block = await citus.statements(connection)
    text = citus.OPERATIONS.read_text()
    assert citus.with_statements(text, block) == text


async def test_the_rights_that_the_doctor_asks_for_are_those_that_the_migrations_grant(owner_pool: Pool) -> None:
    """`python -m docs.rights` writes them."""
    async with owner_pool.acquire() as connection:
        assert rights.encode(await rights.granted(connection)) == docs_rights.FILE.read_bytes()


def test_units_of_the_host_are_hardened_name_known_settings_and_each_holds_its_own_secrets() -> None:
    known = {line.variable for line in config.settings()} | {line.variable + "_FILE" for line in config.settings()}
    held = {}
    for file in sorted((REPOSITORY / "deploy" / "systemd").glob("*.service")):
        unit = file.read_text()
        account = "DynamicUser=yes" if file.stem in ("neap-web", "neap-jobs") else "User=neap"
        for line in ("NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectSystem=strict", account):
            assert f"\n{line}\n" in unit
        assert settings_named_in(unit) - known == set()
        held[file.stem] = set(re.findall(r"^LoadCredential=(\w+):", unit, re.MULTILINE))
    assert held == {
        "neap-backup": set(),
        "neap-database": set(),
        "neap-restore-drill": set(),
        "neap-web": {"key", "web_password"},
        "neap-jobs": {"key", "jobs_password", "sweep_password", "smtp_password"},
    }


def test_the_dashboard_shows_every_figure_there_is_and_no_other() -> None:
    dashboard = json.loads((REPOSITORY / "deploy" / "grafana" / "neap.json").read_text())
    shown = {name for each in dashboard["panels"] for name in re.findall(r"neap_\w+", each["targets"][0]["expr"])}
    # A counter's samples end so, and the figure itself does not.
    assert {name.removesuffix("_total") for name in shown} == {figure.name for figure in metrics.REGISTRY.collect()}


REFERS = """
select f.conrelid::regclass::text as by, f.confrelid::regclass::text as to
from pg_constraint f
where f.contype = 'f'
  and f.connamespace = 'public'::regnamespace
  and f.conrelid <> f.confrelid
"""


async def test_tables_are_spread_in_an_order_and_a_way_that_citus_documents(owner_pool: Pool) -> None:
    async with owner_pool.acquire() as connection:
        block = await citus.statements(connection)
        refers = await connection.fetch(REFERS)
        triggers = await connection.fetchval("select count(*) from pg_trigger where not tgisinternal")
    order = re.findall(r"select create_(reference|distributed)_table\('(\w+)'", block)
    place = {name: number for number, (_, name) in enumerate(order)}
    whole = {name for kind, name in order if kind == "reference"}
    assert {"clinic", "root_key"} <= whole
    assert triggers == 0
    assert len(refers) > len(place)
    for each in refers:
        assert place[each["to"]] < place[each["by"]], f"{each['by']} comes before {each['to']}"
        assert each["to"] in whole or each["by"] not in whole, f"{each['by']} is held whole and refers to {each['to']}"
