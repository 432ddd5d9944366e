"""How often is too often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service import errors
from service.web.limits import Limit

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_hits_over_the_amount_are_refused_until_the_window_ends() -> None:
    limit = Limit(2, per_seconds=60)
    limit.hit("a", now=NOW)
    limit.hit("a", now=NOW)
    limit.hit("b", now=NOW)
    with pytest.raises(errors.TooMany) as refused:
        limit.hit("a", now=NOW + timedelta(seconds=59))
    assert refused.value.retry_at == NOW + timedelta(seconds=60)
    limit.hit("a", now=NOW + timedelta(seconds=60))


def test_a_flood_of_made_up_keys_makes_the_oldest_forgotten_and_no_more_memory_used() -> None:
    limit = Limit(1, per_seconds=60, most_keys=3)
    limit.hit("early", now=NOW)
    for made_up in range(10):
        limit.hit(str(made_up), now=NOW)
    limit.hit("early", now=NOW)
    for kept in ("8", "9"):
        with pytest.raises(errors.TooMany):
            limit.hit(kept, now=NOW)
