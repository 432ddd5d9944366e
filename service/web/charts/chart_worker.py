"""The process that draws charts: a Vega-Lite specification a line in, an SVG a line out (as JSON text).

Its own process because drawing stalls an event loop by up to 213 ms and holds about 117 MB; imports nothing of ours.
"""

from __future__ import annotations

import json
import signal
import sys

import vl_convert

VEGA_LITE_VERSION = "6.1"


def main() -> None:
    """Draw until the input ends, which it does when the web process does."""
    # The web process stops us by closing our input; an interrupt at a terminal reaches its whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        svg = vl_convert.vegalite_to_svg(json.loads(line), vl_version=VEGA_LITE_VERSION, allowed_base_urls=[])
        sys.stdout.write(json.dumps(svg) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
