"""The words of a text in Korean and English: what an index holds, a query asks for, and an answer marks.

Korean is taken apart by a morphological analyser (MeCab with mecab-ko-dic): particles and endings fall away, compounds
fall into their nouns. Its dictionary is a file mapped into memory, so each process that uses it costs a few megabytes.
English is stemmed by Snowball's rules.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from threading import Lock
from typing import NamedTuple

import snowballstemmer  # type: ignore[import-untyped]
from mecab import MeCab  # type: ignore[import-untyped]

CONTENT = frozenset({"NNG", "NNP", "NR", "XR", "UNKNOWN"})
"""Parts of speech that a text is found by: nouns, numerals, roots, and what the dictionary does not know."""
LONGEST = 20
"""Letters of a piece that count for searching inside of it."""

_KEPT = 1 << 14  # texts and pieces whose analysis is remembered: a new index holds mostly what the one before held
_HANGUL = re.compile(r"[가-힣]+")
_OTHER = re.compile(r"[^\W\d_가-힣]+|\d+")
_PIECE = re.compile(rf"{_HANGUL.pattern}|{_OTHER.pattern}")
_TYPED = re.compile(rf"(?:[가-힣\u1100-\u11ff]+|{_OTHER.pattern})$")  # a syllable may be unfinished: `제ㅅ`
_PART = re.compile(r"([가-힣]{2,})/")
_NOUN = " 자료"
"""Put behind each text. The analyser knows sentences: where nothing follows it takes a particle for a part of a noun
(`시장의` for `시` and `장의`)."""
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")  # what pasted words carry between their letters
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # a NUL would end the text for the analyser
_STEMMING = Lock()  # a stemmer keeps the word that it works on


class Word(NamedTuple):
    """A word of a text: the `term` that it is found by, and how it is written there."""

    term: str
    surface: str


def plain(text: str) -> str:
    """The text in one way of writing it: composed (NFKC, so `㎡` is `m2`), without characters that show nothing."""
    return _CONTROL.sub(" ", unicodedata.normalize("NFKC", _UNSEEN.sub("", text)))


@lru_cache(maxsize=_KEPT)
def words(text: str) -> tuple[Word, ...]:
    """The words that carry a text's content, and the parts of compounds (from two syllables), in no special order.

    None for a text of particles and marks alone.
    """
    text = plain(text)
    korean = _korean(text) if _HANGUL.search(text) else ()
    others = (Word(_stem(found.casefold()), found) for found in _OTHER.findall(text))
    return (*korean, *others)


@lru_cache(maxsize=_KEPT)
def pieces(text: str) -> tuple[str, ...]:
    """The runs of Hangul, of other letters, and of digits, as they are written."""
    return tuple(_PIECE.findall(plain(text)))


def unfinished(text: str) -> str:
    """The word at the end of a text that is being typed, in plain writing; empty where the last one is finished."""
    found = _TYPED.search(plain(text))
    return found.group() if found else ""


@lru_cache(maxsize=_KEPT)
def tails(piece: str) -> tuple[str, ...]:
    """A piece from each of its syllables on: who looks for beginnings finds what lies inside. Others as a whole."""
    starts = range(len(piece)) if is_hangul(piece) else range(1)
    return tuple(piece[at : at + LONGEST].casefold() for at in starts)


@lru_cache(maxsize=_KEPT)
def spelled(piece: str) -> tuple[str, ...]:
    """The same as the keys that write it."""
    return tuple(map(letters, tails(piece)))


def is_hangul(piece: str) -> bool:
    """Whether a piece is of Korean syllables."""
    return _HANGUL.fullmatch(piece) is not None


def letters(piece: str) -> str:
    """Korean spelled by the keys that write it: what is typed so far begins what it will be (`정륮`, `정류장`)."""
    return unicodedata.normalize("NFD", piece).translate(_keys())


def _korean(text: str) -> Iterator[Word]:
    for one in _analyser().parse(text + _NOUN):
        if one.span.end <= len(text) and one.pos in CONTENT and is_hangul(one.surface):
            yield Word(one.surface, one.surface)
            if one.feature.type == "Compound":
                yield from (Word(part, one.surface) for part in _PART.findall(one.feature.expression))


@cache
def _analyser() -> MeCab:
    return MeCab()


@lru_cache(maxsize=_KEPT)
def _stem(word: str) -> str:
    with _STEMMING:
        stem: str = _stemmer().stemWord(word)
    return stem


@cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")


@cache
def _keys() -> dict[int, str]:
    """Each letter of decomposed Hangul, wherever it stands in its syllable, as the keys that write it."""
    joined, keys = (
        "ㅘㅙㅚㅝㅞㅟㅢㄳㄵㄶㄺㄻㄼㄽㄾㄿㅀㅄ",
        "ㅗㅏㅗㅐㅗㅣㅜㅓㅜㅔㅜㅣㅡㅣㄱㅅㄴㅈㄴㅎㄹㄱㄹㅁㄹㅂㄹㅅㄹㅌㄹㅍㄹㅎㅂㅅ",
    )
    two = {one: keys[2 * at : 2 * at + 2] for at, one in enumerate(joined)}
    alphabets = {
        0x1100: "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ",
        0x1161: "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ",
        0x11A8: "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ",
    }
    return {first + at: two.get(one, one) for first, letters in alphabets.items() for at, one in enumerate(letters)}
