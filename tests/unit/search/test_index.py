"""What an index promises, sentence by sentence."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.search import plan as plan_module
from serve.search.index import Index
from serve.search.plan import Filters, Permitted, choose
from serve.search.quantise import BadQueryError, Model, encode, encode_queries, exact_scores, projection, unit
from serve.search.segment_digest import digest
from serve.search.segment_rows import sightings
from serve.search.soft import ASSUMED, Description
from serve.search.store import DamagedStoreError
from tests.unit.search.crowd import MODEL, Seen, added, brute_force, crowd, half, table, told

EVERYTHING = Filters()


def filled(seen: list[Seen], folder: Path | None = None) -> Index:
    index = Index.open(MODEL, folder) if folder else Index(MODEL)
    index.append(table(seen))
    return index


def refused(**columns: object) -> list[tuple[int, str]]:
    """Why rows are refused when columns of a good table of four rows are replaced."""
    good = table(crowd(4))
    for name, values in columns.items():
        kind = good.schema.field(name).type if name in good.column_names else pa.string()
        column = values if isinstance(values, pa.Array) else pa.array(values, kind)
        at = good.column_names.index(name) if name in good.column_names else good.num_columns
        good = good.remove_column(at) if name in good.column_names else good
        good = good.add_column(at, name, column)
    index = Index(MODEL)
    got = index.append(good)
    assert got.added == len(index) == 4 - len(got.refused)
    return [(one.row, one.reason) for one in got.refused]


def vectors(*rows: list[float] | None) -> pa.Array:
    return pa.array(rows, pa.list_(pa.float32()))


ONES = [1.0] * 16


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([np.nan, *ONES[1:]], "a component is not finite"),
        ([np.inf, *ONES[1:]], "a component is not finite"),
        ([0.0] * 16, "the vector is zero"),
        ([1.0] * 15, "15 dimensions, test has 16"),
        ([], "0 dimensions, test has 16"),
        (None, "0 dimensions, test has 16"),
    ],
)
def test_a_bad_vector_is_refused_with_its_reason_and_the_others_count(bad: list[float] | None, reason: str) -> None:
    assert refused(embedding=vectors(ONES, bad, ONES, ONES)) == [(1, reason)]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("sighting_id", None, "no sighting_id"),
        ("camera", None, "no camera"),
        ("time", None, "no time"),
        ("quality", None, "quality is not between 0 and 1"),
        ("quality", float("nan"), "quality is not between 0 and 1"),
        ("quality", 1.5, "quality is not between 0 and 1"),
        ("camera", "x" * 1000, "a text longer than 200 characters"),
        ("attributes", {"upper": "x" * 1000}, "a text longer than 200 characters"),
        ("model", "another", "not a vector of test"),
    ],
)
def test_a_row_that_says_nonsense_is_refused_alone(column: str, value: object, reason: str) -> None:
    good = table(crowd(4))
    values = good[column].to_pylist() if column != "model" else ["test"] * 4
    assert refused(**{column: [*values[:2], value, values[3]]}) == [(2, reason)]


def test_a_sender_that_invents_values_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.search.segment_rows.MOST_VALUES", 3)
    values = [{"upper": text} for text in ("a", "b", "c", "d")]
    assert [reason for _, reason in refused(attributes=values)] == ["more than 3 values of upper"] * 4


@pytest.mark.parametrize("kind", [pa.list_(pa.float16(), 16), pa.list_(pa.float32(), 16), pa.list_(pa.float32())])
def test_half_single_and_unsized_embeddings_are_the_same_sightings(kind: pa.DataType) -> None:
    seen = crowd(20)
    given_table = table(seen)
    column = given_table["embedding"].cast(pa.list_(pa.float32())).cast(kind)
    index = Index(MODEL)
    index.append(given_table.set_column(3, "embedding", column))
    assert told(index.search(np.ones(16), 20).found[0]) == brute_force(seen, np.ones(16), 20, EVERYTHING)


def test_attributes_may_come_as_a_map_and_texts_as_dictionaries() -> None:
    seen = crowd(20)
    good = table(seen)
    as_map = pa.array([list(one.attributes.items()) for one in seen], pa.map_(pa.string(), pa.string()))
    index = Index(MODEL)
    index.append(good.set_column(5, "attributes", as_map).set_column(1, "camera", good["camera"].dictionary_encode()))
    assert all(dict(index.find(one.id).sighting.attributes) == one.attributes for one in seen)  # type: ignore[union-attr]


def test_an_empty_batch_and_an_empty_index_are_nothing_special() -> None:
    index = Index(MODEL)
    assert index.append(sightings(MODEL).empty_table()).added == 0
    assert index.search(np.ones((2, 16))).found == ((), ())
    assert index.search(np.ones(16)).coverage.rows == 0


@pytest.mark.parametrize("query", [np.zeros(16), np.full(16, np.nan), np.ones(15)])
def test_a_query_that_cannot_be_compared_is_refused(query: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadQueryError):
        filled(crowd(3)).search(query)


def test_equal_scores_stand_by_sighting_id() -> None:
    vector = crowd(1)[0].vector
    seen = [Seen(f"s{number:03}", "a", number, vector) for number in reversed(range(200))]
    found = filled(seen).search(vector, 5, exact=True).found[0]
    assert [one.sighting_id for one in found] == ["s000", "s001", "s002", "s003", "s004"]
    assert len({one.score for one in found}) == 1


def test_scores_do_not_depend_on_batches_order_or_sealing(tmp_path: Path) -> None:
    seen = crowd(300)
    one, other = filled(seen), Index.open(MODEL, tmp_path)
    for at in range(300, 0, -30):
        other.append(table(seen[at - 30 : at]))
    other.seal()
    for query in np.random.default_rng(3).standard_normal((5, 16)):
        assert one.search(query, 30, exact=True).found == other.search(query, 30, exact=True).found


def test_a_filter_on_an_attribute_excludes_the_unknown_and_evidence_does_not() -> None:
    seen = crowd(60)
    index = filled(seen)
    hard = index.search(np.ones(16), 60, Filters(attributes={"upper": frozenset({"x"})}))
    assert {one.sighting_id for one in hard.found[0]} == {one.id for one in seen if one.attributes.get("upper") == "x"}
    assert len(index.search(np.ones(16), 60, soft=Description(upper="x")).found[0]) == 60


def test_a_filter_on_an_attribute_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="colour"):
        Filters(attributes={"colour": frozenset({"red"})})


def test_bounds_of_single_cameras_hide_their_rows_alone() -> None:
    seen = crowd(60)
    found = filled(seen).search(np.ones(16), 60, Filters(floors={"a": 50, "nowhere": 90})).found[0]
    assert {one.sighting_id for one in found} == {one.id for one in seen if one.camera != "a" or one.time >= 50}


@pytest.mark.parametrize("rows", [0, 1500])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), per_nat=st.sampled_from([0.01, 0.1, 1.0]), k=st.integers(1, 15))
def test_nobody_within_reach_of_the_evidence_is_lost(rows: int, seed: int, per_nat: float, k: int) -> None:
    # 1,500 rows are scanned by int8 codes and candidates have to be widened; below GATHER_ROWS all are candidates.
    seen = SEEN[: rows or 300]
    index = INDEXES[rows or 300]
    query = np.random.default_rng(seed).standard_normal(16)
    soft = Description(upper="x", lower="y", bag="x", hat="nothing has it", per_nat=per_nat)
    assert told(index.search(query, k, soft=soft).found[0]) == brute_force(seen, query, k, EVERYTHING, soft)


SEEN = crowd(1500, kinds=700)
INDEXES = {rows: filled(SEEN[:rows]) for rows in (300, 1500)}


def test_evidence_can_lift_a_sighting_over_hundreds_that_look_more_alike() -> None:
    near = [Seen(f"near{n}", "a", n, (1.0, 0.01 * (n % 7), *[0.0] * 14), 1.0, {"upper": "x"}) for n in range(3000)]
    far = Seen("far", "a", 1, (1.0, 0.3, *[0.0] * 14), 1.0, {"upper": "red"})
    found = filled([*near, far]).search([1.0, *[0.0] * 15], 1, soft=Description(upper="red")).found[0]
    assert found[0].sighting_id == "far"
    assert found[0].score == pytest.approx(found[0].similarity + added(far, Description(upper="red")))


def test_what_agrees_adds_and_what_differs_takes() -> None:
    assert all(one.agrees > 0 > one.differs for one in ASSUMED.values())


@given(seed=st.integers(0, 1000), dimension=st.sampled_from([8, 16, 100, 256]))
@settings(max_examples=30)
def test_no_estimate_is_further_off_than_the_bounds_say(seed: int, dimension: int) -> None:
    model, chance = Model("bounds", dimension), np.random.default_rng(seed)
    raw = chance.standard_normal((20, dimension)) * (chance.random(dimension) < 0.5)
    raw[:, 0] += 1e-3
    raw[0] = np.eye(dimension)[0]  # as one-sided as can be: the rotation is there for it
    kept, queries = encode(unit(raw)[0], model), encode_queries(raw, model)
    exact = np.stack([exact_scores(query, kept.half) for query in queries.exact])
    codes = kept.codes.astype(np.float64) - 128
    bound = kept.error + queries.coded.error
    assert np.abs(queries.coded.whole @ codes.T * queries.coded.units[:, None] - exact).max() <= bound
    assert np.abs(queries.coded.rotated @ codes.T - exact).max() <= bound
    assert bound < 0.1


def test_exact_scores_do_not_depend_on_the_order_of_summation() -> None:
    chance = np.random.default_rng(0)
    rows = np.stack([half(row) for row in chance.standard_normal((50, 512))]).astype(np.float16)
    query, order = half(chance.standard_normal(512)), chance.permutation(512)
    assert np.array_equal(exact_scores(query, rows), exact_scores(query[order], rows[:, order]))
    assert np.array_equal(exact_scores(query, rows)[:1], exact_scores(query, rows[:1]))


def test_the_projection_turns_and_does_not_stretch() -> None:
    for model in (Model("m", 16), Model("m", 600)):
        basis = projection(model)[:, : model.dimension].astype(np.float64)
        assert np.abs(basis.T @ basis - np.eye(model.dimension)).max() < 1e-5


@pytest.mark.parametrize(
    ("count", "exact", "trusted", "kind"),
    [
        (0, False, True, "skip"),
        (1024, False, True, "gather"),
        (65_536, False, True, "bits"),
        (65_535, False, True, "int8+mask"),
        (65_536, True, True, "int8"),
        (30_000, True, True, "int8+mask"),
        (65_536, False, False, "int8"),
    ],
)
def test_a_plan_follows_from_what_is_permitted(count: int, exact: bool, trusted: bool, kind: str) -> None:
    mask = np.arange(65_536) < count if count < 65_536 else None
    plan = choose(65_536, Permitted(count, mask, None, True), exact, trusted)
    assert (plan.kind, bool(plan.why)) == (kind, True)


def test_the_answer_says_which_segments_the_window_spared() -> None:
    index = Index(MODEL)
    for day, rows in enumerate((50, 20, 9)):
        index.append(table([replace(one, id=f"{day}{one.id}", time=one.time + 1000 * day) for one in crowd(rows)]))
        index.seal()
    coverage = index.search(np.ones(16), filters=Filters(start=1000, end=2000)).coverage
    assert (coverage.rows, coverage.permitted, coverage.scanned, coverage.outside_window) == (79, 20, 20, 59)
    assert coverage.plans == {"skip": 2, "gather": 1}


def test_searches_go_on_while_rows_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.search.index.SEALED_ROWS", 64)
    monkeypatch.setattr(plan_module, "GATHER_ROWS", 8)
    stays, index, done = crowd(50, prefix="stay"), Index(MODEL), threading.Event()
    index.append(table(stays))
    failures: list[object] = []

    def look() -> None:
        while not done.is_set():
            found = index.search(stays[0].vector, 500, exact=True).found[0]
            ids = [one.sighting_id for one in found]
            if len(ids) != len(set(ids)) or not {one.id for one in stays} <= set(ids):
                failures.append(ids)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(30):
        come = crowd(20, prefix=f"go{number}-", seed=number)
        index.append(table(come))
        index.erase(ids={one.id for one in come[::2]})
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(index) == 50 + 30 * 10


def test_an_erased_sighting_is_in_no_file(tmp_path: Path) -> None:
    seen = crowd(100)
    index = filled(seen, tmp_path)
    index.seal()
    secret = half(np.array(seen[7].vector, np.float16)).astype(np.float16).tobytes()

    def holds(text: bytes) -> bool:
        return any(text in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    assert holds(b"s0007")
    assert holds(secret)
    code = index.state.sealed[0].rows.vectors.codes[index.state.sealed[0].rows.ids.to_pylist().index("s0007")].tobytes()
    assert holds(code)
    receipt = index.erase(ids={"s0007"})
    (rewritten,) = receipt.segments
    assert (receipt.rows, rewritten.rows) == (1, 1)
    assert rewritten.before != rewritten.after
    assert not holds(b"s0007")
    assert not holds(code)
    # Another sighting of the same person may have the very same vector: every third has.
    same = [one for one in seen if one.id != "s0007" and one.vector == seen[7].vector]
    assert holds(secret) == bool(same)
    assert index.erase(ids={"s0007"}).rows == 0


def test_a_half_written_segment_is_swept_away_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    index = filled(crowd(50), tmp_path)
    index.seal()
    (tmp_path / "segment-half.draft").mkdir()
    (tmp_path / "segment-half.draft" / "half.npy").write_bytes(b"x")
    again = Index.open(MODEL, tmp_path)
    assert len(again) == 50
    assert len(list(tmp_path.iterdir())) == 2
    path = tmp_path / again.state.sealed[0].name / "half.npy"
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(DamagedStoreError, match="digest"):
        Index.open(MODEL, tmp_path).verify()
    path.write_bytes(kept[:-1])
    with pytest.raises(DamagedStoreError, match="bytes were written"):
        Index.open(MODEL, tmp_path)


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    filled(crowd(5), tmp_path).seal()
    with pytest.raises(DamagedStoreError, match="of test"):
        Index.open(Model("another", 16), tmp_path)


def test_what_is_too_old_is_dropped_from_the_files_too_and_a_longer_retention_takes_it_again(tmp_path: Path) -> None:
    seen = crowd(60)
    index = filled(seen, tmp_path)
    index.seal()
    old = [one for one in seen if one.camera == "a" and one.time < 60]
    assert index.drop({"a": 60, "nowhere": 99}).rows == len(old) > 0
    for one in (index, Index.open(MODEL, tmp_path)):
        assert len(one) == 60 - len(old)
        assert not any(one.find(gone.id) for gone in old)
    assert index.append(table(old)).added == len(old)


def test_a_receipt_names_each_segment_and_is_on_disk_with_the_erasure(tmp_path: Path) -> None:
    index = Index.open(MODEL, tmp_path)
    for part in (crowd(100, prefix="one"), crowd(49, prefix="two", seed=1), crowd(20, prefix="six", seed=2)):
        index.append(table(part))
        index.seal()
    digests = [digest(segment, index.texts) for segment in index.state.sealed]
    ids = {one.id for one in crowd(100, prefix="one")}
    done = index.erase(ids={*ids, "six0003"}, receipt="cam/e-1")
    whole, part = done.segments
    assert (whole.before, whole.after, whole.rows) == (digests[0], "", 100)
    assert (part.before, part.rows, part.after) == (digests[2], 1, digest(index.state.sealed[1], index.texts))
    again = Index.open(MODEL, tmp_path)
    assert again.erase(ids=ids, receipt="cam/e-1").rows == 0
    assert again.receipt("cam/e-1") == done.segments
    again.erase(ids={"two0001"}, receipt="cam/e-1")
    assert [one.rows for one in Index.open(MODEL, tmp_path).receipt("cam/e-1")] == [100, 1, 1]
    again.forget("cam/e-1")
    assert Index.open(MODEL, tmp_path).receipt("cam/e-1") == ()


def test_segments_that_are_sealed_small_are_sealed_again_with_the_next_and_stay_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.search.index.SEALED_ROWS", 400)
    seen, index = crowd(3000), Index.open(MODEL, tmp_path)
    for number, at in enumerate(range(0, 3000, 10), 1):
        index.append(table(seen[at : at + 10]))
        index.seal()
        # Two in a row may be one that is hardly more than half full; of the small ones there are log2(400 / 10).
        assert len(index.state.sealed) <= 2 * (10 * number / 400) + 6
    assert len(list(tmp_path.iterdir())) == len(index.state.sealed) + 1
    for one in (index, Index.open(MODEL, tmp_path)):
        assert told(one.search(np.ones(16), 50, exact=True).found[0]) == brute_force(seen, np.ones(16), 50, EVERYTHING)


def test_cameras_may_come_while_filters_are_looked_up() -> None:
    class Growing(list[str]):
        def __len__(self) -> int:
            self.append("another")
            return super().__len__()

    index = filled(crowd(60))
    index.texts.camera.texts = Growing(index.texts.camera.texts)
    found = index.search(np.ones(16), 60, Filters(floors={"a": 50}, cameras=frozenset({"a", "b"}))).found[0]
    assert {one.camera for one in found} <= {"a", "b"}


@pytest.mark.parametrize("name", ["codes.faiss", "bits.faiss", "half.npy", "columns.arrow"])
def test_a_byte_that_turned_over_in_any_file_is_found_by_verify(tmp_path: Path, name: str) -> None:
    filled(crowd(200), tmp_path).seal()
    Index.open(MODEL, tmp_path).verify()
    (path,) = tmp_path.rglob(name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedStoreError, match=name):
        Index.open(MODEL, tmp_path).verify()


@pytest.mark.parametrize("name", ["codes.faiss", "bits.faiss", "half.npy", "columns.arrow", "manifest.json"])
@pytest.mark.parametrize("place", [0, -64])
def test_a_file_that_no_library_understands_is_told_to_be_damaged(tmp_path: Path, name: str, place: int) -> None:
    filled(crowd(200), tmp_path).seal()
    (path,) = tmp_path.rglob(name)
    data = bytearray(path.read_bytes())
    start = place % len(data)
    data[start : start + 64] = bytes(64)
    path.write_bytes(data)
    with pytest.raises(DamagedStoreError):
        Index.open(MODEL, tmp_path).verify()
