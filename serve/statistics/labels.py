"""What pictures call things: facilities, sensors and roads by their Korean names, and the unit that sensors share."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True)
class Labels:
    """Names by column and id, all different within a column; the units of sensors by id."""

    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Names in place of ids; an id that nobody knows stays."""
        known = [name for name in rows.columns if name in self.names]
        return rows.with_columns(pl.col(name).replace(self.names[name]) for name in known)

    def unit(self, rows: pl.DataFrame) -> str:
        """The unit of the sensors in the rows where it is one and the same, else nothing."""
        sensors = rows["sensor"].unique().to_list() if "sensor" in rows.columns else []
        units = {self.units.get(one, "") for one in sensors}
        return units.pop() if len(units) == 1 else ""


def labels_of(facilities: pl.DataFrame, sensors: pl.DataFrame, roads: pl.DataFrame) -> Labels:
    """Of the published tables. Where two would be called the same their ids stand behind."""
    facility = dict(facilities.select("facility", "name_ko").iter_rows())
    sensor = {
        one: f"{facility.get(where, where)} {name}"
        for one, where, name in sensors.select("sensor", "facility", "name_ko").iter_rows()
    }
    road = dict(roads.select("road", "name_ko").unique("road").iter_rows())
    names = {"facility": facility, "sensor": sensor, "road": road}
    units = dict(sensors.select("sensor", "unit").iter_rows())
    return Labels({column: _distinct(said) for column, said in names.items()}, units)


def _distinct(names: Mapping[str, str]) -> dict[str, str]:
    often = Counter(names.values())
    return {one: f"{name} ({one})" if often[name] > 1 else name for one, name in names.items()}
