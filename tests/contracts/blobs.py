"""What every home of snapshots promises; each implementation inherits the suite and says how to make one."""

import asyncio

from streams.blobs import Blobs


class BlobsContract:
    """Inherit, and give a fixture `blobs` that is empty."""

    async def test_what_was_put_is_got_byte_for_byte(self, blobs: Blobs) -> None:
        data = bytes(range(256)) * 2000
        await blobs.put("facility/0/7.arrow", data)
        assert await blobs.get("facility/0/7.arrow") == data

    async def test_what_was_never_put_is_none(self, blobs: Blobs) -> None:
        assert await blobs.get("facility/0/index.json") is None

    async def test_putting_again_replaces(self, blobs: Blobs) -> None:
        await blobs.put("a/b", b"long and old")
        await blobs.put("a/b", b"new")
        assert await blobs.get("a/b") == b"new"

    async def test_many_may_put_the_same_name_at_once_and_one_of_them_is_there_whole(self, blobs: Blobs) -> None:
        told = [bytes([number]) * 50_000 for number in range(16)]
        for _ in range(5):
            await asyncio.gather(*(blobs.put("a/b", data) for data in told))
            assert await blobs.get("a/b") in told

    async def test_many_names_are_put_together(self, blobs: Blobs) -> None:
        told = {f"{folder}/{number}": bytes([number]) * 9 for folder in ("a", "b/c") for number in range(5)}
        assert await blobs.put_all(list(told.items())) == [None] * 10
        assert {name: await blobs.get(name) for name in told} == told
        assert await blobs.put_all([("a/0", b"again"), ("a/0", b"again")]) == [None, None]
        assert await blobs.get("a/0") == b"again"

    async def test_what_is_deleted_is_gone_and_deleting_again_is_harmless(self, blobs: Blobs) -> None:
        await blobs.put("a/b", b"x")
        await blobs.put("a/c", b"y")
        for _ in range(2):
            await blobs.delete("a/b")
        assert await blobs.get("a/b") is None
        assert await blobs.get("a/c") == b"y"
