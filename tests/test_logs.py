"""Log lines name an event and ids; what went wrong is named by type and place, for its text may quote a client."""

from __future__ import annotations

import logging
from uuid import UUID

import msgspec
import pytest

from service.logs import ConsoleLines, JsonLines

AN_ID = UUID("0193a000-0000-7000-8000-000000000001")


def a_record(*, with_error: bool = False) -> logging.LogRecord:
    made = logging.LogRecord("service.fold", logging.ERROR, __file__, 1, "fold_failed", None, None)
    vars(made)["client_id"] = AN_ID
    if with_error:
        try:
            int("craving nine of ten")
        except ValueError as error:
            made.exc_info = (ValueError, error, error.__traceback__)
    return made


def test_a_json_line_is_an_object_with_the_event_and_its_ids() -> None:
    line = msgspec.json.decode(JsonLines().format(a_record()))
    assert line["event"] == "fold_failed"
    assert (line["level"], line["logger"], line["client_id"]) == ("error", "service.fold", str(AN_ID))
    assert set(line) == {"at", "event", "level", "logger", "client_id"}


def test_a_console_line_says_the_same_for_people() -> None:
    assert ConsoleLines().format(a_record()).endswith(f"error fold_failed client_id={AN_ID}")


@pytest.mark.parametrize("formatter", [JsonLines(), ConsoleLines()])
def test_whoever_says_that_there_is_no_error_is_believed(formatter: logging.Formatter) -> None:
    """As asyncio does, whose complaints would be lost else."""
    record = a_record()
    vars(record)["exc_info"] = False
    assert "fold_failed" in formatter.format(record)


@pytest.mark.parametrize("formatter", [JsonLines(), ConsoleLines()])
def test_an_error_is_named_by_type_and_place_and_never_quoted(formatter: logging.Formatter) -> None:
    line = formatter.format(a_record(with_error=True))
    assert "ValueError" in line
    assert "test_logs.py:" in line
    assert "craving" not in line


@pytest.mark.parametrize("formatter", [JsonLines(), ConsoleLines()])
def test_a_second_wording_for_terminals_is_left_out(formatter: logging.Formatter) -> None:
    made = a_record()
    vars(made)["color_message"] = "Started on \x1b[1m8080"
    assert "color_message" not in formatter.format(made)
