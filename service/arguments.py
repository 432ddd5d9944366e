"""The command line's parser: what is wrong is said in one line, as everything else that a command refuses."""

from __future__ import annotations

import argparse
from typing import NoReturn

WRONG_INPUT_STATUS = 2


class OneLineParser(argparse.ArgumentParser):
    """Refuses in one line and without the usage, which `--help` shows; its subcommands' parsers are of its kind."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2. What was typed may stand in the message, a line break in it does not."""
        line = "".join(letter if letter.isprintable() else " " for letter in message)
        self.exit(WRONG_INPUT_STATUS, f"{self.prog.removeprefix('python -m ')}: {line}\n")
