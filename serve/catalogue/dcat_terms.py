"""The controlled vocabularies that DCAT-AP names, as far as the catalogue uses them, and how facts map to them.

Codes and English labels are those of the EU's authority tables (Publications Office), of ADMS and of INSPIRE.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from schemas.dataset import Subject
from serve.catalogue.entry import Entry

Node = dict[str, Any]
AUTHORITY = "http://publications.europa.eu/resource/authority/"
DAY_S = 86_400

_PREFIXES = {
    "adms": "http://www.w3.org/ns/adms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dqv": "http://www.w3.org/ns/dqv#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geo": "http://www.opengis.net/ont/geosparql#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_IN_LANGUAGES = "adms:versionNotes dct:description dct:title foaf:name rdfs:label skos:prefLabel vcard:fn"
_LINKS = (
    "adms:status dcat:accessService dcat:accessURL dcat:contactPoint dcat:dataset dcat:distribution "
    "dcat:endpointDescription dcat:endpointURL dcat:hadRole dcat:landingPage dcat:mediaType dcat:servesDataset "
    "dcat:service dcat:theme dcat:themeTaxonomy dcatap:availability dct:accessRights dct:accrualPeriodicity "
    "dct:conformsTo dct:format dct:isReplacedBy dct:language dct:license dct:provenance dct:publisher dct:rights "
    "dct:spatial dct:temporal dqv:hasQualityMeasurement dqv:inDimension dqv:isMeasurementOf foaf:homepage prov:agent "
    "prov:qualifiedAttribution skos:broadMatch skos:hasTopConcept skos:inScheme vcard:hasURL"
)
_LITERALS = {
    "dcat:bbox": "geo:wktLiteral",
    "dcat:endDate": "xsd:dateTime",
    "dcat:keyword": "xsd:string",
    "dct:available": "xsd:date",
    "dct:identifier": "xsd:string",
    "dct:issued": "xsd:dateTime",
    "dct:modified": "xsd:dateTime",
    "dqv:value": "xsd:double",
}


def _named(term: str) -> str:
    return term.partition(":")[2]


CONTEXT: Node = {
    **_PREFIXES,
    "id": "@id",
    "type": "@type",
    **{_named(term): {"@id": term, "@container": "@language"} for term in _IN_LANGUAGES.split()},
    **{_named(term): {"@id": term, "@type": "@id"} for term in _LINKS.split()},
    **{_named(term): {"@id": term, "@type": kind} for term, kind in _LITERALS.items()},
    # Second names, where the first is taken: by what each node is, and by what is told in languages.
    "kind": {"@id": "dct:type", "@type": "@id"},
    "text": "rdfs:label",
    "note": "adms:versionNotes",
}
"""All terms of the document: it is read without fetching anything."""

CLASSES: Mapping[str, list[str]] = {
    "access-right": ["dct:RightsStatement", "skos:Concept"],
    "data-theme": ["skos:Concept"],
    "dataset-status": ["skos:Concept"],
    "dataset-type": ["skos:Concept"],
    "distribution-status": ["skos:Concept"],
    "file-type": ["dct:MediaTypeOrExtent", "skos:Concept"],
    "frequency": ["dct:Frequency", "skos:Concept"],
    "language": ["dct:LinguisticSystem", "skos:Concept"],
    "planned-availability": ["skos:Concept"],
}
"""What the entries of an authority table are, in the ranges that DCAT-AP asks of them."""

LABELS: Mapping[str, str] = {
    "access-right/PUBLIC": "public",
    "access-right/RESTRICTED": "restricted",
    "access-right/NON_PUBLIC": "non-public",
    "data-theme/AGRI": "Agriculture, fisheries, forestry and food",
    "data-theme/ECON": "Economy and finance",
    "data-theme/EDUC": "Education, culture and sport",
    "data-theme/ENVI": "Environment",
    "data-theme/GOVE": "Government and public sector",
    "data-theme/HEAL": "Health",
    "data-theme/JUST": "Justice, legal system and public safety",
    "data-theme/REGI": "Regions and cities",
    "data-theme/SOCI": "Population and society",
    "data-theme/TRAN": "Transport",
    "dataset-status/COMPLETED": "Completed",
    "dataset-status/DEPRECATED": "Deprecated",
    "dataset-status/DEVELOP": "Under development",
    "dataset-status/WITHDRAWN": "Withdrawn",
    "dataset-type/SYNTHETIC_DATA": "Synthetic data",
    "distribution-status/COMPLETED": "Completed",
    "distribution-status/DEPRECATED": "Deprecated",
    "distribution-status/DEVELOP": "Under development",
    "distribution-status/WITHDRAWN": "Withdrawn",
    "file-type/CSV": "CSV",
    "file-type/GEOJSON": "GeoJSON",
    "file-type/JSON": "JSON",
    "file-type/PARQUET": "Parquet",
    "frequency/1MIN": "every minute",
    "frequency/5MIN": "every five minutes",
    "frequency/10MIN": "every ten minutes",
    "frequency/15MIN": "every fifteen minutes",
    "frequency/30MIN": "every thirty minutes",
    "frequency/HOURLY": "hourly",
    "frequency/BIHOURLY": "bihourly",
    "frequency/TRIHOURLY": "trihourly",
    "frequency/12HRS": "every twelve hours",
    "frequency/DAILY": "daily",
    "frequency/WEEKLY_2": "semiweekly",
    "frequency/WEEKLY": "weekly",
    "frequency/BIWEEKLY": "biweekly",
    "frequency/MONTHLY": "monthly",
    "frequency/BIMONTHLY": "bimonthly",
    "frequency/QUARTERLY": "quarterly",
    "frequency/ANNUAL_2": "semiannual",
    "frequency/ANNUAL": "annual",
    "frequency/BIENNIAL": "biennial",
    "frequency/TRIENNIAL": "triennial",
    "frequency/QUINQUENNIAL": "quinquennial",
    "frequency/DECENNIAL": "decennial",
    "frequency/IRREG": "irregular",
    "frequency/NEVER": "never",
    "frequency/OTHER": "other",
    "frequency/UPDATE_CONT": "continuously updated",
    "language/ENG": "English",
    "language/KOR": "Korean",
    "planned-availability/AVAILABLE": "available",
    "planned-availability/TEMPORARY": "temporary",
}
"""The terms in use by their code, with their English label."""

THEMES: Mapping[Subject, str] = {
    "city-status": "REGI",
    "living": "SOCI",
    "finance": "ECON",
    "safety": "JUST",
    "transport": "TRAN",
    "welfare": "SOCI",
    "environment": "ENVI",
    "population": "SOCI",
    "economy": "ECON",
    "culture": "EDUC",
    "education": "EDUC",
    "health": "HEAL",
    "housing": "REGI",
    "agriculture": "AGRI",
    "administration": "GOVE",
}
"""The EU's data theme that each of the city's fields lies in."""

FREQUENCIES: Mapping[str, float] = {
    "1MIN": 60,
    "5MIN": 300,
    "10MIN": 600,
    "15MIN": 900,
    "30MIN": 1_800,
    "HOURLY": 3_600,
    "BIHOURLY": 7_200,
    "TRIHOURLY": 10_800,
    "12HRS": 43_200,
    "DAILY": DAY_S,
    "WEEKLY_2": 3.5 * DAY_S,
    "WEEKLY": 7 * DAY_S,
    "BIWEEKLY": 14 * DAY_S,
    "MONTHLY": 30.4 * DAY_S,
    "BIMONTHLY": 60.9 * DAY_S,
    "QUARTERLY": 91.3 * DAY_S,
    "ANNUAL_2": 182.6 * DAY_S,
    "ANNUAL": 365.2 * DAY_S,
    "BIENNIAL": 730.5 * DAY_S,
    "TRIENNIAL": 1_095.7 * DAY_S,
    "QUINQUENNIAL": 1_826.2 * DAY_S,
    "DECENNIAL": 3_652.4 * DAY_S,
}
"""Seconds of each frequency."""
FITS = 0.1
"""How far an interval may be off a frequency, as a share: a month has 28 to 31 days."""


def term(table: str, code: str) -> str:
    """The URI of a term of the EU's authority tables. Raises `KeyError` for one that `LABELS` lacks."""
    key = f"{table}/{code}"
    LABELS[key]
    return AUTHORITY + key


