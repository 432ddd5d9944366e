"""What is taken out of Neap: in which format, and on what ground."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ExportFormat(StrEnum):
    CSV = "csv"
    FHIR = "fhir"


class DisclosureBasis(StrEnum):
    """Why health data leaves the house; stands in the audit trail."""

    CLIENT_REQUEST = "client_request"
    CONSENT = "consent"
    TREATMENT = "treatment"
    REQUIRED_BY_LAW = "required_by_law"


class ExportForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An export of one client; the notes only where asked for, and for whoever may read them."""

    format: ExportFormat
    basis: DisclosureBasis
    notes: bool = False
