"""Sightings found again by their embedding: an exact, filtered vector index, and what serves it.

The index is a plain library: no Ray, no NATS, no clock. One `Index` holds the sightings of **one model**::

    from serve.search.index import Index
    from serve.search.plan import Filters
    from serve.search.quantise import Model
    from serve.search.soft import Description

    index = Index(Model("osnet-x0.25", 512))              # in memory
    index = Index.open(Model("osnet-x0.25", 512), folder)  # sealed segments in `folder`, mapped; a restart is this call

    told = index.append(table)  # pa.Table or pa.RecordBatch of `segment_rows.sightings(model)`; searchable on return
    told.added, told.repeated   # rows; a sighting_id counts once however often it comes
    told.refused                # tuple[Refused(row, sighting_id, reason)]: the good rows of the batch still count

    answer = index.search(
        queries,  # float32 [n, d], any norm but zero
        k=10,
        filters=Filters(start=t0, end=t1, cameras=frozenset({"cam-1"}), min_quality=0.5),  # optional; UTC µs
        soft=Description(upper="red", age="child"),  # optional: adds to the score and excludes nobody
        exact=False,  # True: never the sign bits; the answer equals brute force over half floats, bit for bit
    )
    answer.found     # by query: tuple[Candidate(sighting_id, camera, time, score, similarity, quality, attributes)]
    answer.coverage  # Coverage(rows, permitted, scanned, outside_window, plans={"skip": 3, "bits": 14}, exact, recall)

    index.seal()                                     # `append` seals by itself at 65,536 rows
    index.find("s-1")                                # Found(sighting, vector) for "more like this", or None
    index.erase(ids={"s-1"})                         # Erased(rows, segments: digests before and after)
    index.erase(cameras={"cam-1"}, start=t0, end=t1)
    index.drop({"cam-1": t})                         # retention, by camera
    index.measure()                                  # Recall(queries, mean, lowest) of the quantised stage, or None
    index.digest(), index.verify()                   # of all segments; of what is on disk

Writers (`append`, `seal`, `erase`, `drop`) are serialised by a lock inside. `search` takes none and may run in other
threads at any time: it sees the segments that were there when it began. Candidates stand by score descending, then by
sighting_id ascending. Hard filters on attributes are `Filters(attributes={"upper": frozenset({"red"})})`; a sighting
whose attribute is unknown is then excluded.
"""
