"""Every setting of every process: its type, its default, its sentence."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from service.config.database_urls import ROLES, DatabaseUrls, Role, embedded_url, with_login
from service.config.key import decoded_key
from service.config.variable import ConfigError, variable_of

PoolSize = Annotated[int, Meta(ge=1, le=500)]


class Setting(NamedTuple):
    """One line of the table of settings."""

    variable: str
    default: str
    secret: bool
    meaning: str


def _says(meaning: str, *, secret: bool = False) -> Meta:
    return Meta(description=meaning, extra={"secret": secret})


class Config(Struct, frozen=True, kw_only=True):
    """Everything a process is told from outside."""

    host: Annotated[str, _says("Address the web process listens on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535), _says("Port the web process listens on.")] = 8080
    base_url: Annotated[str, _says("Address in links and messages; http://127.0.0.1:<port> when not set.")] = ""
    forwarded_allow_ips: Annotated[
        frozenset[str],
        _says(
            "Addresses or networks of the reverse proxy, whose X-Forwarded-For and -Proto are believed; separated by "
            "commas. Without it nobody's are."
        ),
    ] = frozenset()
    data_dir: Annotated[Path, _says("Folder of the embedded server, its secrets and the demo.")] = Path(".neap")

    backup_dir: Annotated[
        Path | None,
        _says(
            "Folder of the embedded server's base backups and archived log, best on another disk; none is kept without."
        ),
    ] = None

    database_url: Annotated[
        str | None, _says("Host, port and database of a PostgreSQL; each role's address derives from it.")
    ] = None
    owner_database_url: Annotated[str | None, _says("Address for neap_owner (migrate, import).", secret=True)] = None
    web_database_url: Annotated[str | None, _says("Address for neap_web (the web process).", secret=True)] = None
    jobs_database_url: Annotated[str | None, _says("Address for neap_jobs (the jobs process).", secret=True)] = None
    sweep_database_url: Annotated[
        str | None, _says("Address for neap_sweep (which clinics have work).", secret=True)
    ] = None
    admin_database_url: Annotated[
        str | None, _says("Address of a role that may create roles and databases; migrate only.", secret=True)
    ] = None
    owner_password: Annotated[str | None, _says("Password of neap_owner.", secret=True)] = None
    web_password: Annotated[str | None, _says("Password of neap_web.", secret=True)] = None
    jobs_password: Annotated[str | None, _says("Password of neap_jobs.", secret=True)] = None
    sweep_password: Annotated[str | None, _says("Password of neap_sweep.", secret=True)] = None
    web_pool_size: Annotated[PoolSize, _says("Database connections of one web process.")] = 10
    jobs_pool_size: Annotated[PoolSize, _says("Database connections of one jobs process.")] = 4

    key: Annotated[
        str | None,
        _says("Master key: 32 bytes in base64url. Made in the data folder when the embedded server is.", secret=True),
    ] = None

    smtp_host: Annotated[str | None, _says("Mail server; without it no e-mail is sent.")] = None
    smtp_port: Annotated[int, Meta(ge=1, le=65535), _says("Port of the mail server.")] = 587
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"], _says("How the connection to the mail server is secured.")
    ] = "starttls"
    smtp_user: Annotated[str | None, _says("Account at the mail server.")] = None
    smtp_password: Annotated[str | None, _says("Password at the mail server.", secret=True)] = None
    mail_from: Annotated[str | None, _says("Sender of every e-mail; needed with a mail server.")] = None
    webhook_allow: Annotated[
        frozenset[str],
        _says("Private host:port pairs that webhooks and push may reach, also over plain http; separated by commas."),
    ] = frozenset()

    demo: Annotated[bool, _says("This is the demonstration: every page says so.")] = False
    demo_mail_dir: Annotated[Path | None, _says("Folder in which the demonstration keeps the mail it caught.")] = None
    demo_record: Annotated[Path | None, _says("File without which the demonstration is not ready yet.")] = None
    metrics_host: Annotated[str, _says("Address on which the jobs process shows its metrics.")] = "127.0.0.1"
    metrics_port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None,
        _says("Port on which the jobs process shows Prometheus metrics; none without."),
    ] = None
    log_format: Annotated[Literal["console", "json"], _says("How log lines are written.")] = "console"

    def __post_init__(self) -> None:
        """Fill what derives from other settings."""
        base_url = (self.base_url or f"http://127.0.0.1:{self.port}").rstrip("/")
        msgspec.structs.force_setattr(self, "base_url", base_url)
        msgspec.structs.force_setattr(self, "data_dir", self.data_dir.absolute())
        if self.backup_dir is not None:
            msgspec.structs.force_setattr(self, "backup_dir", self.backup_dir.absolute())

    def __repr__(self) -> str:
        """Name the process by its address only, since other fields hold secrets."""
        return f"Config({self.base_url})"

    @property
    def embedded(self) -> bool:
        """Whether the database is the embedded server: no database setting is given."""
        return self.database_url is None and all(_url_set(self, role) is None for role in ROLES)

    @property
    def secrets_dir(self) -> Path:
        """Folder of generated passwords and the generated master key, readable by its owner only."""
        return self.data_dir / "secrets"

    def database_url_of(self, role: Role) -> str:
        """Give the address at which one role connects; ConfigError when it cannot be known."""
        if self.embedded:
            return embedded_url(self.data_dir, role)
        url = _url_set(self, role) or self.database_url
        if url is None:
            raise ConfigError(f"{variable_of(role + '_database_url')} or {variable_of('database_url')} must be set")
        return with_login(url, f"neap_{role}", password_set(self, role))

    def database_urls(self) -> DatabaseUrls:
        """Give the addresses of all four roles; ConfigError when one cannot be known."""
        return DatabaseUrls(**{role: self.database_url_of(role) for role in ROLES})

    def master_key(self) -> bytes:
        """Give the 32-byte key that wraps every other key; ConfigError when there is none."""
        if self.key is not None:
            return decoded_key(self.key)
        made = self.secrets_dir / "key"
        if not self.embedded or not made.is_file():
            raise ConfigError(f"{variable_of('key')} or {variable_of('key_file')} must be set to a 32-byte master key")
        return decoded_key(made.read_text(errors="replace"))


def settings() -> list[Setting]:
    """Give the table of all settings, in the order of their declaration."""
    table = []
    for field in msgspec.structs.fields(Config):
        meaning = next(meta.description or "" for meta in _metas(field.type) if meta.extra is not None)
        default = "" if field.default in (None, "", frozenset()) else str(field.default).lower()
        table.append(Setting(variable_of(field.name), default, is_secret(field.type), meaning))
    return table


def _metas(annotation: object) -> list[Meta]:
    return [meta for meta in getattr(annotation, "__metadata__", ()) if isinstance(meta, Meta)]


def is_secret(annotation: object) -> bool:
    """Whether a field of this type may also come as a file, and is never told."""
    return any(meta.extra is not None and meta.extra["secret"] for meta in _metas(annotation))


def _url_set(config: Config, role: Role) -> str | None:
    given: dict[Role, str | None] = {
        "owner": config.owner_database_url,
        "web": config.web_database_url,
        "jobs": config.jobs_database_url,
        "sweep": config.sweep_database_url,
    }
    return given[role]


def password_set(config: Config, role: Role) -> str | None:
    """Give the password that was set for a role, if one was."""
    given: dict[Role, str | None] = {
        "owner": config.owner_password,
        "web": config.web_password,
        "jobs": config.jobs_password,
        "sweep": config.sweep_password,
    }
    return given[role]
