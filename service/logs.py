"""Log lines: a static event name and ids, as text for people or one JSON object a line."""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

import msgspec

# What every record has, and uvicorn's second wording for terminals, full of escapes; the rest was passed as `extra` and
# is what the line is about.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

# A credential as `tokens` writes it; addresses of links and calendars carry one. Its clinic may be told.
_SECRET = re.compile(r"(neap_[a-z]+_[0-9a-f]{32}_)[A-Za-z0-9_-]+", re.ASCII)


REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered; None outside of one."""


def masked(line: str) -> str:
    """The line without the secrets of whatever credential it quotes."""
    return _SECRET.sub(r"\1***", line)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    request_id = REQUEST_ID.get()
    of_request = {} if request_id is None else {"request_id": request_id}
    return of_request | {name: value for name, value in vars(record).items() if name not in _OWN}


def _error(record: logging.LogRecord) -> dict[str, str]:
    """The type of an error and where it was raised: its text may quote what a client wrote, so it is left out."""
    # Whoever logs may say that there is none by False, too, as asyncio does.
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {}
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return {"error_type": type(error).__name__, "error_at": place}


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
            **_error(record),
        }
        return masked(msgspec.json.encode(line, enc_hook=str).decode())


class ConsoleLines(logging.Formatter):
    """`12:04:31 warning event key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        said = {**_fields(record), **_error(record)}
        words = [at, record.levelname.lower(), record.getMessage(), *(f"{k}={v}" for k, v in said.items())]
        return masked(" ".join(words))


def configure(log_format: Literal["console", "json"]) -> None:
    """Send every log line of this process to standard error; called once, by a process's entry point."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else ConsoleLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("apscheduler", "httpx", "httpcore", "aiosmtplib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
