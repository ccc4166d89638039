"""Datasets are found by words as people write and type them, in Korean and English."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.dataset import Column
from schemas.errors import InvalidError
from serve.catalogue.find import Finder
from serve.catalogue.find_words import letters, pieces, words
from tests.unit.catalogue.entries import NAME, entry, facts

COUNT = Column(id="boardings", ko="승차 인원", en="Boardings", kind="integer", unit="명")


def dataset(id: str, ko: str, en: str, **more: Any) -> Any:  # noqa: A002
    return entry(id, of=facts(ko, en, **more))


CITY = [
    dataset("bus-stops", "버스정류장", "Bus stops", keywords=("정류소",)),
    dataset("boardings", "노선별 이용객", "Riders of each route", columns=(NAME, COUNT)),
    dataset("roads", "도로 목록", "Roads"),
    dataset("works", "도로굴착공사 현황", "Excavation works", description_ko="무엇을 언제까지 파는가"),
    dataset("snow", "제설 작업 구간", "Cleared segments", subject="safety", owner_ko="도로과"),
    dataset("leaks", "상수도 누수 탐지", "Leaks of water mains", subject="environment"),
    dataset("rivers", "하천의 수위", "River levels", subject="environment"),
    dataset("markets", "전통시장", "Traditional markets", description_ko="버스가 서는 시장의 점포를 용도로 나눈 것"),
    dataset("air", "대기오염 측정", "Air quality", keywords=("미세먼지",), subject="environment"),
    dataset("toilets", "공중화장실", "Public toilets", subject="living"),
    dataset("care", "독거노인 돌봄", "Care for the elderly", subject="welfare", owner_ko="경로복지과"),
    dataset("budget", "세부사업별 예산", "Budget by programme", subject="finance"),
]


@pytest.fixture(scope="module")
def city() -> Finder:
    return Finder(CITY)


def ids(finder: Finder, query: str, **more: Any) -> list[str]:
    return [hit.id for hit in finder.find(query, **more)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("버스 정류장", "bus-stops"),
        ("정류장버스", "bus-stops"),
        ("정류장의", "bus-stops"),
        ("버스를", "bus-stops"),
        ("버스정류장에서", "bus-stops"),
        ("정류소", "bus-stops"),
        ("stop", "bus-stops"),
        ("STOPS of a bus", "bus-stops"),
        ("제설", "snow"),
        ("제설작업은 어디", "snow"),
        ("도로", "roads"),
        ("도로공사", "works"),
        ("굴착하는 도로", "works"),
        ("누수", "leaks"),
        ("상수도누수", "leaks"),
        ("수도", "leaks"),
        ("하천수위", "rivers"),
        ("시장의 점포", "markets"),
        ("미세먼지는", "air"),
        ("대기 오염도", "air"),
        ("화장실이", "toilets"),
        ("노인을", "care"),
        ("예산 세부", "budget"),
        ("승차인원", "boardings"),
        ("boarding", "boardings"),
        ("명", "boardings"),
        ("복지과", "care"),
        ("재정", "budget"),
        ("finances", "budget"),
        ("leaking water", "leaks"),
    ],
)
def test_the_dataset_that_is_meant_comes_first(city, query, first):
    assert ids(city, query)[:1] == [first]


def test_words_that_only_chance_put_together_are_not_found(city):
    # `용도로` (by its use) ends in the two letters of `도로` (road).
    assert "도로" in next(one.facts.description_ko for one in CITY if one.id == "markets")
    assert ids(city, "도로") == ["roads", "works", "snow"]
    assert ids(city, "비행기") == []


def test_a_title_stands_above_a_keyword_that_above_a_column_and_a_description_last():
    odd = Column(id="x", ko="가로등", en="X")
    finder = Finder(
        [
            dataset("a-described", "가", "A", description_ko="가로등이 있다. 가로등은 밝다. 가로등을 센다."),
            dataset("b-owned", "나", "B", owner_ko="가로등팀"),
            dataset("c-column", "다", "C", columns=(odd,)),
            dataset("d-keyword", "라", "D", keywords=("가로등",)),
            dataset("e-title", "시내 모든 길에 서 있는 가로등 전체 목록", "E"),
            dataset("f-none", "바", "F"),
        ]
    )

    assert ids(finder, "가로등") == ["e-title", "d-keyword", "c-column", "b-owned", "a-described"]


def test_it_is_told_which_words_matched_in_which_fields(city):
    (hit, *_) = city.find("정류장의 버스 stop")

    assert hit.matched["title_ko"] == ["버스", "정류장"]
    assert hit.matched["title_en"] == ["stops"]
    assert "columns" not in hit.matched
    (market,) = (hit for hit in city.find("버스") if hit.id == "markets")
    assert market.matched == {"description_ko": ["버스"]}


@pytest.mark.parametrize("typed", ["ㅈ", "저", "정", "정ㄹ", "정류", "정륮", "정류자", "정류장", "버스정륮"])
def test_each_key_on_the_way_to_a_word_finds_it(city, typed):
    assert "bus-stops" in ids(city, typed, typing=True)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("bus", "bus-stops"),
        ("bus st", "bus-stops"),
        ("stopp", None),
        ("제서", "snow"),
        ("도로 굴ㅊ", "works"),
        ("누수 ", "leaks"),
    ],
)
def test_a_word_may_be_unfinished_while_it_is_typed(city, typed, first):
    assert ids(city, typed, typing=True)[:1] == ([first] if first else [])


def test_a_word_that_is_finished_is_no_beginning_of_others(city):
    apples = Finder([dataset("apples", "사과 값", "Prices of apples")])

    assert (ids(apples, "사고"), ids(apples, "사고", typing=True)) == ([], ["apples"])
    assert (ids(city, "sto"), ids(city, "sto", typing=True)) == ([], ["bus-stops"])


@pytest.mark.parametrize("query", ["", "  ", "!?·", "\x00\n", "\u200b", "a" * 201])
def test_a_query_without_words_or_too_long_is_answered_with_what_to_do(city, query):
    with pytest.raises(InvalidError, match="query"):
        city.find(query)


def test_nothing_is_found_in_nothing_and_the_limit_holds(city):
    assert Finder([]).find("버스") == []
    assert len(city.find("data", 3)) == 3


def test_only_what_was_given_is_found(city):
    seen = Finder(one for one in CITY if one.id != "bus-stops")

    assert "bus-stops" not in ids(seen, "정류장 stop") + ids(seen, "정", typing=True)


def test_reads_from_many_threads_give_what_one_gives(city):
    queries = ["버스 정류장", "도로", "누수", "stops", "정륮"] * 20
    alone = [city.find(query, typing=True) for query in queries]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: city.find(query, typing=True), queries)) == alone


def test_syllables_are_spelled_by_the_keys_that_write_them():
    assert [letters(one) for one in ("값", "과", "쥐", "bus")] == ["ㄱㅏㅂㅅ", "ㄱㅗㅏ", "ㅈㅜㅣ", "bus"]


def test_particles_fall_away_and_compounds_apart():
    assert {word.term for word in words("버스정류장의 위치를 stops에서")} >= {"버스", "정류장", "위치", "stop"}
    assert not {"의", "를", "에서"} & {word.term for word in words("버스정류장의 위치를 stops에서")}
    assert {word.term for word in words("인구수")} == {"인구수", "인구"}


korean = st.text("가나다라마바사아자차카타파하정류장버스도로의를은는에서과와 ", min_size=1, max_size=25)
titles = st.one_of(korean, st.text(min_size=1, max_size=40), st.sampled_from([one.facts.title_ko for one in CITY]))


@settings(max_examples=80)
@given(st.lists(titles, min_size=1, max_size=6), st.data())
def test_any_title_finds_its_dataset(names, data):
    entries = [dataset(f"d-{at}", ko, "X") for at, ko in enumerate(names)]
    at = data.draw(st.integers(0, len(names) - 1))
    assume(pieces(names[at]))
    finder = Finder(entries)

    assert f"d-{at}" in ids(finder, names[at])
    assert f"d-{at}" in ids(finder, names[at], typing=True)


@settings(max_examples=80)
@given(st.text(st.characters(), max_size=60), st.booleans())
def test_any_query_is_answered_with_datasets_or_with_what_is_wrong_with_it(query, typing):
    finder = Finder(CITY[:3])
    try:
        found = finder.find(query, typing=typing)
    except InvalidError:
        assert not pieces(query)
    else:
        assert all(hit.score > 0 and hit.matched for hit in found)
