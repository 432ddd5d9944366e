"""What was looked at and what was seen."""

from __future__ import annotations

import msgspec

CONNECT_SECONDS = 10.0


class Finding(msgspec.Struct, frozen=True):
    """What was looked at and what was seen; `remedy` is empty where all is well."""

    name: str
    seen: str
    remedy: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether somebody has to do something."""
        return bool(self.remedy)
