"""The settings of every process, read once from NEAP_* variables.

A setting is a field of `Config`: its variable is NEAP_ and the field's name in capitals, its sentence stands in the
field's metadata, and `settings()` gives the whole table. A setting marked secret may instead be given as a file, by
the same name and _FILE. An empty variable counts as not set.
"""

import base64
import os
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Struct

from service import addresses, plain_words

PREFIX = "NEAP_"
KEY_BYTES = 32

# Read by the Makefile and the tests, never by a process of the product.
TOOL_VARIABLES = frozenset({"NEAP_CHROMIUM", "NEAP_PYTHON", "NEAP_TEST_ADMIN_URL"})

# Their texts are lists, separated by commas.
LISTS = frozenset({"forwarded_allow_ips", "webhook_allow"})

HOSTS = frozenset({"host", "metrics_host", "smtp_host"})

Role = Literal["owner", "web", "jobs", "sweep"]
ROLES: tuple[Role, ...] = typing.get_args(Role)

PoolSize = Annotated[int, Meta(ge=1, le=500)]


class ConfigError(Exception):
    """The settings cannot be used; `faults` names every one that is wrong, never with its value."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Setting(NamedTuple):
    """One line of the table of settings."""

    variable: str
    default: str
    secret: bool
    meaning: str


class EmbeddedServer(Struct, frozen=True):
    """Where the embedded server of a data folder listens and keeps its files; stored as embedded.json."""

    host: str
    port: int
    cluster_dir: str


class DatabaseUrls(Struct, frozen=True):
    """Where each role connects: one address a role, password included."""

    owner: str
    web: str
    jobs: str
    sweep: str

    def __repr__(self) -> str:
        """Name the roles only, since the addresses hold passwords."""
        return f"DatabaseUrls({', '.join(ROLES)})"


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
            raise ConfigError(f"{_variable(role + '_database_url')} or {_variable('database_url')} must be set")
        return with_login(url, f"neap_{role}", password_set(self, role))

    def database_urls(self) -> DatabaseUrls:
        """Give the addresses of all four roles; ConfigError when one cannot be known."""
        return DatabaseUrls(**{role: self.database_url_of(role) for role in ROLES})

    def master_key(self) -> bytes:
        """Give the 32-byte key that wraps every other key; ConfigError when there is none."""
        if self.key is not None:
            return _decoded_key(self.key)
        made = self.secrets_dir / "key"
        if not self.embedded or not made.is_file():
            raise ConfigError(f"{_variable('key')} or {_variable('key_file')} must be set to a 32-byte master key")
        return _decoded_key(made.read_text(errors="replace"))


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings; ConfigError lists every fault at once."""
    source = os.environ if environ is None else environ
    given = {name: text for name, text in source.items() if name.startswith(PREFIX) and text}
    faults: list[str] = []
    texts: dict[str, object] = {}
    known = set(TOOL_VARIABLES)
    for field in msgspec.structs.fields(Config):
        variable = _variable(field.name)
        known.add(variable)
        text = given.get(variable)
        if _is_secret(field.type):
            known.add(variable + "_FILE")
            text = _text_or_file(variable, given, faults)
        if text is not None:
            value = [part.strip() for part in text.split(",")] if field.name in LISTS else text
            if fault := _conversion_fault(variable, value, field.type):
                faults.append(fault)
            else:
                texts[field.name] = value
    faults += [_unknown(name, known) for name in sorted(given.keys() - known)]
    config = msgspec.convert(texts, Config, strict=False, dec_hook=_path_from)
    faults += _contradictions(config)
    if faults:
        raise ConfigError(*faults)
    return config


def settings() -> list[Setting]:
    """Give the table of all settings, in the order of their declaration."""
    table = []
    for field in msgspec.structs.fields(Config):
        meaning = next(meta.description or "" for meta in _metas(field.type) if meta.extra is not None)
        default = "" if field.default in (None, "", frozenset()) else str(field.default).lower()
        table.append(Setting(_variable(field.name), default, _is_secret(field.type), meaning))
    return table


def with_login(url: str, role: str, password: str | None) -> str:
    """Give the address with the role's name, and with the password unless the address has one already."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    name, colon, own_password = login.partition(":")
    secret = own_password if colon else (quote(password, safe="") if password else "")
    login = (name or role) + (f":{secret}" if secret else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{place}"))


def embedded_url(data_dir: Path, role: Role | Literal["postgres"], database: str = "neap") -> str:
    """Give a role's address at the embedded server; ConfigError when no server was ever started there."""
    password = data_dir / "secrets" / f"{role}_password"
    record = data_dir / "embedded.json"
    if not record.is_file():
        raise ConfigError(
            f"no database: set {_variable('database_url')}, or start the embedded server (`python -m service database`)"
        )
    if not password.is_file():
        raise ConfigError(f"{password} is missing: put a new password there and run `python -m service migrate`")
    try:
        place = msgspec.json.decode(record.read_bytes(), type=EmbeddedServer)
    except msgspec.DecodeError:
        raise ConfigError(f"{_variable('data_dir')}: {record.name} there does not say where the server is") from None
    name = "postgres" if role == "postgres" else f"neap_{role}"
    login = f"{name}:{quote(password.read_text().strip(), safe='')}"
    return f"postgresql://{login}@{place.host}:{place.port}/{database}?sslmode=disable"


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _metas(annotation: object) -> list[Meta]:
    return [meta for meta in getattr(annotation, "__metadata__", ()) if isinstance(meta, Meta)]


