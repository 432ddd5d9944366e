"""The fold: a client's new facts become trend rows, findings and alerts."""

from service.fold.client import (
    CLIENTS_AT_ONCE,
    Folded,
    fold_client,
    fold_clients,
    fold_many,
    rebuild,
    recomputed,
    replay,
)

__all__ = ["CLIENTS_AT_ONCE", "Folded", "fold_client", "fold_clients", "fold_many", "rebuild", "recomputed", "replay"]
