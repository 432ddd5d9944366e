"""Print the description of the API, OpenAPI 3.1 as JSON."""

from __future__ import annotations

import argparse
import sys

import msgspec

from service import app
from service.config import Config
from service.web.api import openapi


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""
    del parser


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Print it; no database is needed."""
    del arguments
    document = msgspec.json.format(msgspec.json.encode(openapi.describe(app.create(config))), indent=2)
    sys.stdout.write(document.decode() + "\n")
    return 0
