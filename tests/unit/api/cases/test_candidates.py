"""Candidates over HTTP: their pictures, what officers say of them, and the route."""

from tests.unit.api.cases.conftest import JPEG, KIM, POLICE, found, ledger, seen
from tests.unit.api.conftest import OPERATOR
from tests.unit.jpegs import jpeg, segment


async def test_a_second_officers_word_on_a_candidate_is_in_the_ledger_too(streets, case):
    await found(streets, case)
    for headers, reason in ((KIM, "가방 · the bag"), (POLICE, "걸음 · the gait"), (POLICE, "걸음 · the gait")):
        answer = await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": reason}, headers=headers)
        assert answer.status_code == 200
    entries = await ledger(streets, case)
    assert [by for name, by, _ in entries if name == "candidate-confirmed"] == ["kim", "inspector-lee"]


async def test_a_picture_is_shown_once_it_is_in_the_ledger_and_one_that_is_not_there_is_410(streets, case):
    await found(streets, case)
    answer = await streets.get(f"{case}/pictures/cam-1.s-1", headers=KIM)
    assert (answer.content, answer.headers["content-type"]) == (JPEG, "image/jpeg")
    assert answer.headers["cache-control"] == "no-store"
    assert (await streets.get(f"{case}/pictures/cam-2.s-4", headers=KIM)).status_code == 410
    assert (await streets.get(f"{case}/pictures/cam-1.s-5", headers=KIM)).status_code == 404


async def test_a_picture_that_was_stored_with_its_metadata_is_shown_without(streets, case, backend):
    backend.search.seen = [
        seen("cam-1", "s-1", -60, picture=jpeg(b"one", segment(0xE1, b"Exif GPS 37.88 N"))),
        seen("cam-1", "s-2", -60, picture=b"\xff\xd8 broken GPS"),
    ]
    await found(streets, case)
    assert (await streets.get(f"{case}/pictures/cam-1.s-1", headers=KIM)).content == jpeg(b"one")
    assert (await streets.get(f"{case}/pictures/cam-1.s-2", headers=KIM)).status_code == 410


async def test_confirming_re_ranks_the_rest_and_dismissed_ones_come_last(streets, case):
    await found(streets, case)

    async def ranked():
        return (await streets.get(f"{case}/candidates", headers=KIM)).json()["items"]

    before = {one["candidate"]: one["likelihood"] for one in await ranked()}
    await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "가방 · the bag"}, headers=KIM)
    await streets.post(f"{case}/candidates/cam-2.s-4/dismiss", json={"reason": "어른 · an adult"}, headers=KIM)
    items = await ranked()
    after = {one["candidate"]: one["likelihood"] for one in items}
    assert [(one["candidate"], one["state"]) for one in items] == [
        ("cam-1.s-1", "confirmed"),
        ("cam-2.s-2", "found"),
        ("cam-far.s-3", "found"),
        ("cam-2.s-4", "dismissed"),
    ]
    assert after["cam-far.s-3"] < before["cam-far.s-3"]
    assert after["cam-2.s-2"] > before["cam-2.s-2"]
    assert (items[0]["reason"], items[0]["decided_by"]) == ("가방 · the bag", "kim")
    page = (await streets.get(f"{case}/candidates", params={"limit": 3}, headers=KIM)).json()
    rest = (await streets.get(f"{case}/candidates", params={"cursor": page["next"]}, headers=KIM)).json()
    assert [one["candidate"] for one in page["items"] + rest["items"]] == [one["candidate"] for one in items]


async def test_only_a_candidate_of_the_case_can_be_confirmed(streets, case):
    answer = await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "x"}, headers=KIM)
    assert answer.status_code == 404


async def test_the_route_shows_stops_and_legs_in_order_and_the_impossible_apart_with_the_reason(streets, case):
    await found(streets, case)
    await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "가방 · the bag"}, headers=KIM)
    answer = await streets.get(f"{case}/route", params={"likely": 0.3}, headers=KIM)
    assert answer.headers["content-type"] == "application/geo+json"
    said = answer.json()
    stops = [one for one in said["features"] if one["geometry"]["type"] == "Point"]
    assert [(one["id"], one["properties"]["order"]) for one in stops] == [("cam-1.s-1", 1), ("cam-2.s-2", 2)]
    (leg,) = [one for one in said["features"] if one["geometry"]["type"] == "LineString"]
    assert (leg["properties"]["mode"], leg["properties"]["impossible"]) == ("walk", False)
    (far,) = said["impossible"]
    assert (far["id"], far["properties"]["impossible"]) == ("cam-far.s-3", True)
    assert "km/h" in far["properties"]["reason"]
    reach = said["reach"]["properties"]
    assert (reach["from"], reach["mode"], reach["method"]) == ("cam-1.s-1", "walk", "straight-line")
    assert 3600 <= reach["seconds"] < 3700


