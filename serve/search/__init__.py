"""Sightings found again by their embedding: an exact, filtered vector index, and what serves it.

The index is a plain library: no Ray, no NATS, no clock. One `Index` holds the sightings of **one model**::

    from serve.search.index import Index
    from serve.search.plan import Filters
    from serve.search.quantise import Model
    from serve.search.soft import Description

    index = Index(Model("osnet-x0.25", 512))              # in memory
    index = Index.open(Model("osnet-x0.25", 512), folder)  # sealed segments in `folder`, memory-mapped; restart is the same call

    told = index.append(table)          # pa.Table or pa.RecordBatch of `segment.SIGHTINGS`; searchable when it returns
    told.added, told.repeated           # rows; a sighting_id counts once however often it comes
    told.refused                        # tuple[Refused(row, sighting_id, reason)]: the good rows of the batch still count

    answer = index.search(
        queries,                        # float32 [n, d], any norm but zero
        k=10,
        filters=Filters(start=t0, end=t1, cameras=frozenset({"cam-1"}), min_quality=0.5),  # all optional; times are UTC µs
        soft=Description(upper="red", age="child"),  # optional: evidence that adds to the score and excludes nobody
        exact=False,                    # True: never the 1-bit stage; the answer equals brute force, bit for bit
    )
    answer.found                        # per query: tuple[Candidate(sighting_id, camera, time, score, similarity, quality, attributes)]
    answer.coverage                     # Coverage(rows, permitted, scanned, outside, plans={"skip": 3, "bits": 14}, exact, recall)
    merge([answer, other], k=10)        # index.merge: the answers of several shards as one

    index.seal()                        # closes the open segment early; `append` seals by itself at 65,536 rows
    index.erase(ids=frozenset({"s-1"}))                        # → Erased(rows, segments, before, after: digests)
    index.erase(cameras=frozenset({"cam-1"}), start=t0, end=t1)
    index.drop(before=t, cameras={"cam-1": t1})                # retention → Erased; `cameras` overrides `before`
    index.digest()                      # of all rows that can be found, whatever their segments
    index.measure(queries_kept, …)      # recall.Recall: the 1-bit stage against exact scans, on queries seen

    watch = matching.Watch(model); watch.put("case-1", vectors, threshold=0.6); watch.match(table)  # standing queries

`append`, `seal`, `erase` and `drop` are serialised by a lock inside; `search` takes none and may run in other threads at any
time: it sees the segments that were current when it began. Order of candidates: score descending, then sighting_id
ascending. Hard filters on attributes go into `Filters(attributes={"upper": frozenset({"red"})})`; unknown is then excluded.
"""
