import json

import pytest

from actors.catalogue.reading.answers import Page, envelope
from actors.catalogue.reading.read import read, read_records
from actors.catalogue.reading.refusals import RefusedError
from schemas.dataset import Layout
from schemas.errors import InvalidError
from tests.unit.catalogue.reading.declared import CITY, dataset, found

JSON, XML = Layout(format="json"), Layout(format="xml")
ITEM = {"stnId": 101, "ta": "12.5"}


def answer(items, **body):
    header = {"resultCode": "00", "resultMsg": "NORMAL SERVICE."}
    body = {"items": items, "totalCount": 12, "pageNo": 2, "numOfRows": 5} | body
    return json.dumps({"response": {"header": header, "body": body}}).encode()


def xml(items):
    return (
        '<?xml version="1.0" encoding="UTF-8"?><response><header><resultCode>00</resultCode><resultMsg>OK</resultMsg>'
        f"</header><body>{items}<numOfRows>5</numOfRows><pageNo>2</pageNo><totalCount>12</totalCount></body></response>"
    ).encode()


@pytest.mark.parametrize(
    ("items", "records"),
    [
        ({"item": [ITEM, ITEM]}, [ITEM, ITEM]),
        ({"item": ITEM}, [ITEM]),
        ([ITEM], [ITEM]),
        ("", []),
        (None, []),
        ({"item": ""}, []),
    ],
)
def test_items_of_the_national_portal_are_found_however_many(items, records):
    assert envelope(answer(items), JSON) == Page(records, 12, 2, 5)


@pytest.mark.parametrize(
    ("items", "records"),
    [
        ("<items><item><a>1</a></item><item><a>2</a><b/></item></items>", [{"a": "1"}, {"a": "2", "b": ""}]),
        ("<items><item><a>1</a></item></items>", [{"a": "1"}]),
        ("<items/>", []),
    ],
)
def test_items_in_xml_are_the_same(items, records):
    assert envelope(xml(items), XML) == Page(records, 12, 2, 5)


def test_totals_written_as_texts_are_numbers():
    assert envelope(answer([ITEM], totalCount="300", pageNo="1"), JSON) == Page([ITEM], 300, 1, 5)


def test_the_shape_of_odcloud_counts_what_matches():
    data = {"page": 1, "perPage": 10, "totalCount": 500, "currentCount": 1, "matchCount": 40, "data": [ITEM]}

    assert envelope(json.dumps(data).encode(), JSON) == Page([ITEM], 40, 1, 10)


def test_the_shape_of_seoul_is_found_below_the_name_of_its_service():
    data = {"bikeList": {"list_total_count": 7, "RESULT": {"CODE": "INFO-000", "MESSAGE": "OK"}, "row": [ITEM]}}

    assert envelope(json.dumps(data).encode(), JSON) == Page([ITEM], 7)


def test_other_json_is_found_by_its_path():
    data = json.dumps({"meta": {"total": 9}, "result": {"total": 3, "stations": [ITEM]}}).encode()

    assert envelope(data, Layout(format="json", path="result.stations")) == Page([ITEM], 3)
    assert envelope(json.dumps([ITEM]).encode(), JSON).records == [ITEM]
    with pytest.raises(InvalidError, match=r"no 'lists' of the path 'result\.lists'; it has 'total', 'stations'"):
        envelope(data, Layout(format="json", path="result.lists"))
    with pytest.raises(InvalidError, match="name their path; it has 'meta', 'result'"):
        envelope(data, JSON)


def test_the_path_of_xml_may_leave_out_its_root():
    data = b"<root><list><one><a>1</a></one><one><a>2</a></one></list></root>"

    for path in ("root.list.one", "list.one", "list"):
        assert envelope(data, Layout(format="xml", path=path)).records == [{"a": "1"}, {"a": "2"}]