def terms() -> list[Node]:
    """All terms in use as nodes, each with its label, class and table."""
    return [
        {
            "id": AUTHORITY + key,
            "type": CLASSES[table := key.partition("/")[0]],
            "prefLabel": {"en": label},
            "inScheme": AUTHORITY + table,
        }
        for key, label in LABELS.items()
    ]


def frequency(entry: Entry) -> str:
    """The frequency that fits the declared interval, `OTHER` where none does."""
    if entry.status == "retired":
        return term("frequency", "NEVER")
    seconds = entry.facts.interval_s
    if seconds is None:
        return term("frequency", "IRREG")
    if seconds < FREQUENCIES["1MIN"]:
        return term("frequency", "UPDATE_CONT")
    fitting = [code for code, length in FREQUENCIES.items() if abs(seconds / length - 1) <= FITS]
    return term("frequency", fitting[0] if fitting else "OTHER")


def access_right(entry: Entry, today: date) -> str:
    """Who may read on that day of the city: everybody, its staff, or its operators alone."""
    citizens, staff = entry.facts.citizens_from, entry.facts.staff_from
    if citizens is not None and citizens <= today:
        return term("access-right", "PUBLIC")
    return term("access-right", "RESTRICTED" if staff is not None and staff <= today else "NON_PUBLIC")


def status(entry: Entry) -> str:
    """The code that the tables of dataset and of distribution statuses share."""
    match entry.status:
        case "not-connected" | "waiting":
            return "DEVELOP"
        case "retired":
            return "WITHDRAWN" if entry.superseded_by is None else "DEPRECATED"
        case _:
            return "COMPLETED"