async def test_a_route_is_drawn_as_a_map_as_well_and_each_look_is_in_the_ledger(streets, case):
    await found(streets, case)
    await streets.post(f"{case}/candidates/cam-1.s-1/confirm", json={"reason": "가방 · the bag"}, headers=KIM)
    told = {}
    for form in ("svg", "png", "vega"):
        answer = await streets.get(f"{case}/route", params={"format": form, "likely": 0.3}, headers=KIM)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        told[form] = answer
    assert told["png"].content.startswith(b"\x89PNG")
    assert "카메라 cam-2" in told["svg"].text
    assert told["vega"].json()["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert [what for _, _, what in await ledger(streets, case)].count("route") == 3


async def test_a_route_without_a_confirmed_sighting_has_no_reach(streets, case):
    await found(streets, case)
    assert (await streets.get(f"{case}/route", headers=KIM)).json()["reach"] is None


async def test_a_reach_goes_along_the_roads_where_one_is_near(streets, case, backend):
    backend.search.seen = [seen("cam-road", "s-1", -5)]
    body = {"name_ko": "중앙로", "name_en": "Jungang-ro", "position": {"lon": 127.735, "lat": 37.8801}}
    await streets.put("/v1/cameras/cam-road", json=body, headers=OPERATOR)
    await found(streets, case)
    await streets.post(f"{case}/candidates/cam-road.s-1/confirm", json={"reason": "x"}, headers=KIM)
    reach = (await streets.get(f"{case}/route", headers=KIM)).json()["reach"]
    assert reach["properties"]["method"] == "roads"


async def test_the_same_sighting_id_at_two_cameras_is_two_candidates_throughout(streets, case, backend):
    backend.search.seen = [
        seen("cam-1", "s-1", -60, picture=jpeg(b"one")),
        seen("cam-2", "s-1", -45, (0.9, 0.3, 0), picture=jpeg(b"two")),
    ]
    assert [one["candidate"] for one in (await found(streets, case))["candidates"]] == ["cam-1.s-1", "cam-2.s-1"]
    for candidate, decision in (("cam-1.s-1", "confirm"), ("cam-2.s-1", "dismiss")):
        path = f"{case}/candidates/{candidate}/{decision}"
        answer = await streets.post(path, json={"reason": "her gait"}, headers=KIM)
        assert answer.status_code == 200, answer.text
    items = (await streets.get(f"{case}/candidates", headers=KIM)).json()["items"]
    assert {one["candidate"]: one["state"] for one in items} == {"cam-1.s-1": "confirmed", "cam-2.s-1": "dismissed"}
    pictures = [await streets.get(f"{case}/pictures/{one}.s-1", headers=KIM) for one in ("cam-1", "cam-2")]
    assert [one.content for one in pictures] == [jpeg(b"one"), jpeg(b"two")]


async def test_the_list_interleaves_a_model_without_a_calibration_and_pages_miss_nobody(streets, case, backend):
    backend.search.seen = [seen("cam-1", f"body-{n}", -60, (1, 0.02 * n, 0)) for n in range(6)]
    backend.search.seen += [seen("cam-2", f"face-{n}", -20, (0.6, 0.8, 0.1 * n), model="face-1") for n in range(2)]
    await found(streets, case)

    async def page(**query):
        return (await streets.get(f"{case}/candidates", params={"limit": 3, **query}, headers=KIM)).json()

    first = await page()
    names = [one["sighting"] for one in first["items"]]
    assert names == ["body-0", "face-0", "body-1"]
    path = f"{case}/candidates/cam-2.face-0/dismiss"
    assert (await streets.post(path, json={"reason": "a man"}, headers=KIM)).status_code == 200
    second = await page(cursor=first["next"])
    third = await page(cursor=second["next"])
    names += [one["sighting"] for one in [*second["items"], *third["items"]]]
    assert names == ["body-0", "face-0", "body-1", "face-1", "body-2", "body-3", "body-4", "body-5", "face-0"]
