"""Archive and objects in an object store (S3's protocol on loopback): as in a folder, with keys of the environment."""

import logging
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from actors.archiving.clustering import clustered
from schemas.errors import UnavailableError
from serve.statistics.run import Queries
from streams.archive import Archive, Compacted
from streams.blobs import Blobs, FileBlobs
from tests.contracts.blobs import BlobsContract
from tests.unit.archiving.test_archive import LOG, TOMORROW, at, events, measured, sequences


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """`host:port` of an object store with one bucket, `city`, and its keys in the environment."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"http://{address}/city", method="PUT")).close()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "test")
        patched.setenv("AWS_REGION", "us-east-1")
        patched.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        patched.setenv("AWS_ALLOW_HTTP", "true")
        yield address
    server.stop()


class TestBlobsInAnObjectStore(BlobsContract):
    @pytest.fixture
    def blobs(self, store: str, request: pytest.FixtureRequest) -> Blobs:
        return FileBlobs(f"s3://city/{request.node.name}?endpoint_override={store}&scheme=http")


@pytest.fixture
def archive(store: str, request: pytest.FixtureRequest) -> Archive:
    return Archive(f"s3://city/archives/{request.node.name}")


def test_rows_and_how_far_they_reach_are_written_as_one(archive: Archive) -> None:
    version = archive.append("events", events(1), at(0), at(3))
    assert (sequences(archive), archive.held("events", [LOG])) == ([1, 2, 3], (version, at(3)))
    with pytest.raises(UnavailableError, match="another writer"):
        archive.append("events", events(1), at(0), at(3))


def test_of_several_writers_at_the_same_moment_one_lands(archive: Archive) -> None:
    archive.append("events", events(1), at(0), at(3))

    def write(_: int) -> bool:
        try:
            archive.append("events", events(4), at(3), at(6))
        except UnavailableError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 1
    assert sequences(archive) == [1, 2, 3, 4, 5, 6]


async def test_days_are_put_together_and_asked_by_processes_of_their_own(archive: Archive) -> None:
    for number in range(2):
        archive.append("readings", measured(40 * number), at(40 * number), at(40 * number + 40))
    assert archive.compact("readings", TOMORROW, clustered) == Compacted(2, 1)
    queries = Queries()

    async def waits() -> bool:
        return False

    rows = archive.scan("readings", archive.version("readings")).select(pl.len(), pl.col("value").sum())
    found = await queries.collected(rows, waits)
    queries.close()
    assert found is not None
    assert found.row(0) == (80, float(sum(range(80))))
