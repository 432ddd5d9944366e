"""What a drawn chart says."""

from __future__ import annotations


def texts_of(panel: dict[str, list[dict[str, dict[str, list[dict[str, str]]]]]]) -> list[str]:
    """What stands above a panel."""
    return [row["said"] for layer in panel["layer"] for row in layer["data"]["values"] if "said" in row]
