"""The master key, as a setting holds it."""

from service import base64url
from service.config.variable import ConfigError

KEY_BYTES = 32


def bytes_of(text: str) -> bytes:
    """What base64url stands for; nothing where it is none."""
    try:
        return base64url.decode(text.strip())
    except ValueError:
        return b""


def decoded_key(text: str) -> bytes:
    """The key. Raises ConfigError where the text holds none."""
    key = bytes_of(text)
    if len(key) != KEY_BYTES:
        raise ConfigError(f"the master key is not {KEY_BYTES} bytes in base64url")
    return key
