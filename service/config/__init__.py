"""The settings of every process, read once from NEAP_* variables.

A setting is a field of `Config`: its variable is NEAP_ and the field's name in capitals, its sentence stands in the
field's metadata, and `settings()` gives the whole table. A setting marked secret may instead be given as a file, by
the same name and _FILE. An empty variable counts as not set.
"""

from service.config.database_urls import ROLES, DatabaseUrls, EmbeddedServer, Role, embedded_url, with_login
from service.config.key import KEY_BYTES
from service.config.reading import TOOL_VARIABLES, load
from service.config.table import Config, Setting, password_set, settings
from service.config.variable import ConfigError

__all__ = [
    "KEY_BYTES",
    "ROLES",
    "TOOL_VARIABLES",
    "Config",
    "ConfigError",
    "DatabaseUrls",
    "EmbeddedServer",
    "Role",
    "Setting",
    "embedded_url",
    "load",
    "password_set",
    "settings",
    "with_login",
]
