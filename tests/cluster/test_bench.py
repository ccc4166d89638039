"""The bench of the search service, which starts Ray and a whole city, runs, small, and tells its figures."""

import pytest

from tests.integration.test_bench import tells

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(320)]


def test_the_bench_of_the_search_service_tells_what_it_measured() -> None:
    through = {"in_process_16_0.004m_per_s", "http_16_0.004m_per_s", "http_0.004m_p99_ms"}
    figures = through | {"shards_1_p50_ms", "shards_2_p50_ms"}
    ratios = {"replica_over_actor_p50", "actor_over_replica_16", "http_of_in_process"}
    tells("search --part service", figures, ratios, seconds=300)
