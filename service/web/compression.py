"""Gzip for what holds no secret: static files and the client's page, which are the same for everybody.

Nothing else is compressed. A page that holds a token and repeats what somebody sent lets whoever watches its length
guess the token letter by letter (BREACH); the desk's pages and the API hold such things.
"""

from __future__ import annotations

import gzip
from typing import Any

from litestar import Request
from zopfli.gzip import compress as zopfli

VARIES = {"Vary": "Accept-Encoding"}
ENCODED = {"Content-Encoding": "gzip"}
# Of Zopfli's search; more of them save a thousandth.
PASSES = 2


def accepts(request: Request[Any, Any, Any]) -> bool:
    """Whether the browser takes gzip; `gzip;q=0` says that it does not."""
    for wish in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = wish.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or weight == ""
    return False


def smaller(content: bytes, *, densely: bool = False) -> bytes | None:
    """The content compressed, the same bytes each time; None where that makes it no smaller.

    Densely: 3 % smaller in ten times the time, for what is made once and sent often.
    """
    compressed: bytes = zopfli(content, numiterations=PASSES) if densely else gzip.compress(content, 9, mtime=0)
    return compressed if len(compressed) < len(content) else None
