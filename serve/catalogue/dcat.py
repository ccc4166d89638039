"""The catalogue in DCAT-AP 3.0.1 as JSON-LD: one document that holds every node it speaks of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from schemas.dataset import SUBJECTS, Subject
from serve.catalogue import dcat_terms as eu
from serve.catalogue.dcat_terms import Node, term
from serve.catalogue.entry import Entry
from serve.statistics.declared import ZONE

CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"
IANA = "http://www.iana.org/assignments/media-types/"
CITY = "http://purl.org/adms/publishertype/LocalAuthority"
OWNER = "http://inspire.ec.europa.eu/metadata-codelist/ResponsiblePartyRole/owner"
WGS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
GEOJSON = "https://www.rfc-editor.org/rfc/rfc7946"
OPENAPI = "https://spec.openapis.org/oas/v3.1.0"

MEDIA = {
    "csv": "text/csv",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "geojson": "application/geo+json",
}
"""The formats that rows are given in, the last one where they have a place, with their media types (all of IANA's)."""
NO_FILE_TYPE = frozenset({"arrow"})
"""Formats that the EU's table of file types does not know: told by their media type."""


@dataclass(frozen=True, slots=True)
class Place:
    """The city: its name, and the box around it in degrees of longitude and latitude (WGS84)."""

    ko: str
    en: str
    west: float
    south: float
    east: float
    north: float


def catalogue(
    entries: Sequence[Entry],
    *,
    base_url: str,
    publisher_ko: str,
    publisher_en: str,
    modified: datetime,
    at: datetime,
    place: Place | None = None,
    licence: str = CC0,
) -> Node:
    """All entries as one JSON-LD document with a context of its own.

    `base_url` is where the API answers, `modified` when anything in the catalogue last changed, `licence` the URI of
    what the catalogue itself (not its datasets) may be used under. On the day of `at`, by the city's calendar, it is
    told who may read what; entries that the asker may not know of are the caller's to leave out.
    """
    base = _iri(base_url.rstrip("/"))
    known = frozenset(one.id for one in entries)
    said = _Said(base, {"ko": publisher_ko, "en": publisher_en}, at, place, known)
    datasets = [said.dataset(one) for one in entries]
    served = [one["id"] for one in datasets if one["distribution"]]
    head = {
        "id": said.at("catalogue"),
        "type": "dcat:Catalog",
        "title": {"ko": f"{publisher_ko} 데이터 목록", "en": f"Data catalogue of {publisher_en}"},
        "description": {
            "ko": f"{publisher_ko}의 데이터셋 {len(entries)}개: 출처, 이용 조건, 갱신 주기와 현재 상태.",
            "en": f"The {len(entries)} datasets of {publisher_en}: source, terms of use, interval and present state.",
        },
        "publisher": said.publisher,
        "license": _iri(licence),
        "language": [term("language", "KOR"), term("language", "ENG")],
        "modified": _time(modified),
        "homepage": {"id": f"{base}/", "type": "foaf:Document"},
        "themeTaxonomy": [eu.AUTHORITY + "data-theme", said.at("subjects")],
        "service": said.service(served),
        "dataset": datasets,
    } | said.where
    return {"@context": eu.CONTEXT, "@graph": [head, *said.shared(_iri(licence)), *eu.terms()]}


MOST = dict.fromkeys(MEDIA, 100_000) | {"geojson": 20_000}
"""Rows that one answer has at most."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What all datasets of a document share."""

    base: str
    name: Node
    now: datetime
    place: Place | None
    known: frozenset[str]

    def at(self, fragment: str) -> str:
        """A node of the document itself."""
        return f"{self.base}/v1/catalogue.jsonld#{fragment}"

    def of(self, dataset: str, fragment: str = "dataset") -> str:
        return f"{self.base}/v1/datasets/{dataset}#{fragment}"

    @property
    def publisher(self) -> str:
        return self.at("publisher")

    @property
    def where(self) -> Node:
        return {} if self.place is None else {"spatial": self.at("city")}

    def service(self, served: list[str]) -> Node:
        return {
            "id": self.at("api"),
            "type": "dcat:DataService",
            "title": {"ko": "데이터 API", "en": "Data API"},
            "description": {
                "ko": "데이터셋의 행을 거르고 골라 여러 형식으로 제공합니다.",
                "en": "Rows of the datasets, filtered and selected, in several formats.",
            },
            "endpointURL": f"{self.base}/v1",
            "endpointDescription": f"{self.base}/openapi.json",
            "conformsTo": OPENAPI,
            "publisher": self.publisher,
            "servesDataset": served,
        }

    def dataset(self, entry: Entry) -> Node:
        facts, page = entry.facts, f"{self.base}/v1/datasets/{entry.id}"
        owner = {"ko": facts.owner_ko, "en": facts.owner_en}
        contact = {"type": ["vcard:Kind", "vcard:Organization"], "fn": owner, "hasURL": page}
        attribution = {"type": "prov:Attribution", "agent": {"type": "foaf:Agent", "name": owner}, "hadRole": OWNER}
        said: Node = {
            "id": self.of(entry.id),
            "type": "dcat:Dataset",
            "identifier": entry.id,
            "title": {"ko": facts.title_ko, "en": facts.title_en},
            "description": {"ko": facts.description_ko, "en": facts.description_en},
            "keyword": list(facts.keywords),
            "theme": [term("data-theme", eu.THEMES[facts.subject]), self.at(f"subject-{facts.subject}")],
            "publisher": self.publisher,
            "contactPoint": contact,
            "qualifiedAttribution": attribution,
            "issued": _time(entry.registered_at),
            "modified": _time(entry.modified_at),
            "accrualPeriodicity": eu.frequency(entry),
            "accessRights": eu.access_right(entry, self.now.astimezone(ZoneInfo(ZONE)).date()),
            "rights": _rights(entry),
            "provenance": {"type": "dct:ProvenanceStatement", "text": facts.source},
            "landingPage": {"id": page, "type": "foaf:Document"},
            "status": term("dataset-status", eu.status(entry)),
            "versionNotes": _notes(entry),
            "distribution": self._distributions(entry),
        }
        if facts.citizens_from is not None:
            said["available"] = facts.citizens_from.isoformat()
        if facts.geometry is not None:
            said["conformsTo"] = WGS84
        if facts.synthetic:
            said["kind"] = term("dataset-type", "SYNTHETIC_DATA")
        if entry.data_time is not None:
            said["temporal"] = {"type": "dct:PeriodOfTime", "endDate": _time(entry.data_time)}
        if entry.completeness is not None:
            measured = {"type": "dqv:QualityMeasurement", "isMeasurementOf": self.at("completeness")}
            said["hasQualityMeasurement"] = measured | {"value": float(entry.completeness)}
        if entry.superseded_by in self.known:  # another may be one that the asker must not hear of
            said["isReplacedBy"] = self.of(entry.superseded_by)
        if entry.retired_reason is not None:
            said["note"] = entry.retired_reason
        return said | self.where

    def _distributions(self, entry: Entry) -> list[Node]:
        """One a format; none where there never were rows nor are any on their way."""
        if entry.status == "not-connected" or (entry.status == "retired" and entry.refreshed_at is None):
            return []
        placed = entry.facts.geometry is not None
        return [self._distribution(entry, form) for form in MEDIA if placed or form != "geojson"]

    def _distribution(self, entry: Entry, form: str) -> Node:
        facts, media = entry.facts, IANA + MEDIA[form]
        url = f"{self.base}/v1/datasets/{entry.id}/rows?format={form}&limit={MOST[form]}"
        lasting = entry.refreshed_at is not None and entry.status != "retired"
        said: Node = {
            "id": self.of(entry.id, form),
            "type": "dcat:Distribution",
            "title": {"ko": f"{facts.title_ko} ({form})", "en": f"{facts.title_en} ({form})"},
            "accessURL": url,
            "accessService": self.at("api"),
            "format": media if form in NO_FILE_TYPE else term("file-type", form.upper()),
            "mediaType": media,
            "rights": _rights(entry),
            "availability": term("planned-availability", "AVAILABLE" if lasting else "TEMPORARY"),
            "status": term("distribution-status", eu.status(entry)),
        }
        if facts.licence_url is not None:
            said["license"] = {"id": _iri(facts.licence_url), "type": "dct:LicenseDocument", "text": facts.licence}
        if entry.refreshed_at is not None:
            said["modified"] = _time(entry.refreshed_at)
        if form == "geojson":
            said["conformsTo"] = GEOJSON
        return said

    def shared(self, licence: str) -> list[Node]:
        """The nodes that others refer to, besides the terms of the EU's tables."""
        fields = [self._subject(name, titles) for name, titles in SUBJECTS.items()]
        kind = {"id": CITY, "type": "skos:Concept", "prefLabel": {"en": "Local Authority"}}
        nodes: list[Node] = [
            {"id": self.publisher, "type": "foaf:Agent", "name": self.name, "kind": kind},
            {"id": licence, "type": "dct:LicenseDocument"},
            {"id": self.at("subjects"), "type": "skos:ConceptScheme", "hasTopConcept": [one["id"] for one in fields]}
            | {"title": {"ko": "시의 분야", "en": "The city's fields"}},
            *fields,
            {"id": eu.AUTHORITY + "data-theme", "type": "skos:ConceptScheme", "title": {"en": "Data theme"}},
            {"id": OWNER, "type": ["dcat:Role", "skos:Concept"], "prefLabel": {"en": "Owner"}},
            {"id": self.at("completeness"), "type": "dqv:Metric"}
            | {"label": {"ko": "채워진 셀의 비율", "en": "Share of cells that are filled"}},
            *({"id": one, "type": "dct:Standard"} for one in (WGS84, GEOJSON, OPENAPI)),
            *({"id": IANA + one, "type": _MEDIA_TYPE} for one in MEDIA.values()),
        ]
        if (city := self.place) is not None:
            ring = ((city.west, city.south), (city.east, city.south), (city.east, city.north), (city.west, city.north))
            corners = ", ".join(f"{lon} {lat}" for lon, lat in (*ring, ring[0]))
            # Without a CRS in front, a WKT literal is in CRS84: longitude first (GeoSPARQL 1.1, 8.5.1).
            node = {"id": self.at("city"), "type": "dct:Location", "bbox": f"POLYGON(({corners}))"}
            nodes.append(node | {"label": {"ko": city.ko, "en": city.en}})
        return nodes

    def _subject(self, name: Subject, titles: tuple[str, str]) -> Node:
        return {
            "id": self.at(f"subject-{name}"),
            "type": "skos:Concept",
            "prefLabel": {"ko": titles[0], "en": titles[1]},
            "inScheme": self.at("subjects"),
            "broadMatch": term("data-theme", eu.THEMES[name]),
        }


_MEDIA_TYPE = ["dct:MediaType", "dct:MediaTypeOrExtent"]


def _rights(entry: Entry) -> Node:
    """The terms of use as they were found; where no document stands behind them, that is said."""
    licence = entry.facts.licence
    ko, en = licence, licence
    if entry.facts.licence_url is None:
        ko, en = f"{licence} (이용허락 문서 없음)", f"{licence} (no licence document is known)"
    return {"type": "dct:RightsStatement", "label": {"ko": ko, "en": en}}


def _notes(entry: Entry) -> dict[str, list[str]]:
    """What happened to the dataset, days by the city's calendar."""
    happened = (
        (entry.columns_changed_at, "열이 바뀌었습니다", "its columns changed"),
        (entry.retired_at, "폐기되었습니다", "it was retired"),
    )
    told = [(when.astimezone(ZoneInfo(ZONE)).date(), ko, en) for when, ko, en in happened if when is not None]
    return {"ko": [f"{day}: {ko}" for day, ko, _ in told], "en": [f"{day}: {en}" for day, _, en in told]}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _iri(url: str) -> str:
    """An address as RDF takes it: what may not stand in an IRI is escaped."""
    return quote(url, safe=":/?#[]@!$&'()*+,;=%~")
