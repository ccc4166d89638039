"""Datasets, and what comes in for them, for tests."""

from actors.catalogue.reading.city import City
from actors.catalogue.reading.read import read
from schemas.dataset import Column, Dataset, Layout, Points

CITY = City(bounds=(127.5, 37.6, 128.1, 38.1))
PLACE = Points(x="lon", y="lat")


def column(name, kind="text", source=None, **more):
    return Column(id=name, ko=name, en=name, kind=kind, source=source, **more)


def dataset(*columns, **more):
    """Columns are ids, or (id, kind), or (id, kind, source), or `Column`s."""
    made = (one if isinstance(one, Column) else column(*([one] if isinstance(one, str) else one)) for one in columns)
    facts = {
        "title_ko": "시험",
        "title_en": "A test",
        "description_ko": "시험 자료",
        "description_en": "Data of a test",
        "subject": "living",
        "owner_ko": "정보화과",
        "owner_en": "Information",
        "source": "tests",
        "licence": "CC0-1.0",
    }
    return Dataset(**facts, columns=tuple(made), **more)


def from_csv(text, declared, city=CITY, **reading):
    data = text if isinstance(text, bytes) else text.encode()
    return read(data, Layout(format="csv", **reading), declared, city)


def found(loaded, *without):
    """The findings as (row, column, kind, action, value), but for some kinds."""
    left = loaded.findings.filter(~loaded.findings["kind"].is_in(list(without)))
    return left.select("row", "column", "kind", "action", "value").rows()
