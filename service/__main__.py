"""`python -m service COMMAND`: imports the one command it was asked for and runs it."""

import argparse
import signal
import sys
from types import FrameType

from service import commands, config
from service.arguments import OneLineParser, one_line
from service.config import ConfigError
from service.errors import Conflict, DomainError, Invalid

INTERRUPTED_STATUS = 130


def main(arguments: list[str]) -> int:
    """Run a command; the result is the exit status, 2 when the settings or arguments are wrong."""
    try:
        if arguments[:1] != ["web"]:  # its server stops in order by itself, and then ends as the signal says
            signal.signal(signal.SIGTERM, _stop_as_ctrl_c_does)
        parsed = _parsed(arguments)
        status: int = parsed.run(parsed, config.load())
    except ConfigError as error:
        print(*(f"setting: {fault}" for fault in error.faults), sep="\n", file=sys.stderr)
        return 2
    except (Invalid, Conflict) as error:
        print(f"neap: {one_line(str(error))}", file=sys.stderr)
        return 2
    except DomainError as error:
        print(f"neap: {one_line(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except _outside_faults() as error:
        print(f"neap: {_outside_fault(error)}", file=sys.stderr)
        return 1
    return status


def _parsed(arguments: list[str]) -> argparse.Namespace:
    """The arguments of the one command that is asked for; its import may take a second."""
    parser = OneLineParser(prog="python -m service", description="Neap: the service's commands.")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    known = commands.names()
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in known:
            parser.error(f"no command {arguments[0]!r}; there are {', '.join(known)}")
        known = [arguments[0]]
    for name in known:
        command = commands.command(name)
        sentence = (command.__doc__ or "").split("\n", 1)[0]
        subparser = subparsers.add_parser(name, help=sentence, description=sentence)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser.parse_args(arguments)


def _stop_as_ctrl_c_does(number: int, frame: FrameType | None) -> None:
    """SIGTERM, too, lets a command stop what it started; a shell's background commands have Ctrl-C switched off."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.default_int_handler(number, frame)
    signal.raise_signal(signal.SIGINT)


def _outside_faults() -> tuple[type[Exception], ...]:
    """What the system or the database may raise; a command without a database does not load what speaks to it."""
    import asyncpg

    from service.embedded.errors import EmbeddedError

    return (EmbeddedError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


def _outside_fault(error: Exception) -> str:
    """Say in one line what the system or the database refused; what it says of rows is left out."""
    import asyncpg

    from service.embedded.errors import EmbeddedError

    if isinstance(error, EmbeddedError):
        return str(error)
    if isinstance(error, OSError):
        said = str(error) or "no answer in time"
        return said.splitlines()[0]
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        return f"the database lets nobody in: {error.args[0]}".splitlines()[0]
    return f"the database refused ({type(error).__name__})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
