"""Settings come from NEAP_* variables, are checked all at once and never shown."""

import base64
from pathlib import Path

import msgspec
import pytest

from service import config
from service.config import Config, ConfigError

A_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")


def faults_of(**environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        config.load(environ)
    return raised.value.faults


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    loaded = config.load({})
    assert (loaded.host, loaded.port, loaded.base_url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")
    assert loaded.data_dir == Path.cwd() / ".neap"
    assert loaded.embedded
    assert not loaded.demo


def test_texts_become_numbers_booleans_paths_and_lists() -> None:
    loaded = config.load(
        {
            "NEAP_PORT": "9000",
            "NEAP_DEMO": "true",
            "NEAP_DEMO_MAIL_DIR": "mail",
            "NEAP_WEBHOOK_ALLOW": "127.0.0.1:9999, sink:80,[::1]:81",
            "NEAP_BASE_URL": "https://neap.example/",
        }
    )
    assert (loaded.port, loaded.demo, loaded.demo_mail_dir) == (9000, True, Path("mail"))
    assert loaded.webhook_allow == {"127.0.0.1:9999", "sink:80", "[::1]:81"}
    assert loaded.base_url == "https://neap.example"


def test_proxies_are_named_by_address_or_network_and_never_everybody() -> None:
    assert config.load({}).forwarded_allow_ips == frozenset()
    loaded = config.load({"NEAP_FORWARDED_ALLOW_IPS": "10.0.0.2, fd00::/8"})
    assert loaded.forwarded_allow_ips == {"10.0.0.2", "fd00::/8"}
    for text in ("*", "proxy", "10.0.0.300", "10.0.0.1/8"):
        assert faults_of(NEAP_FORWARDED_ALLOW_IPS=text)[0].startswith("NEAP_FORWARDED_ALLOW_IPS")


def test_all_faults_are_reported_at_once() -> None:
    faults = faults_of(NEAP_PORT="many", NEAP_DEMO="perhaps", NEAP_PROT="1", NEAP_KEY="short", NEAP_SMTP_HOST="mail")
    assert [fault.split(":")[0].split(" ")[0] for fault in faults] == [
        "NEAP_PORT",
        "NEAP_DEMO",
        "NEAP_PROT",
        "NEAP_KEY",
        "NEAP_MAIL_FROM",
    ]


def test_a_setting_of_few_values_names_them() -> None:
    assert faults_of(NEAP_LOG_FORMAT="xml") == ("NEAP_LOG_FORMAT: must be console or json",)
    assert faults_of(NEAP_SMTP_SECURITY="ssl") == ("NEAP_SMTP_SECURITY: must be none or starttls or tls",)


def test_an_unknown_variable_is_reported_with_the_nearest_name() -> None:
    assert faults_of(NEAP_DATABSE_URL="x") == ("NEAP_DATABSE_URL is not a setting; NEAP_DATABASE_URL is",)


def test_variables_of_others_and_of_our_tools_are_left_alone() -> None:
    assert config.load({"PORT": "1", "NEAP_CHROMIUM": "/usr/bin/chromium", "NEAP_PORT": ""}).port == 8080


def test_a_secret_may_be_given_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss word\n")
    loaded = config.load({"NEAP_DATABASE_URL": "postgresql://db:5433/neap", "NEAP_WEB_PASSWORD_FILE": str(file)})
    assert loaded.database_url_of("web") == "postgresql://neap_web:p%40ss%20word@db:5433/neap"


def test_a_secret_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(NEAP_KEY_FILE=str(tmp_path / "absent")) == ("NEAP_KEY_FILE cannot be read: FileNotFoundError",)
    (tmp_path / "key").write_text(A_KEY)
    assert faults_of(NEAP_KEY=A_KEY, NEAP_KEY_FILE=str(tmp_path / "key")) == (
        "NEAP_KEY and NEAP_KEY_FILE are both set",
    )


def test_a_setting_that_is_no_secret_has_no_file_variable() -> None:
    assert faults_of(NEAP_PORT_FILE="x") == ("NEAP_PORT_FILE is not a setting; NEAP_PORT is",)


def test_one_database_setting_derives_four_addresses_by_role() -> None:
    urls = config.load({"NEAP_DATABASE_URL": "postgresql://db/neap?sslmode=require"}).database_urls()
    assert urls.owner == "postgresql://neap_owner@db/neap?sslmode=require"
    assert urls.sweep == "postgresql://neap_sweep@db/neap?sslmode=require"


def test_a_role_s_own_address_goes_before_the_derived_one() -> None:
    loaded = config.load(
        {
            "NEAP_DATABASE_URL": "postgresql://db/neap",
            "NEAP_JOBS_DATABASE_URL": "postgresql://other:secret@elsewhere/neap",
            "NEAP_JOBS_PASSWORD": "unused",
        }
    )
    assert loaded.database_url_of("jobs") == "postgresql://other:secret@elsewhere/neap"
    assert loaded.database_url_of("web") == "postgresql://neap_web@db/neap"


def test_a_process_needs_only_the_address_of_its_own_role() -> None:
    loaded = config.load({"NEAP_WEB_DATABASE_URL": "postgresql://db/neap"})
    assert loaded.database_url_of("web") == "postgresql://neap_web@db/neap"
    with pytest.raises(ConfigError, match="NEAP_OWNER_DATABASE_URL or NEAP_DATABASE_URL must be set"):
        loaded.database_urls()


def test_a_login_in_the_shared_database_address_is_refused() -> None:
    assert len(faults_of(NEAP_DATABASE_URL="postgresql://me:pw@db/neap")) == 1
    assert faults_of(NEAP_WEB_DATABASE_URL="mysql://db") == (
        "NEAP_WEB_DATABASE_URL: must begin with postgresql://",
        "NEAP_WEB_DATABASE_URL: must name the database",
    )
    assert len(faults_of(NEAP_ADMIN_DATABASE_URL="postgresql://postgres@db/postgres")) == 1


def test_without_settings_the_addresses_are_those_of_the_embedded_server(tmp_path: Path) -> None:
    loaded = config.load({"NEAP_DATA_DIR": str(tmp_path)})
    with pytest.raises(ConfigError, match="no database"):
        loaded.database_urls()
    loaded.secrets_dir.mkdir()
    for role in config.ROLES:
        (loaded.secrets_dir / f"{role}_password").write_text(f"{role}-secret")
    (tmp_path / "embedded.json").write_bytes(
        msgspec.json.encode(config.EmbeddedServer(host="127.0.0.1", port=5999, cluster_dir="x"))
    )
    assert loaded.database_urls().jobs == "postgresql://neap_jobs:jobs-secret@127.0.0.1:5999/neap?sslmode=disable"


def test_the_master_key_comes_from_the_setting_or_the_data_folder(tmp_path: Path) -> None:
    assert config.load({"NEAP_KEY": A_KEY}).master_key() == bytes(range(32))
    loaded = config.load({"NEAP_DATA_DIR": str(tmp_path)})
    with pytest.raises(ConfigError, match="NEAP_KEY_FILE must be set"):
        loaded.master_key()
    loaded.secrets_dir.mkdir()
    (loaded.secrets_dir / "key").write_text(A_KEY + "\n")
    assert loaded.master_key() == bytes(range(32))
    elsewhere = config.load({"NEAP_DATA_DIR": str(tmp_path), "NEAP_DATABASE_URL": "postgresql://db/neap"})
    with pytest.raises(ConfigError):
        elsewhere.master_key()


def test_a_mail_password_is_never_sent_in_the_clear() -> None:
    mail = {"NEAP_SMTP_HOST": "mail", "NEAP_MAIL_FROM": "neap@clinic.example", "NEAP_SMTP_SECURITY": "none"}
    assert config.load(mail).smtp_security == "none"
    assert len(faults_of(**mail, NEAP_SMTP_USER="neap", NEAP_SMTP_PASSWORD="secret")) == 1
    assert len(faults_of(NEAP_SMTP_USER="neap")) == 1


def test_secrets_show_in_no_representation_and_no_fault() -> None:
    secret = "hush-hush"
    loaded = config.load({"NEAP_DATABASE_URL": "postgresql://db/neap", "NEAP_WEB_PASSWORD": secret})
    assert secret not in f"{loaded!r} {loaded} {loaded.database_urls()!r}"
    assert all(secret not in fault for fault in faults_of(NEAP_KEY=secret, NEAP_WEB_DATABASE_URL=secret))


def test_every_setting_has_a_sentence_and_stands_in_the_table_once() -> None:
    table = config.settings()
    assert [line.variable for line in table] == [f"NEAP_{name.upper()}" for name in Config.__struct_fields__]
    assert all(line.meaning.endswith(".") for line in table)
    assert next(line for line in table if line.variable == "NEAP_PORT").default == "8080"
