"""Files for browsers: read once, served under the digest of them all, so that a browser may keep them for good.

`/static/<release>/desk.css`: one digest for the whole set lets scripts import one another by relative names.
"""

from __future__ import annotations

import hashlib
import mimetypes
import string
from pathlib import Path

import msgspec
import rcssmin
import rjsmin

from service import errors
from service.web import compression, languages, phone_scripts

DIRECTORY = Path(__file__).parent / "static"
RELEASE_LETTERS = 12
KEPT_FOR_GOOD = "public, max-age=31536000, immutable"
ASK_EVERY_TIME = "no-cache"
# What a phone keeps of each release, also on a patchy network.
OF_THE_SHELL = frozenset({phone_scripts.ENTRY, "phone.css", "phone_worker.js", "tokens.css"})
# Python's table depends on the machine's; these are the only kinds there are.
KINDS = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
}


class Asset(msgspec.Struct, frozen=True):
    """One file as it is served; `compressed` is None where that saves nothing, as of a picture."""

    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str


class Assets:
    """Every file below the folder, in memory."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        scripts = {path.name: path.read_text() for path in sorted(directory.glob(languages.SCRIPTS))}
        files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name not in scripts)
        self._assets = {str(path.relative_to(directory)): _read(path) for path in files}
        for name, text in phone_scripts.served(scripts).items():
            for language in languages.names():
                said = languages.translated(text, language)
                self._assets[languages.script(language, name)] = _asset(directory / name, said.encode())
        together = "\n".join(f"{name} {asset.etag}" for name, asset in self._assets.items())
        self.release = hashlib.sha256(together.encode()).hexdigest()[:RELEASE_LETTERS]

    def url(self, name: str) -> str:
        """The address of a file that is there: a template that names another is at fault."""
        assert name in self._assets, name
        return f"/static/{self.release}/{name}"

    def get(self, name: str) -> Asset:
        """A file by its name. Raises NotFound."""
        asset = self._assets.get(name)
        if asset is None:
            raise errors.NotFound("Not found.")
        return asset

    def is_release(self, text: str) -> bool:
        """Whether this part of an address is a release, this one or a former: an old page asks for an old one."""
        return len(text) == RELEASE_LETTERS and all(letter in string.hexdigits for letter in text)

    def caching(self, release: str) -> str:
        """How long a browser may keep what it asked for under this release."""
        return KEPT_FOR_GOOD if release == self.release else ASK_EVERY_TIME


def _read(path: Path) -> Asset:
    return _asset(path, path.read_bytes())


def _asset(path: Path, written: bytes) -> Asset:
    content = _slim(path, written)
    kind = KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = compression.smaller(content, densely=path.name in OF_THE_SHELL)
    return Asset(content, packed, kind, f'"{hashlib.sha256(content).hexdigest()[:20]}"')


def _slim(path: Path, content: bytes) -> bytes:
    """Without comments and indentation: the phone keeps its page in 20 KB, and nobody needs a build for that."""
    if path.suffix == ".js" and ".min." not in path.name:
        return str(rjsmin.jsmin(content.decode())).encode()
    if path.suffix == ".css":
        return str(rcssmin.cssmin(content.decode())).encode()
    return content
