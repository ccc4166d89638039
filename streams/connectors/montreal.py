"""Montréal's snow clearing (Planif-Neige) as the city's polls come: CSV files, French codes, local times.

`mun_id` names the whole city in every row and the files tell neither streets nor boroughs, so the street sides are
grouped into roads `montreal-<mun_id>-<first three digits of the side>`: a stand-in of a manageable size, by the id
alone and therefore the same in every poll. A side is the segment `montreal-<cote_rue_id>`, without geometry.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from schemas.api import MAX_SEGMENTS
from schemas.errors import InvalidError
from schemas.road import ClearingState, RegisterRoad, RoadFacts, SegmentFacts

SOURCE = "montreal-planif-neige"
ZONE = "America/Montreal"
_FORMAT = "%Y-%m-%dT%H:%M:%S%.f"

STATES: dict[int, tuple[ClearingState, str]] = {
    0: ("snowed", "Enneigé · snowed"),
    1: ("cleared", "Déneigé · cleared"),
    2: ("planned", "Planifié · planned"),
    3: ("planned", "Replanifié · replanned"),
    4: ("planned", "Sera replanifié · to be replanned"),
    5: ("under-way", "Chargement en cours · loading under way"),
    10: ("cleared", "Dégagé · cleared between two loadings"),
}
"""`etat_deneig` with our state and the city's French name."""

_PLANNED, _REPLANNED = ("date_deb_planif", "date_fin_planif"), ("date_deb_replanif", "date_fin_replanif")
_LOCAL = [*_PLANNED, *_REPLANNED, "date_maj"]
_WINDOW_OF: dict[int, tuple[str, str]] = {0: _PLANNED, 1: _PLANNED, 2: _PLANNED, 3: _REPLANNED, 5: _PLANNED}
ROWS_PER_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Poll:
    """One file. `rows`: road, segment, state, changed_at, window_start, window_end, source_state; times µs UTC.

    Rows stand in the file's order; a side may stand there twice, and whoever folds them decides by `changed_at`.
    """

    taken_at: datetime
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Findings:
    """What is odd in the files, so that a run can say it.

    `repeated` counts the sides that one file names twice, `conflicting` those of them with two states, each summed
    over the files. The other figures count rows: without usable ids, without a usable `date_maj`, with an unknown code
    (all three left out), and with a window that ends before it starts or lacks an end (kept without it).
    """

    polls: int
    rows: int
    sides: int
    repeated: int
    conflicting: int
    without_id: int
    without_time: int
    unknown_state: int
    without_window: int


def read_polls(paths: Sequence[Path], last_at: datetime | None = None) -> tuple[list[Poll], Findings]:
    """Read the files in the order of their snapshots; nothing is written or fetched.

    With `last_at` all times move by one amount, so that the last poll was taken then; else they stay as they were.
    Raises `InvalidError` for a file that is not such a poll.
    """
    if not paths:
        raise InvalidError("name at least one planif-neige CSV file")
    raw = sorted((_read(path) for path in paths), key=lambda frame: frame["snapshot_utc"][0])
    taken = [frame["snapshot_utc"][0] for frame in raw]
    shift = last_at - taken[-1] if last_at else timedelta()
    polls = [Poll(at + shift, _rows(frame, shift)) for at, frame in zip(taken, raw, strict=True)]
    return polls, _findings(raw)


def register_commands(polls: Sequence[Poll], at: datetime, by: str) -> list[RegisterRoad]:
    """All sides that any of the polls names, as many in a command as one may bring; sent again, they change nothing."""
    sides = pl.concat([poll.rows.select("road", "segment") for poll in polls]).unique().sort("road", "segment")
    return [
        RegisterRoad(at=at, by=by, road=str(road), facts=_facts(str(road), part["segment"].to_list()))
        for (road,), rows in sides.group_by("road", maintain_order=True)
        for part in rows.iter_slices(MAX_SEGMENTS)
    ]


