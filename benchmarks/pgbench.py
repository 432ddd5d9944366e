"""The database by itself: pgbench, one row an insert, from the embedded server's own binaries."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks import processes
from benchmarks.driving import CONNECTIONS
from benchmarks.ground import Ground
from service.embedded.account import account_for
from service.embedded.binaries import folder_of_binaries

SCRIPT = """
insert into bench.check_in (
  clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, safety, scale_version, device_id, origin, content_hash
) values (
  '01930000-0000-7000-8000-000000000001', uuidv7(), '01930000-0000-7000-8000-000000000002', 'daily', now(), now(),
  now(), now(), 'America/Chicago', true, current_date, '{"alcohol": 6}', 4, 7, '{}', false, 1,
  '01930000-0000-7000-8000-000000000003', 'phone', decode(repeat('00', 32), 'hex')
);
"""
TRANSACTIONS_PER_SECOND = re.compile(rb"^tps = ([0-9.]+)", re.MULTILINE)


async def inserts_per_second(ground: Ground, *, seconds: float) -> float:
    """Single-row inserts a second over as many connections as the phones have, prepared, each its own commit."""
    url = ground.config.database_urls().web
    place = urlsplit(url)
    binary = folder_of_binaries(account_for(ground.config.data_dir)) / "pgbench"
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SCRIPT)
        script.flush()
        output = await processes.output_of(
            *(str(binary), "--no-vacuum", "--protocol=prepared", f"--client={CONNECTIONS}", f"--file={script.name}"),
            *(f"--time={round(seconds)}", f"--host={place.hostname}", f"--port={place.port}"),
            *(f"--username={place.username}", Path(place.path).name),
            environ={"PGPASSWORD": unquote(place.password or ""), "PGSSLMODE": "disable"},
        )
    found = TRANSACTIONS_PER_SECOND.search(output)
    if found is None:
        raise RuntimeError("pgbench did not say how fast it was")
    return float(found[1])
