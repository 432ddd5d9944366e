"""Load a program's code at once, and run it when told: `python -m service.demo.loaded CODE MODULE [ARGUMENT …]`.

Loading takes a second or two, in which the demonstration starts the database and plays its days.
"""

from __future__ import annotations

import importlib
import runpy
import sys


def main(code: str, module: str, *arguments: str) -> None:
    """Import `code`, wait for a line, and run `module`; nothing when whoever started us is gone before that."""
    importlib.import_module(code)
    if not sys.stdin.readline():
        return
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
