"""Where the next facility should stand: LSCP, MCLP, p-median and p-center over demand by time slot.

`prepare.problems` turns a request and its distances into one `Problem` a model; `models.solve` is a plain call from a
`Problem` to a `Solution`, both picklable, for a process of its own; `answer` and `chart` show what it found.
"""
