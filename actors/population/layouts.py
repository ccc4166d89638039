"""How files of counts are laid out: which column says what."""

from dataclasses import dataclass

ROW_LIMITS = frozenset({65_535, 65_536, 1_048_575, 1_048_576})
"""Rows that a spreadsheet (XLS, XLSX) holds, with and without its header: a file of so many was most likely cut off."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of a file by their headers. Without `day` the file is of one day, without `hour` of none in particular.

    A row's place is a `cell` of the grid, or a `place` (a stop) with `lon` and `lat` in the file itself or beside it;
    `name` is what the file calls the place. `identity` are the columns of which a fact has its own values (those that
    the file lacks are passed over); without them all but `values`, the columns of numbers.
    """

    value: str
    values: frozenset[str]
    day: str | None = None
    hour: str | None = None
    place: str | None = None
    name: str | None = None
    lon: str | None = None
    lat: str | None = None
    cell: str | None = None
    identity: tuple[str, ...] = ()

    def needed(self) -> tuple[str, ...]:
        """The headers without which nothing can be counted."""
        return tuple(name for name in (self.value, self.day, self.hour, self.cell or self.place) if name is not None)


def fare_card(value: str = "승차건수") -> Layout:
    """Boardings (승차건수) or alightings (하차건수) by route, stop and hour, or summed per stop with coordinates."""
    return Layout(
        value=value,
        values=frozenset({"승차건수", "하차건수"}),
        day="수집일자",
        hour="이용시간대",
        place="정류장아이디",
        name="정류장명",
        lon="lon",
        lat="lat",
        identity=("수집일자", "이용시간대", "노선아이디", "정류장아이디", "정류장명"),
    )


def operator(day: str = "day", hour: str = "hour", cell: str = "cell", value: str = "people") -> Layout:
    """A mobile operator's file: people per cell and hour; rows of the same cell and hour (by sex, age) add up."""
    return Layout(value=value, values=frozenset({value}), day=day, hour=hour, cell=cell)


def residents(cell: str = "gid", value: str = "총인구") -> Layout:
    """The register by cell: a cell on a border stands in the file once per district, and counts once."""
    return Layout(value=value, values=frozenset({value}), cell=cell, identity=(cell,))
