"""The ledger of a case as entries of JSON and as CSV."""

import csv
import io
from typing import Any

import orjson

from schemas.base import from_micros
from serve.backend import Backend, HistoryItem

COLUMNS = ("sequence", "id", "type", "time", "by", "data")
_PAGE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def entry(item: HistoryItem) -> dict[str, Any]:
    """One event of the case."""
    return {"id": item.id, "type": item.type, "time": from_micros(item.time), "by": item.data["by"], "data": item.data}


async def csv_of(backend: Backend, case: str) -> bytes:
    """All entries, UTF-8 with a byte-order mark, which spreadsheets need for Korean; `data` is JSON.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out, after = io.StringIO(), 0
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    while found := await backend.history("person", case, after, _PAGE):
        after = found[-1].sequence
        for one in found:
            told = entry(one)
            data = orjson.dumps(told["data"]).decode()
            cells = (one.sequence, told["id"], told["type"], told["time"].isoformat(), told["by"], data)
            writer.writerow([_inert(cell) for cell in cells])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
