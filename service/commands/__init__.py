"""The commands of `python -m service`, one a file.

A command `create-clinic` is the module `create_clinic` (a Python keyword ends in an underscore, as `import_`). Its
docstring's first line is its help; `add_arguments` declares its arguments; `run` does it and gives the exit status.
"""

import argparse
import importlib
import keyword
import pkgutil
from typing import Protocol, cast

from service.config import Config


class Command(Protocol):
    """What a command's module holds."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace, config: Config) -> int:
        """Do it; the result is the exit status."""


def names() -> list[str]:
    """Give the names of all commands, without importing one."""
    return sorted(module.name.rstrip("_").replace("_", "-") for module in pkgutil.iter_modules(__path__))


def command(name: str) -> Command:
    """Import the one command of that name."""
    module = name.replace("-", "_")
    return cast("Command", importlib.import_module(f"{__name__}.{module + '_' * keyword.iskeyword(module)}"))
