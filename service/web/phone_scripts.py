"""The scripts of the client's page as they are served: what every opening needs in one file, the rest apart.

One file is one request on a patchy network, and a third less to keep than the same in many. It is made when the
process starts, by leaving out the import lines: all of its modules share one scope, so their names differ.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

ENTRY = "phone.js"
IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(phone\w*\.js)";\n', re.MULTILINE)
NAMED = re.compile(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", re.MULTILINE)


def served(sources: Mapping[str, str]) -> dict[str, str]:
    """What is served under which name: the entry with everything it imports in it, and what is imported when needed."""
    together: list[str] = []
    _follow(ENTRY, sources, together)
    joined = "\n".join(IMPORT.sub("", sources[name]) for name in together)
    twice = [name for name, count in Counter(NAMED.findall(joined)).items() if count > 1]
    assert not twice, f"names of more than one module of the client's page: {', '.join(sorted(twice))}"

    def redirected(found: re.Match[str]) -> str:
        return f'import {found[1]} from "./{ENTRY if found[2] in together else found[2]}";\n'

    apart = {name: IMPORT.sub(redirected, text) for name, text in sources.items() if name not in together}
    return {ENTRY: joined} | apart


def _follow(name: str, sources: Mapping[str, str], together: list[str]) -> None:
    # What a module uses comes before it, as a browser would run them.
    together.append(name)
    for _, imported in IMPORT.findall(sources[name]):
        if imported not in together:
            _follow(imported, sources, together)
    together.remove(name)
    together.append(name)
