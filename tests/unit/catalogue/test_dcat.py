"""The catalogue is what DCAT-AP's own shapes take, and says what the datasets say."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyshacl import validate
from rdflib import DCAT, DCTERMS, RDF, RDFS, SKOS, XSD, Graph, Literal, Namespace, URIRef
from rdflib.compare import isomorphic

from schemas.dataset import SUBJECTS
from serve.catalogue import dcat_terms
from serve.catalogue.dcat import Place, catalogue
from tests.unit.catalogue.entries import KINDS, PLACED, entry, facts

SHAPES = Path(os.environ.get("BOMNAE_SHARED", "../shared")) / "data/dcat-ap/shapes.ttl"
needs_shapes = pytest.mark.skipif(not SHAPES.exists(), reason=f"needs {SHAPES}")
SH = Namespace("http://www.w3.org/ns/shacl#")
BASE = "https://city.example"
AT = datetime(2026, 3, 2, tzinfo=UTC)
CITY = Place("춘천시", "Chuncheon", 127.507, 37.676, 128.029, 38.085)
EU = dcat_terms.AUTHORITY


def said(entries: Any, **more: Any) -> dict[str, Any]:
    named = {"base_url": BASE, "publisher_ko": "춘천시", "publisher_en": "Chuncheon City", "modified": AT, "at": AT}
    return catalogue(entries, **named | {"place": CITY} | more)


def read(document: dict[str, Any]) -> Graph:
    return Graph().parse(data=json.dumps(document), format="json-ld")


def told(graph: Graph, dataset: str, *path: URIRef) -> list[str]:
    nodes: Any = [URIRef(f"{BASE}/v1/datasets/{dataset}#dataset")]
    for step in path:
        nodes = [found for node in nodes for found in graph.objects(node, step)]
    return sorted(map(str, nodes))


def findings(graph: Graph) -> list[tuple[str, str]]:
    """What the official shapes object to, of any severity: path and severity."""
    _, results, _ = validate(graph, shacl_graph=Graph().parse(SHAPES), inference="none")
    found = results.subjects(RDF.type, SH.ValidationResult)
    return sorted((str(results.value(one, SH.resultPath)), str(results.value(one, SH.resultSeverity))) for one in found)


@needs_shapes
def test_the_official_shapes_find_nothing_in_any_kind_of_dataset_and_no_warning_either():
    assert findings(read(said(KINDS))) == []
    assert findings(read(said([], place=None))) == []


@needs_shapes
@pytest.mark.parametrize(
    ("subject", "path", "instead"),
    [
        ("open#dataset", DCTERMS.title, None),
        ("open#dataset", DCAT.theme, Literal("transport")),
        ("open#csv", DCTERMS.modified, Literal("yesterday")),
        ("open#csv", DCAT.accessURL, None),
        ("open#csv", DCTERMS.license, Literal("CC BY 4.0")),
    ],
)
def test_the_same_shapes_find_what_is_broken(subject, path, instead):
    graph = read(said(KINDS[:1]))
    node = URIRef(f"{BASE}/v1/datasets/{subject}")
    graph.remove((node, path, None))
    if instead is not None:
        graph.add((node, path, instead))

    assert (str(path), str(SH.Violation)) in findings(graph)


def test_every_node_that_is_spoken_of_is_in_the_document_with_a_class_and_concepts_with_a_label():
    graph = read(said(KINDS))
    outside = (DCAT.accessURL, DCAT.endpointURL, DCAT.endpointDescription, RDF.type, SKOS.inScheme)
    links = ((path, to) for _, path, to in graph if path not in outside and not isinstance(to, Literal))

    assert {str(path) for path, to in links if (to, RDF.type, None) not in graph} <= {
        "http://www.w3.org/2006/vcard/ns#hasURL"
    }
    concepts = set(graph.subjects(RDF.type, SKOS.Concept))
    assert concepts
    assert all(graph.value(one, SKOS.prefLabel) is not None for one in concepts)


def test_the_document_reads_the_same_without_its_compact_names_being_fetched():
    context = said([])["@context"]

    assert all(not isinstance(one, str) or one.startswith(("http", "@")) or ":" in one for one in context.values())
    assert isomorphic(read(said(KINDS)), read(json.loads(json.dumps(said(KINDS)))))


def test_every_moment_is_a_typed_time_in_utc():
    graph = read(said(KINDS))
    moments = [to for path in (DCTERMS.issued, DCTERMS.modified, DCAT.endDate) for to in graph.objects(None, path)]

    assert {moment.datatype for moment in moments} == {XSD.dateTime}
    assert {moment.toPython().utcoffset() for moment in moments} == {timedelta(0)}


def test_access_follows_the_opening_days_by_the_citys_calendar():
    rights = (DCTERMS.accessRights,)
    graph = read(said(KINDS))
    assert told(graph, "open", *rights) == [EU + "access-right/PUBLIC"]
    assert told(graph, "staff", *rights) == [EU + "access-right/RESTRICTED"]
    assert told(graph, "own", *rights) == [EU + "access-right/NON_PUBLIC"]

    # The first of July begins in Chuncheon at 15 h of 30 June in UTC.
    eve = entry(of=facts(citizens_from=date(2024, 7, 1)))
    before = read(said([eve], at=datetime(2024, 6, 30, 14, 59, tzinfo=UTC)))
    after = read(said([eve], at=datetime(2024, 6, 30, 15, 0, tzinfo=UTC)))
    assert told(before, "bus-stops", *rights) == [EU + "access-right/NON_PUBLIC"]
    assert told(after, "bus-stops", *rights) == [EU + "access-right/PUBLIC"]


def test_distributions_are_what_can_be_had():
    graph = read(said(KINDS))
    urls = {one.id: told(graph, one.id, DCAT.distribution, DCAT.accessURL) for one in KINDS}

    rows = f"{BASE}/v1/datasets/open/rows?format="
    most = {"arrow": 100_000, "csv": 100_000, "geojson": 20_000, "json": 100_000, "parquet": 100_000}
    assert urls["open"] == [f"{rows}{form}&limit={rows_at_most}" for form, rows_at_most in most.items()]
    assert [url.split("format=")[1].split("&")[0] for url in urls["staff"]] == ["arrow", "csv", "json", "parquet"]
    assert (urls["declared"], urls["never"]) == ([], [])


def test_a_licence_is_named_only_where_there_is_one_and_else_it_is_said_that_there_is_none():
    graph = read(said(KINDS))

    assert set(told(graph, "open", DCAT.distribution, DCTERMS.license)) == {PLACED.licence_url}
    assert told(graph, "staff", DCAT.distribution, DCTERMS.license) == []
    assert "이용허락 표시 없음 (이용허락 문서 없음)" in told(
        graph, "staff", DCAT.distribution, DCTERMS.rights, RDFS.label
    )


def test_a_retired_dataset_says_so_and_names_only_a_successor_that_may_be_seen():
    graph = read(said(KINDS))
    status = URIRef("http://www.w3.org/ns/adms#status")

    assert told(graph, "old", status) == [EU + "dataset-status/DEPRECATED"]
    assert set(told(graph, "old", DCAT.distribution, status)) == {EU + "distribution-status/DEPRECATED"}
    assert told(graph, "old", DCTERMS.isReplacedBy) == [f"{BASE}/v1/datasets/open#dataset"]
    assert told(graph, "never", DCTERMS.isReplacedBy) == []
    assert told(read(said([entry(status="retired")])), "bus-stops", status) == [EU + "dataset-status/WITHDRAWN"]


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (None, "IRREG"),
        (5, "UPDATE_CONT"),
        (60, "1MIN"),
        (600, "10MIN"),
        (3_600, "HOURLY"),
        (6 * 3_600, "OTHER"),
        (86_400, "DAILY"),
        (28 * 86_400, "MONTHLY"),
        (31 * 86_400, "MONTHLY"),
        (91 * 86_400, "QUARTERLY"),
        (366 * 86_400, "ANNUAL"),
    ],
)
def test_the_interval_is_told_as_the_frequency_that_fits(seconds, code):
    graph = read(said([entry(of=facts(interval_s=seconds))]))

    assert told(graph, "bus-stops", DCTERMS.accrualPeriodicity) == [f"{EU}frequency/{code}"]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_field_lies_in_a_theme_of_the_eu(subject):
    themes = told(read(said([entry(of=facts(subject=subject))])), "bus-stops", DCAT.theme)

    assert themes[0].startswith(EU + "data-theme/") != themes[1].startswith(EU + "data-theme/")


def test_the_citys_box_is_a_closed_ring_of_longitudes_and_latitudes():
    (box,) = read(said([])).objects(None, DCAT.bbox)

    assert str(box) == "POLYGON((127.507 37.676, 128.029 37.676, 128.029 38.085, 127.507 38.085, 127.507 37.676))"


words = st.text(min_size=1, max_size=40)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(words, words, words, words, words, st.lists(words, max_size=3, unique=True))
def test_whatever_is_written_comes_back_as_it_was(ko, en, description, source, reason, keywords):
    one = entry(
        status="retired",
        of=facts(ko, en, description_ko=description, source=source, keywords=tuple(keywords), licence=ko),
        retired_reason=reason,
    )
    graph = read(said([one]))

    node = URIRef(f"{BASE}/v1/datasets/bus-stops#dataset")
    titles = {(str(title), title.language) for title in graph.objects(node, DCTERMS.title)}
    assert titles == {(ko, "ko"), (en, "en")}
    assert {str(text) for text in graph.objects(node, DCTERMS.description) if text.language == "ko"} == {description}
    assert {str(text) for text in graph.objects(node, DCAT.keyword)} == set(keywords)
    assert told(graph, "bus-stops", DCTERMS.provenance, URIRef("http://www.w3.org/2000/01/rdf-schema#label")) == [
        source
    ]


@settings(max_examples=10)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=12))
def test_any_address_of_a_licence_is_one_that_rdf_can_write(tails):
    addresses = [f"https://licence.example/{tail}" for tail in tails]
    entries = [entry(f"d-{at}", of=facts(licence_url=one)) for at, one in enumerate(addresses)]
    graph = read(said(entries))

    assert len(Graph().parse(data=graph.serialize(format="nt"), format="nt")) == len(graph)
