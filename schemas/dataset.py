"""What a dataset (데이터셋) of the catalogue is: columns, rules and place, where it comes from, who may see it."""

from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from schemas.base import EntityId, Frozen, Name, Text

Subject = Literal[
    "city-status",
    "living",
    "finance",
    "safety",
    "transport",
    "welfare",
    "environment",
    "population",
    "economy",
    "culture",
    "education",
    "health",
    "housing",
    "agriculture",
    "administration",
]
"""The city's fields (분야), fifteen. Public by name are the first of Chuncheon's own; the rest is a guess."""

SUBJECTS: dict[Subject, tuple[str, str]] = {
    "city-status": ("실시간 도시현황", "Real-time city status"),
    "living": ("생활통계", "Living statistics"),
    "finance": ("재정", "Finance"),
    "safety": ("안전", "Safety"),
    "transport": ("교통", "Transport"),
    "welfare": ("복지", "Welfare"),
    "environment": ("환경", "Environment"),
    "population": ("인구", "Population"),
    "economy": ("경제·일자리", "Economy and jobs"),
    "culture": ("문화·관광", "Culture and tourism"),
    "education": ("교육", "Education"),
    "health": ("보건", "Health"),
    "housing": ("도시·주택", "City and housing"),
    "agriculture": ("농업·산림", "Farming and forests"),
    "administration": ("행정·민원", "Administration and complaints"),
}
"""Titles of the fields, Korean and English."""

Kind = Literal["text", "integer", "number", "boolean", "date", "time"]
"""What a column holds. A `time` without a zone is one of Asia/Seoul; inside it is UTC."""

Crs = Literal["EPSG:4326", "EPSG:5179", "EPSG:5181", "EPSG:5186"]
Audience = Literal["operator", "staff", "citizen"]
"""Who may read: operators always, staff and citizens from a day on."""

Header = Annotated[str, Field(max_length=120)]
"""A column's name as the source writes it; empty is a name, too (spreadsheets leave the first one blank)."""

Seconds = Annotated[int, Field(ge=1)]


