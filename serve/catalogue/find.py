"""Full-text search over what datasets say of themselves, in Korean and English."""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import NamedTuple

from schemas.dataset import SUBJECTS, Dataset
from schemas.errors import InvalidError
from serve.catalogue.entry import Entry
from serve.catalogue.find_words import is_hangul, letters, pieces, plain, spelled, tails, unfinished, words

LONGEST_QUERY = 200
MOST_WORDS = 24
"""Words of a query that count."""
ENOUGH = 0.6
"""A dataset is found where the words that it holds weigh so much, as a share of what the best one's weigh."""
WEIGHTS = {
    "title": 32.0,
    "keyword": 16.0,
    "column": 8.0,
    "about": 4.0,
    "description": 2.0,
    # Korean that stands inside a longer word, where the analyser took that apart in another way.
    "title_inside": 6.0,
    "inside": 1.0,
    "description_inside": 0.5,
    # The beginning of a word that is still being typed.
    "title_typed": 32.0,
    "typed": 8.0,
}
"""A word counts by the best place that it stands in: by its weight, and up to twice that by BM25 within such places.

So any title stands above any keyword, that above any column. `about` is the id, the field and the owner.
"""
_K1 = 1.2  # of FTS5's BM25


@dataclass(frozen=True, slots=True)
class Hit:
    """A dataset that was found. `matched`: its words that match, by the field of the declaration where they stand."""

    id: str
    score: float
    matched: dict[str, list[str]]


class _Sought(NamedTuple):
    """What is sought: a whole word by its term, or inside of others, or by the beginning of how it is spelled.

    Inside of the words of descriptions chance finds too much: there only `anywhere` looks.
    """

    term: str = ""
    inside: str = ""
    typed: str = ""
    anywhere: bool = False

    def places(self) -> Iterator[tuple[str, str]]:
        """The tables to look in, each with the expression for it; terms hold no quotes."""
        if self.term:
            yield from ((table, f'"{self.term}"') for table in ("title", "keyword", "column", "about", "description"))
        if self.inside:
            tables = ("title_inside", "inside", *(("description_inside",) if self.anywhere else ()))
            yield from ((table, f'"{self.inside}" *') for table in tables)
        if self.typed:
            yield from ((table, f'"{self.typed}" *') for table in ("title_typed", "typed"))


