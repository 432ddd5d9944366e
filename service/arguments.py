"""The command line's parser: what is wrong is said in one line, as everything else that a command refuses."""

from __future__ import annotations

import argparse
from typing import NoReturn

WRONG_INPUT_STATUS = 2


class OneLineParser(argparse.ArgumentParser):
    """Refuses in one line and without the usage, which `--help` shows; its subcommands' parsers are of its kind."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2. What was typed may stand in the message, a line break in it does not."""
        self.exit(WRONG_INPUT_STATUS, f"{self.prog.removeprefix('python -m ')}: {one_line(message)}\n")


def one_line(text: str) -> str:
    """The text with whatever cannot be printed, a line break in the name of a file or column, as Python writes it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
