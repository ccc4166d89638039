"""Messages to columns: Arrow IPC or JSON, from anybody. What cannot be read has a reason; no bytes stop a shard."""

from actors.facility.columns import Columns
from actors.facility.parse_arrow import MAGIC, from_arrow
from actors.facility.parse_json import from_json
from actors.facility.rows import Rows, UnreadableError
from streams.ingest import Observed
from streams.subjects import GATEWAY_PREFIX, READINGS


def read(columns: Columns, message: Observed, version: int) -> Rows:
    """Decode one message by the rules of a fold version. Raises `UnreadableError` where the whole message cannot count.

    Nothing else but `MemoryError`: that says something of the process, not of the message, and a replay with more room
    would find otherwise.
    """
    if message.kind != READINGS and not message.kind.startswith(GATEWAY_PREFIX):
        raise UnreadableError("kind", f"kind {message.kind!r} is not known here: publish on .readings or .gw-<gateway>")
    try:
        if message.data[:4] == MAGIC:
            return from_arrow(columns, message, version)
        if message.data.lstrip()[:1] in {b"{", b"["}:
            return from_json(columns, message, version)
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # the bytes are anybody's, and decoders raise what they like
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UnreadableError(
            "undecodable", f"the message cannot be decoded ({text}): check how it is written"
        ) from error
    raise UnreadableError("undecodable", "the message is neither an Arrow IPC stream nor JSON: check how it is written")