class Finder:
    """An index of entries in memory. It finds only what it was given: give what the asker may see.

    Make a new one when declarations, or the right to see them, change: about a millisecond a dataset, much less for
    texts that were indexed before. Reads are safe from any thread.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._facts = [(one.id, one.facts) for one in entries]
        self._lock = Lock()
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        held = [_terms(name, facts) for name, facts in self._facts]
        for table in WEIGHTS:
            # Terms are made here: FTS5 has to split them at spaces, and to leave them as they are.
            self._index.execute(f"CREATE VIRTUAL TABLE {table} USING fts5(terms, content='', tokenize='ascii')")
            rows = ((row, " ".join(terms[table])) for row, terms in enumerate(held))
            self._index.executemany(f"INSERT INTO {table}(rowid, terms) VALUES (?, ?)", rows)  # noqa: S608

    def find(self, query: str, limit: int = 20, *, typing: bool = False) -> list[Hit]:
        """At most `limit` datasets that hold the words of a query, the best first.

        A word that few datasets hold weighs more than one that many hold, and one that none holds is passed over.
        With `typing` the last word may be unfinished. Raises `InvalidError` for a query without a letter or digit, or
        longer than 200 characters.
        """
        sought = self._sought(query, typing=typing)
        score: dict[int, float] = defaultdict(float)
        weight: dict[int, float] = defaultdict(float)
        for rows in sought.values():
            rarity = math.log(1 + (len(self._facts) - len(rows) + 0.5) / (len(rows) + 0.5))
            for row, best in rows.items():
                score[row] += rarity * best
                weight[row] += rarity
        most = max(weight.values(), default=0.0)
        found = [(score[row] * held / most, row) for row, held in weight.items() if held >= ENOUGH * most]
        found.sort(key=lambda one: (-one[0], self._facts[one[1]][0]))
        return [Hit(self._facts[row][0], total, _matched(*self._facts[row], sought)) for total, row in found[:limit]]

    def _sought(self, query: str, *, typing: bool) -> dict[_Sought, dict[int, float]]:
        """The words of a query that any dataset holds, each with the rows that hold it and what it counts there."""
        if len(query) > LONGEST_QUERY:
            raise InvalidError(f"a query has at most {LONGEST_QUERY} characters: ask for fewer words")
        text = plain(query)
        if not (said := pieces(text)):
            raise InvalidError("a query needs a letter or a digit: ask for a word, such as 버스 or stop")
        found: dict[_Sought, dict[int, float]] = {}
        if typing and (last := unfinished(text)):
            begun = _Sought(typed=letters(last.casefold()))
            if rows := self._rows(begun):
                found[begun], text = rows, text.removesuffix(last)
        terms = list(dict.fromkeys(word.term for word in words(text)))
        pairs = [pair for piece in said if is_hangul(piece) for pair in _pairs(piece)]
        return (
            found | self._held(_Sought(one, inside=one if is_hangul(one) and len(one) > 1 else "") for one in terms)
            # Words that the analyser takes apart in another way there, then what it takes for particles alone.
            or self._held(_Sought(inside=one, anywhere=True) for one in terms if is_hangul(one))
            or self._held(_Sought(inside=one, anywhere=True) for one in pairs)
        )

    def _held(self, sought: Iterable[_Sought]) -> dict[_Sought, dict[int, float]]:
        return {one: rows for one in islice(dict.fromkeys(sought), MOST_WORDS) if (rows := self._rows(one))}

    def _rows(self, sought: _Sought) -> dict[int, float]:
        best: dict[int, float] = {}
        for table, expression in sought.places():
            with self._lock:
                ask = f"SELECT rowid, -bm25({table}) FROM {table} WHERE {table} MATCH ?"  # noqa: S608
                rows = self._index.execute(ask, (expression,)).fetchall()
            # BM25 over the word's rarity, which FTS5 has from this table alone, is between 0 and k1 + 1.
            rarity = max(math.log((len(self._facts) - len(rows) + 0.5) / (len(rows) + 0.5)), 1e-6)
            for row, score in rows:
                counts = WEIGHTS[table] * (1 + score / rarity / (_K1 + 1))
                best[row] = max(best.get(row, 0.0), counts)
        return best


def _pairs(piece: str) -> Iterator[str]:
    return (piece[at : at + 2] for at in range(max(1, len(piece) - 1)))


def _texts(name: str, facts: Dataset) -> Iterator[tuple[str, str, str]]:
    """What is searched: the table that it goes to, the field that it is of, and the text."""
    yield from (("title", "title_ko", facts.title_ko), ("title", "title_en", facts.title_en))
    yield from (("keyword", "keywords", one) for one in facts.keywords)
    for column in facts.columns:
        said = dict.fromkeys((column.ko, column.en, column.id, column.header, column.unit))
        yield from (("column", "columns", one) for one in said)
    yield ("about", "id", name)
    yield from (("about", "subject", one) for one in SUBJECTS[facts.subject])
    yield from (("about", "owner_ko", facts.owner_ko), ("about", "owner_en", facts.owner_en))
    yield ("description", "description_ko", facts.description_ko)
    yield ("description", "description_en", facts.description_en)


def _terms(name: str, facts: Dataset) -> dict[str, list[str]]:
    """The terms of a dataset by table."""
    terms: dict[str, list[str]] = defaultdict(list)
    for table, _, text in _texts(name, facts):
        terms[table] += [word.term for word in words(text)]
        own = f"{table}_" if table in ("title", "description") else ""
        for piece in pieces(text):
            if is_hangul(piece):
                terms[f"{own}inside"] += tails(piece)
            if table != "description":
                terms[f"{own}typed"] += spelled(piece)
    return terms


def _matched(name: str, facts: Dataset, sought: Iterable[_Sought]) -> dict[str, list[str]]:
    """The words of a dataset that match, as they are written, by field."""
    terms = {one.term for one in sought if one.term}
    marked: dict[str, dict[str, None]] = defaultdict(dict)
    for table, where, text in _texts(name, facts):
        found = [word.surface for word in words(text) if word.term in terms]
        for piece in pieces(text):
            there = [one for one in sought if table != "description" or one.anywhere]
            found += [piece for one in there if one.typed and any(end.startswith(one.typed) for end in spelled(piece))]
            within = (one.inside for one in there if one.inside and is_hangul(piece) and one.inside in piece)
            found += [part for part in within if not any(part in whole for whole in found)]
        if found:
            marked[where] |= dict.fromkeys(found)
    return {where: list(found) for where, found in marked.items()}
