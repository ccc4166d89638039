"""Refused input: kept with its reason, listed, and sent again when the reason is gone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rejection:
    """Input that does not count, with the reason. `data` holds the original bytes, or the refused rows as Arrow IPC.

    `id` is derived from the INGEST sequence, so that publishing it again after a crash is recognised.
    """

    id: str
    entity: str
    reason: str
    data: bytes
    content_type: str
    sequence: int
    kind: str = "readings"