def _is_secret(annotation: object) -> bool:
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


def _text_or_file(variable: str, given: Mapping[str, str], faults: list[str]) -> str | None:
    file = given.get(variable + "_FILE")
    if file is None:
        return given.get(variable)
    if variable in given:
        faults.append(f"{variable} and {variable}_FILE are both set")
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        faults.append(f"{variable}_FILE cannot be read: {type(error).__name__}")
        return None
    if not text:
        faults.append(f"{variable}_FILE is empty")
    return text or None


def _conversion_fault(variable: str, value: str | list[str], annotation: object) -> str | None:
    try:
        "".join(value).encode()
        msgspec.convert(value, annotation, strict=False, dec_hook=_path_from)
    except msgspec.ValidationError as error:
        return f"{variable}: {plain_words.why_refused(error)}"
    except UnicodeEncodeError:
        return f"{variable}: is not UTF-8 text"
    return None


def _path_from(wanted: type, text: object) -> Path:
    if wanted is Path and isinstance(text, str) and "\0" not in text:
        try:
            return Path(text).expanduser()
        except RuntimeError:
            raise ValueError("begins with the home of somebody who has none here") from None
    raise TypeError("must be a path")


def _unknown(variable: str, known: set[str]) -> str:
    near = get_close_matches(variable, known, n=1)
    name = variable if variable.isprintable() else ascii(variable)[1:-1]
    return f"{name} is not a setting" + (f"; {near[0]} is" if near else "")


def _contradictions(config: Config) -> list[str]:
    faults = _address_faults(config)
    if config.backup_dir is not None and _overlap(config.backup_dir, config.data_dir):
        faults.append(
            f"{_variable('backup_dir')} and {_variable('data_dir')} must lie apart, neither of them inside the other"
        )
    if config.admin_database_url is not None and config.embedded:
        faults.append(f"{_variable('admin_database_url')} needs {_variable('database_url')} beside it")
    if config.key is not None and len(_bytes_of(config.key)) != KEY_BYTES:
        faults.append(f"{_variable('key')} must be {KEY_BYTES} bytes in base64url")
    if config.smtp_host and not config.mail_from:
        faults.append(f"{_variable('mail_from')} must be set when {_variable('smtp_host')} is")
    if bool(config.smtp_user) != bool(config.smtp_password):
        faults.append(f"{_variable('smtp_user')} and {_variable('smtp_password')} belong together")
    if config.smtp_user and config.smtp_security == "none":
        faults.append(f"{_variable('smtp_security')} none would send the mail server's password in the clear")
    return faults


def _address_faults(config: Config) -> list[str]:
    faults = []
    derived = config.base_url == f"http://127.0.0.1:{config.port}"  # also where the port is to be any free one
    if not derived and (fault := addresses.page_fault(config.base_url)):
        faults.append(f"{_variable('base_url')} {fault}")
    for field in msgspec.structs.fields(Config):
        text = getattr(config, field.name)
        if field.name.endswith("database_url") and text is not None:
            login = field.name != "database_url"
            faults += [f"{_variable(field.name)}: {fault}" for fault in addresses.database_faults(text, login=login)]
        elif field.name in HOSTS and text is not None and not addresses.is_host(text):
            faults.append(f"{_variable(field.name)} must be the name of a host or an IP address")
    if not all(addresses.is_network(each) for each in config.forwarded_allow_ips):
        faults.append(f"{_variable('forwarded_allow_ips')} must list addresses or networks such as 10.0.0.0/8")
    if not all(addresses.is_host_and_port(each) for each in config.webhook_allow):
        faults.append(f"{_variable('webhook_allow')} must list pairs such as 10.0.0.9:8443 or [fd00::9]:8443")
    if config.mail_from is not None and not addresses.is_sender(config.mail_from):
        faults.append(f"{_variable('mail_from')} must be name@host, or Words <name@host>")
    return faults


def _overlap(one: Path, other: Path) -> bool:
    """Whether two folders are the same, or one lies in the other; links are followed as far as they lead."""
    try:
        one, other = one.resolve(), other.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself: nothing can lie there
        return False
    return one.is_relative_to(other) or other.is_relative_to(one)


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def _decoded_key(text: str) -> bytes:
    key = _bytes_of(text)
    if len(key) != KEY_BYTES:
        raise ConfigError(f"the master key is not {KEY_BYTES} bytes in base64url")
    return key