GATEWAY = (
    b"<OpenAPI_ServiceResponse><cmmMsgHeader><errMsg>SERVICE ERROR</errMsg>"
    b"<returnAuthMsg>SERVICE_KEY_IS_NOT_REGISTERED_ERROR</returnAuthMsg><returnReasonCode>30</returnReasonCode>"
    b"</cmmMsgHeader></OpenAPI_ServiceResponse>"
)


@pytest.mark.parametrize(
    ("data", "code", "temporary", "says"),
    [
        (GATEWAY, "30", False, "SERVICE_KEY_IS_NOT_REGISTERED_ERROR.*check it"),
        (b'{"response":{"header":{"resultCode":"22","resultMsg":"LIMITED"}}}', "22", True, "used up"),
        (b'{"response":{"header":{"resultCode":"99","resultMsg":"?"},"body":{"items":[]}}}', "99", True, "description"),
        ('{"code":-401,"msg":"유효하지 않은 인증키 입니다."}'.encode(), "-401", False, "the key is not valid"),
        (b'{"RESULT":{"CODE":"ERROR-300","MESSAGE":"missing"}}', "ERROR-300", False, "missing"),
    ],
)
@pytest.mark.parametrize("reading", [JSON, XML])
def test_a_refusal_is_an_error_that_says_why_whatever_was_asked_for(data, code, temporary, says, reading):
    with pytest.raises(RefusedError, match=f"(?s)the provider refused: {code} .*{says}") as refused:
        envelope(data, reading)

    assert (refused.value.code, refused.value.temporary) == (code, temporary)


@pytest.mark.parametrize(
    "data",
    [
        b'{"response":{"header":{"resultCode":"03","resultMsg":"NODATA_ERROR"}}}',
        b'{"RESULT":{"CODE":"INFO-200","MESSAGE":""}}',
    ],
)
def test_no_data_is_an_empty_page(data):
    assert envelope(data, JSON) == Page([], 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "cannot|not XML"),
        (b"<x><y></x>", "not XML"),
        (b"<a>" * 500 + b"</a>" * 500, "more than 100 deep"),
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_answer_is_refused(data, reason):
    with pytest.raises(InvalidError, match=reason):
        envelope(data, JSON)


def test_xml_in_cp949_is_read():
    text = (
        '<?xml version="1.0" encoding="EUC-KR"?><list><row><이름>춘천</이름></row><row><이름>소양</이름></row></list>'
    )

    assert envelope(text.encode("cp949"), XML).records == [{"이름": "춘천"}, {"이름": "소양"}]


def test_records_become_rows_with_nested_fields_by_dotted_names():
    records = [
        {"a": 1, "place": {"lon": 127.7}, "tags": ["x", "y"]},
        {"a": "2", "place": None, "b": True},
        "odd",
        {"a": 2.5, "place": {"lon": "127.8"}},
        {},
    ]
    declared = dataset(("a", "number"), ("b", "boolean"), ("lon", "number", "place.lon"), "tags")

    loaded = read_records(records, declared, CITY)

    assert loaded.rows.drop("_row").rows() == [
        (1.0, None, 127.7, '["x","y"]'),
        (2.0, True, None, None),
        (2.5, None, 127.8, None),
    ]
    assert loaded.rows["_row"].to_list() == [1, 2, 4]
    assert found(loaded) == [(3, None, "unreadable", "dropped", '"odd"'), (5, None, "missing", "dropped", "")]


def test_records_with_values_as_names_are_refused():
    with pytest.raises(InvalidError, match="columns, at most 1,000 are read"):
        read_records([{f"f{number}": 1} for number in range(2_000)], dataset("a"), CITY)


def test_an_answer_is_read_as_a_file_is():
    declared = dataset(("station", "integer", "stnId"), ("degrees", "number", "ta"), key=("station",))

    loaded = read(answer([ITEM, ITEM | {"ta": "-"}]), JSON, declared, CITY)

    assert loaded.rows.select("station", "degrees").rows() == [(101, None)]
    assert [one[2:4] for one in found(loaded)] == [("conflicting", "dropped"), ("unreadable", "emptied")]
    assert read(answer(""), JSON, declared, CITY).received == 0
