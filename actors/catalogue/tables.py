"""What readers see of a catalogue shard, as Arrow tables, and its snapshot."""

from typing import Any

import orjson
import pyarrow as pa

from actors.catalogue.state import Known, State, Version
from actors.saved import rows
from schemas.catalogue import Refresh
from schemas.dataset import Dataset
from schemas.tables import DATASETS, VERSIONS

_PLAIN = (
    "registered_at",
    "modified_at",
    "seen_at",
    "late_since",
    "down_since",
    "down_why",
    "columns_changed_at",
    "retired_at",
    "retired_why",
    "superseded_by",
    "seeded",
)


def tables(state: State) -> dict[str, pa.Table]:
    """`schemas.tables.PUBLISHED["catalogue"]`, rows in the order of registration and of refreshes.

    Only those of datasets that changed are made again.
    """
    for name, known in state.datasets.items():
        if name not in state.tables:
            state.tables[name] = _dataset(name, known), _versions(name, known)
    parts = [state.tables[name] for name in state.datasets]
    return {
        "datasets": pa.concat_tables([DATASETS.empty_table(), *(one for one, _ in parts)]).combine_chunks(),
        "versions": pa.concat_tables([VERSIONS.empty_table(), *(one for _, one in parts)]).combine_chunks(),
    }


def _dataset(name: str, known: Known) -> pa.Table:
    row = {
        "dataset": name,
        "facts": known.facts.model_dump_json(),
        "opened": list(known.opened),
        **{field: getattr(known, field) for field in _PLAIN},
    }
    return pa.Table.from_pylist([row], DATASETS)


def _versions(name: str, known: Known) -> pa.Table:
    rows = [{"dataset": name, "since": one.since, "until": one.until, **_figures(one)} for one in known.versions]
    return pa.Table.from_pylist(rows, VERSIONS)


def load(saved: dict[str, pa.Table]) -> State:
    """Inverse of `tables`, which hold everything: the same digest, the same tables."""
    state = State()
    for row in rows(saved["datasets"]):
        facts = Dataset.model_validate_json(row["facts"])
        known = Known(facts, opened=tuple(row["opened"]), **{field: row[field] for field in _PLAIN})
        state.datasets[row["dataset"]] = known
        state.touch(row["dataset"])
    for row in rows(saved["versions"]):
        refresh = Refresh.model_validate_json(row["refresh"])
        state.datasets[row["dataset"]].versions.append(Version(refresh, row["since"], row["until"]))
    return state


def _figures(version: Version) -> dict[str, Any]:
    refresh = version.refresh
    findings = [one.model_dump() for one in refresh.findings]
    return {
        "version": refresh.version,
        "rows": refresh.rows,
        "received": refresh.received,
        "dropped": refresh.dropped,
        "completeness": refresh.completeness,
        "found": sum(one.rows for one in refresh.findings),
        "findings": orjson.dumps(findings).decode(),
        "refresh": version.told,
    }