class Column(Frozen):
    """A column: `id` in answers, `source` in what comes in; the id where the source has the same.

    `personal` says how it is kept from citizens: `mask` shows nothing of it, `group` shows it where at least `k` rows
    of the dataset (`Dataset.k`) share the values of all such columns.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    ko: Name
    en: Name
    kind: Kind = "text"
    unit: Annotated[str, Field(max_length=30)] = ""
    source: Header | None = None
    required: bool = False
    personal: Literal["mask", "group"] | None = None

    @property
    def header(self) -> str:
        """Its name in what comes in."""
        return self.id if self.source is None else self.source


class Range(Frozen):
    """Values lie within bounds, both included; one outside is flagged."""

    rule: Literal["range"] = "range"
    column: str
    low: Annotated[float, Field(allow_inf_nan=False)] | None = None
    high: Annotated[float, Field(allow_inf_nan=False)] | None = None


class OneOf(Frozen):
    """Values are of a list; another is flagged."""

    rule: Literal["one-of"] = "one-of"
    column: str
    values: tuple[str, ...]


class Pattern(Frozen):
    """Texts match a regular expression (Rust's syntax) from start to end; another is flagged."""

    rule: Literal["pattern"] = "pattern"
    column: str
    pattern: Annotated[str, Field(max_length=200)]


Rule = Annotated[Range | OneOf | Pattern, Field(discriminator="rule")]


class Points(Frozen):
    """Each row is a point: `x` and `y` are columns (longitude and latitude in EPSG:4326)."""

    shape: Literal["point"] = "point"
    x: str
    y: str
    crs: Crs = "EPSG:4326"


class Shapes(Frozen):
    """Each row has a shape, as WKT in a column; GeoJSON comes in with its geometry as WKT in that column, too."""

    shape: Literal["wkt"] = "wkt"
    column: str
    crs: Crs = "EPSG:4326"


Geometry = Annotated[Points | Shapes, Field(discriminator="shape")]

Format = Literal["csv", "xlsx", "geojson", "json", "xml", "parquet"]


class Layout(Frozen):
    """How bytes are read as rows.

    `path` leads to the records of JSON and XML; `.` is all that came, one record or a list of them, and data.go.kr's
    is found without it. `encoding` is found out where it is not given: UTF-8 (with or without a mark), else CP949.
    `sheet` names one of an XLSX, the first without it.
    """

    format: Format
    encoding: Literal["utf-8", "cp949"] | None = None
    sheet: Annotated[str, Field(max_length=60)] | None = None
    path: Annotated[str, Field(max_length=200)] = ""


class FromFile(Layout):
    """A file below the folder of datasets (`BOMNAE_DATASETS_FROM`), read again when it has changed."""

    by: Literal["file"] = "file"
    file: Annotated[str, Field(min_length=1, max_length=300)]


class Paging(Frozen):
    """How to ask for the next page: data.go.kr's `pageNo` and `numOfRows` by default."""

    page: Annotated[str, Field(max_length=40)] = "pageNo"
    size: Annotated[str, Field(max_length=40)] = "numOfRows"
    rows: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    first: int = 1
    most: Annotated[int, Field(ge=1, le=1_000)] = 100


class FromHttp(Layout):
    """Asked over HTTP(S) at the dataset's interval, with ETag and back-off.

    `key_env` names the environment variable that holds the provider's key (never the key itself), `key_parameter` the
    query parameter that carries it.
    """

    by: Literal["http"] = "http"
    url: Annotated[str, Field(pattern=r"^https?://", max_length=500)]
    parameters: dict[str, str] = Field(default_factory=dict)
    key_env: Annotated[str, Field(pattern=r"^BOMNAE_KEY_[A-Z0-9_]+$")] | None = None
    key_parameter: Annotated[str, Field(max_length=40)] = "serviceKey"
    paging: Paging | None = None


class FromDatabase(Frozen):
    """A query (SELECT) of a database whose URI is in an environment variable."""

    by: Literal["database"] = "database"
    uri_env: Annotated[str, Field(pattern=r"^BOMNAE_KEY_[A-Z0-9_]+$")]
    query: Annotated[str, Field(min_length=1, max_length=5_000)]


class FromNats(Layout):
    """Published by its provider on `city.raw.catalogue.<dataset>.rows`, and taken in as it comes.

    A message holds all rows (`replace`: the newest counts), or rows that join those of before (`upsert`).
    """

    by: Literal["nats"] = "nats"


class FromCity(Frozen):
    """A table that the city itself keeps: of its facilities or roads, or `statistic.<id>`; never one of persons."""

    by: Literal["city"] = "city"
    table: Annotated[str, Field(pattern=r"^(facility|road|statistic)\.[a-z-]+$")]


Connector = Annotated[FromFile | FromHttp | FromDatabase | FromNats | FromCity, Field(discriminator="by")]


class Chart(Frozen):
    """How the rows are drawn: `y` (counted, summed or averaged) over the values of `x`, in the colour of a column."""

    mark: Literal["bar", "line", "point"]
    x: str
    y: str | None = None
    aggregate: Literal["count", "sum", "mean", "none"] = "count"
    colour: str | None = None


class Map(Frozen):
    """How the rows are shown on a map: with the text of a column, in the colour of its values."""

    label: str | None = None
    colour: str | None = None


_EXAMPLE: JsonDict = {
    "title_ko": "버스 정류장",
    "title_en": "Bus stops",
    "description_ko": "춘천시 시내버스 정류장의 이름과 위치",
    "description_en": "Names and places of the city's bus stops",
    "subject": "transport",
    "owner_ko": "교통과",
    "owner_en": "Transport division",
    "source": "춘천시 버스정보시스템 · Chuncheon bus information system",
    "licence": "KOGL type 1",
    "interval_s": 86_400,
    "staff_from": "2024-03-01",
    "citizens_from": "2024-07-01",
    "columns": [
        {"id": "stop", "ko": "정류장 번호", "en": "Stop number", "source": "정류장 번호", "required": True},
        {"id": "lon", "ko": "경도", "en": "Longitude", "kind": "number", "unit": "°", "source": "경도"},
        {"id": "lat", "ko": "위도", "en": "Latitude", "kind": "number", "unit": "°", "source": "위도"},
    ],
    "key": ["stop"],
    "geometry": {"shape": "point", "x": "lon", "y": "lat"},
}


class Dataset(Frozen):
    """One dataset. Without a `connector` it is declared, and visibly not yet connected; rows may still be uploaded.

    `key` are the columns of which each row has its own values: a row that comes again is told, and counts once.
    `newest` is the column whose greatest value decides which of several rows of a key counts; else the later one does.
    `mode`: a refresh brings all rows (`replace`), or rows that replace those of the same key (`upsert`).
    `interval_s` is how often it should be refreshed; None for what is refreshed by hand.
    `may_be_empty`: a source that sends no rows means it, such as a list of what is wrong right now; of others it is a
    failure, and the rows of before stay.
    `staff_from` and `citizens_from` are days of Asia/Seoul; None: not open to them.
    """

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    title_ko: Name
    title_en: Name
    description_ko: Text
    description_en: Text
    subject: Subject
    owner_ko: Name
    owner_en: Name
    source: Text
    licence: Name
    licence_url: Annotated[str, Field(pattern=r"^https?://", max_length=300)] | None = None
    keywords: tuple[Name, ...] = ()
    interval_s: Seconds | None = None
    staff_from: date | None = None
    citizens_from: date | None = None
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=200)]
    key: tuple[str, ...] = ()
    newest: str | None = None
    mode: Literal["replace", "upsert"] = "replace"
    rules: tuple[Rule, ...] = ()
    geometry: Geometry | None = None
    inside: bool = True
    k: Annotated[int, Field(ge=2, le=100)] = 5
    reading: Layout | None = None
    connector: Connector | None = None
    chart: Chart | None = None
    map: Map | None = None
    synthetic: bool = False
    may_be_empty: bool = False

    @model_validator(mode="after")
    def _columns_exist(self) -> "Dataset":
        ids = [column.id for column in self.columns]
        if len(set(ids)) < len(ids):
            raise ValueError("a dataset names each of its columns once")
        for what, name in self._named():
            if name is not None and name not in ids:
                raise ValueError(f"{what}: there is no column {name!r}")
        if self.mode == "upsert" and not self.key:
            raise ValueError("rows can only replace those of the same key: name the key")
        if self.map is not None and self.geometry is None:
            raise ValueError("a map needs a geometry")
        if self.staff_from is not None and self.citizens_from is not None and self.citizens_from < self.staff_from:
            raise ValueError("a dataset opens to staff before it opens to citizens")
        return self

    def _named(self) -> list[tuple[str, str | None]]:
        named: list[tuple[str, str | None]] = [("key", name) for name in self.key]
        named += [("rules", rule.column) for rule in self.rules]
        named += [("newest", self.newest)]
        match self.geometry:
            case Points(x=x, y=y):
                named += [("geometry", x), ("geometry", y)]
            case Shapes(column=column):
                named += [("geometry", column)]
            case None:
                pass
        if self.chart is not None:
            named += [("chart", self.chart.x), ("chart", self.chart.y), ("chart", self.chart.colour)]
        if self.map is not None:
            named += [("map", self.map.label), ("map", self.map.colour)]
        return named

    def column(self, name: str) -> Column:
        """The column of that id. Raises `KeyError` where there is none."""
        return {column.id: column for column in self.columns}[name]


DatasetId = EntityId

FindingKind = Literal[
    "unreadable",
    "mended",
    "missing",
    "missing-column",
    "extra-column",
    "repeated",
    "conflicting",
    "outside",
    "range",
    "value",
    "pattern",
    "encoding",
    "cut",
]
"""What can be found in rows that come in.

`unreadable`: a cell that is not of its column's kind (emptied). `mended`: one that is after cleaning (`?127.7`).
`missing`: an empty cell of a required column. `missing-column`, `extra-column`: the header is another than declared.
`repeated`: a row that came before, word for word (dropped). `conflicting`: one of a key that came before, with other
words (the later one counts). `outside`: a place outside the city. `range`, `value`, `pattern`: a rule is broken.
`encoding`: bytes that are no text. `cut`: a row with too few or too many cells, or a file at a spreadsheet's row limit.
"""
FINDINGS: frozenset[str] = frozenset(get_args(FindingKind))

Action = Literal["kept", "mended", "emptied", "dropped"]
"""What was done: the row loads as it is; a cell was cleaned; a cell was emptied; the row does not load.

Of a whole column: it stays empty (`emptied`), or is not loaded (`dropped`)."""
