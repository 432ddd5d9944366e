"""An export as one ZIP file: a CSV file a table, or a FHIR bundle a client."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from schemas.export import ExportFormat
from service.export import tables
from service.export.gathered import Gathered


class Package:
    """A ZIP file that takes one client after the other; what was taken waits on disk, not in memory."""

    def __init__(self, to: IO[bytes], form: ExportFormat) -> None:
        self._zip = zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED)
        self._form = form
        self._stack = ExitStack()
        self._waiting: Mapping[str, IO[str]] = {}
        if form is ExportFormat.CSV:
            self._waiting = {name: self._begin(columns) for name, (columns, _) in tables.TABLES.items()}

    def _begin(self, columns: Sequence[str]) -> IO[str]:
        file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 — closed by the stack
        csv.DictWriter(self._stack.enter_context(file), columns).writeheader()
        return file

    def add(self, of: Gathered) -> None:
        """Take one client."""
        if self._form is ExportFormat.FHIR:
            self._zip.writestr(f"{of.client.client_id}.json", bundle_of(of))
            return
        for name, (columns, rows) in tables.TABLES.items():
            writer = csv.DictWriter(self._waiting[name], columns)
            writer.writerows({"client": of.client.client_id, **row} for row in rows(of))

    def close(self) -> None:
        """Write what waits, and end the file."""
        with self._stack, self._zip:
            for name, waiting in self._waiting.items():
                waiting.seek(0)
                with self._zip.open(f"{name}.csv", "w") as file:
                    while chunk := waiting.read(1 << 20):
                        file.write(chunk.encode())


def bundle_of(of: Gathered) -> bytes:
    """One client as a FHIR bundle; only now is the library behind it loaded."""
    from service.export import fhir

    return fhir.bundle_of(of)


def of_one(of: Gathered, form: ExportFormat) -> bytes:
    """One client: the ZIP file of the tables, or the bundle itself as JSON."""
    if form is ExportFormat.FHIR:
        return bundle_of(of)
    held = io.BytesIO()
    package = Package(held, form)
    package.add(of)
    package.close()
    return held.getvalue()