def messages(poll: Poll, previous: Poll | None = None) -> Iterator[tuple[str, bytes]]:
    """Road and payload of each message for `city.raw.road.<road>.clearing`, at most `ROWS_PER_MESSAGE` rows each.

    With `previous`, only rows that did not stand there: the folded state is the same, with less to send.
    """
    rows = poll.rows
    if previous is not None:
        rows = rows.join(previous.rows, on=rows.columns, how="anti", nulls_equal=True, maintain_order="left")
    for (road,), rows_of in rows.sort("road", maintain_order=True).group_by("road", maintain_order=True):
        wire = rows_of.select(
            "segment",
            "state",
            _iso("changed_at").alias("changed_at"),
            pl.when(pl.col("window_start").is_not_null())
            .then(pl.struct(_iso("window_start").alias("start"), _iso("window_end").alias("end")))
            .alias("window"),
            pl.lit(SOURCE).alias("source"),
            "source_state",
        )
        for part in wire.iter_slices(ROWS_PER_MESSAGE):
            yield str(road), part.write_json().encode()


def _read(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(path, infer_schema=False).select(
            pl.col("snapshot_utc").str.to_datetime(_FORMAT, time_unit="us", time_zone="UTC"),
            pl.col("mun_id", "cote_rue_id"),
            pl.col("etat_deneig").cast(pl.Int64, strict=False),
            *(
                pl.col(name)
                .str.to_datetime(_FORMAT, time_unit="us", strict=False)
                # The hour that the clocks skip names no moment; of the hour that they repeat we take the first.
                .dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null")
                .dt.convert_time_zone("UTC")
                for name in _LOCAL
            ),
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidError(f"{path.name} is not a planif-neige poll: {error}") from error
    if frame.is_empty():
        raise InvalidError(f"{path.name} holds no rows")
    return frame


def _window(place: int) -> pl.Expr:
    cases = (pl.when(pl.col("etat_deneig") == code).then(pl.col(pair[place])) for code, pair in _WINDOW_OF.items())
    return pl.coalesce(*cases)


_HAS_ID = pl.all_horizontal(pl.col("mun_id", "cote_rue_id").str.contains(r"^[0-9]{1,20}$").fill_null(value=False))
_HAS_STATE = pl.col("etat_deneig").is_in(list(STATES)).fill_null(value=False)
_HAS_WINDOW = (_window(0) < _window(1)).fill_null(value=False)


def _rows(frame: pl.DataFrame, shift: timedelta) -> pl.DataFrame:
    code = pl.col("etat_deneig")
    ours = {number: state for number, (state, _) in STATES.items()}
    theirs = {number: f"{number} {name}" for number, (_, name) in STATES.items()}
    return frame.filter(_HAS_ID, _HAS_STATE, pl.col("date_maj").is_not_null()).select(
        pl.format("montreal-{}-{}", "mun_id", pl.col("cote_rue_id").str.head(3)).alias("road"),
        pl.format("montreal-{}", "cote_rue_id").alias("segment"),
        code.replace_strict(ours, return_dtype=pl.String).alias("state"),
        (pl.col("date_maj") + shift).alias("changed_at"),
        pl.when(_HAS_WINDOW).then(_window(0) + shift).alias("window_start"),
        pl.when(_HAS_WINDOW).then(_window(1) + shift).alias("window_end"),
        code.replace_strict(theirs, return_dtype=pl.String).alias("source_state"),
    )


def _findings(raw: Sequence[pl.DataFrame]) -> Findings:
    states = pl.col("etat_deneig").n_unique().alias("states")
    sides = pl.concat(frame.group_by("cote_rue_id").agg(pl.len(), states) for frame in raw)
    whole = pl.concat(raw)

    def count(condition: pl.Expr) -> int:
        return whole.filter(condition).height

    return Findings(
        polls=len(raw),
        rows=whole.height,
        sides=whole["cote_rue_id"].n_unique(),
        repeated=sides.filter(pl.col("len") > 1).height,
        conflicting=sides.filter(pl.col("states") > 1).height,
        without_id=count(~_HAS_ID),
        without_time=count(pl.col("date_maj").is_null()),
        unknown_state=count(~_HAS_STATE),
        without_window=count((_window(0).is_not_null() | _window(1).is_not_null()) & ~_HAS_WINDOW),
    )


def _facts(road: str, segments: list[str]) -> RoadFacts:
    _, city, group = road.split("-")
    return RoadFacts(
        name_ko=f"몬트리올 가로변 {group} ({city})",
        name_en=f"Montréal street sides {group} ({city})",
        rank="108",
        segments=tuple(SegmentFacts(segment=segment) for segment in segments),
    )


def _iso(column: str) -> pl.Expr:
    return pl.col(column).dt.to_string("iso:strict")
