"""Sealing the audit trail, block after block, and proving later that nobody edited, took out or put in a row.

Rows are not chained as they are written: that would make a clinic's transactions wait for one another. Every minute the
rows of all finished transactions since the last seal are closed together. The order is that of transaction ids: no
transaction below the oldest one still running can add a row any more, so a closed block never changes.

In another server transaction ids start anew. Rows and seals that move there keep theirs and count the move: what has
moved more often comes first, and the chain goes on behind it (`rebase`). Their seals, and the heads handed out, hold.
"""

from service.audit_seals.blocks import Signer
from service.audit_seals.closing import head_of, rebase, refuse_forged, seal_next
from service.audit_seals.proving import verify

__all__ = ["Signer", "head_of", "rebase", "refuse_forged", "seal_next", "verify"]
