"""Reading the settings out of the environment, with every fault at once and none of their values."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import msgspec

from service import addresses, plain_words
from service.config.key import KEY_BYTES, bytes_of
from service.config.table import Config, is_secret
from service.config.variable import PREFIX, ConfigError, variable_of

# Read by the Makefile and the tests, never by a process of the product.
TOOL_VARIABLES = frozenset({"NEAP_CHROMIUM", "NEAP_PYTHON", "NEAP_TEST_ADMIN_URL"})

# Their texts are lists, separated by commas.
LISTS = frozenset({"forwarded_allow_ips", "webhook_allow"})

HOSTS = frozenset({"host", "metrics_host", "smtp_host"})


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings; ConfigError lists every fault at once."""
    source = os.environ if environ is None else environ
    given = {name: text for name, text in source.items() if name.startswith(PREFIX) and text}
    faults: list[str] = []
    texts: dict[str, object] = {}
    known = set(TOOL_VARIABLES)
    for field in msgspec.structs.fields(Config):
        variable = variable_of(field.name)
        known.add(variable)
        text = given.get(variable)
        if is_secret(field.type):
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
        if allowed := _values_of(annotation):
            return f"{variable}: must be {' or '.join(allowed)}"
        return f"{variable}: {plain_words.why_refused(error)}"
    except UnicodeEncodeError:
        return f"{variable}: is not UTF-8 text"
    return None


def _values_of(annotation: object) -> tuple[str, ...]:
    """The values that a setting may have, none where they cannot be listed."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_args(annotation) if get_origin(annotation) is Literal else ()


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
        both = f"{variable_of('backup_dir')} and {variable_of('data_dir')}"
        faults.append(f"{both} must lie apart, neither of them inside the other")
    if config.admin_database_url is not None and config.embedded:
        faults.append(f"{variable_of('admin_database_url')} needs {variable_of('database_url')} beside it")
    if config.key is not None and len(bytes_of(config.key)) != KEY_BYTES:
        faults.append(f"{variable_of('key')} must be {KEY_BYTES} bytes in base64url")
    if config.smtp_host and not config.mail_from:
        faults.append(f"{variable_of('mail_from')} must be set when {variable_of('smtp_host')} is")
    if bool(config.smtp_user) != bool(config.smtp_password):
        faults.append(f"{variable_of('smtp_user')} and {variable_of('smtp_password')} belong together")
    if config.smtp_user and config.smtp_security == "none":
        faults.append(f"{variable_of('smtp_security')} none would send the mail server's password in the clear")
    return faults


def _address_faults(config: Config) -> list[str]:
    faults = []
    derived = config.base_url == f"http://127.0.0.1:{config.port}"  # also where the port is to be any free one
    if not derived and (fault := addresses.page_fault(config.base_url)):
        faults.append(f"{variable_of('base_url')} {fault}")
    for field in msgspec.structs.fields(Config):
        text = getattr(config, field.name)
        if field.name.endswith("database_url") and text is not None:
            login = field.name != "database_url"
            faults += [f"{variable_of(field.name)}: {fault}" for fault in addresses.database_faults(text, login=login)]
        elif field.name in HOSTS and text is not None and not addresses.is_host(text):
            faults.append(f"{variable_of(field.name)} must be the name of a host or an IP address")
    if not all(addresses.is_network(each) for each in config.forwarded_allow_ips):
        faults.append(f"{variable_of('forwarded_allow_ips')} must list addresses or networks such as 10.0.0.0/8")
    if not all(addresses.is_host_and_port(each) for each in config.webhook_allow):
        faults.append(f"{variable_of('webhook_allow')} must list pairs such as 10.0.0.9:8443 or [fd00::9]:8443")
    if config.mail_from is not None and not addresses.is_sender(config.mail_from):
        faults.append(f"{variable_of('mail_from')} must be name@host, or Words <name@host>")
    return faults


def _overlap(one: Path, other: Path) -> bool:
    """Whether two folders are the same, or one lies in the other; links are followed as far as they lead."""
    try:
        one, other = one.resolve(), other.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself: nothing can lie there
        return False
    return one.is_relative_to(other) or other.is_relative_to(one)
