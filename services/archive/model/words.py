"""Words as they are searched for: as they sound, not as they are spelled, in any script. Pure."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from firsthand.shared.texts import normalized

# Marks on Latin and Arabic letters, which Python does not count to a word.
_MARK: Final = r"\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
_MARKS: Final = re.compile("[" + _MARK + "]+")
_WORD: Final = re.compile(r"[\w" + _MARK + "]+")
# Alef maqsura, ta marbuta and the lengthening dash; the other forms come apart into a letter and a mark.
_SPELLED: Final = str.maketrans(
    {"ى": "ي", "ة": "ه", "ـ": "", "ٱ": "ا", "ی": "ي", "ک": "ك"}
    | dict(zip("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789", strict=True))
)
# "The", also behind "and", "with", "like" or "so"; what is left must still be a word.
_ARTICLE: Final = re.compile(r"^و?[بكف]?ال(?=\w{3})")
APART: Final = "\x1e"  # which no line has
LONGEST: Final = 60  # letters of a word; what is longer is none


def folded(text: str) -> str:
    """Leave out case, marks and spelling variants. Line breaks and the order of words stay."""
    if not text.isascii():
        text = _MARKS.sub("", normalized("NFKD", text)).translate(_SPELLED)
    return text.casefold()


def words_of(text: str) -> set[str]:
    """The words of a text, each once, as they are looked for."""
    return {word for word in _bare(folded(text)) if len(word) <= LONGEST}


def _bare(text: str) -> list[str]:
    words = _WORD.findall(text)
    return words if text.isascii() else [_ARTICLE.sub("", word) for word in words]


def marked(text: str, words: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Give a text in pieces, and whether each is one of the words."""
    place = 0
    for found in _WORD.finditer(text):
        if not words_of(found[0]).isdisjoint(words):
            yield text[place : found.start()], False
            yield found[0], True
            place = found.end()
    yield text[place:], False


def lines_with(said: str, words: Collection[str], most: int) -> list[int]:
    """The lines in which the rarest of the words is, in their order: those with the most of the other words, too.

    `said`: texts with APART between them. They are looked through as a whole; taking each apart is ten times the work.
    """
    text, wanted = folded(said), frozenset(words)
    for word in sorted(wanted, key=text.count):
        found: dict[int, int] = {}
        whole = 0
        for number, line in _lines_of(text, word):
            hits = wanted.intersection(_bare(line))
            if word not in hits:
                continue
            found[number] = len(hits)
            whole += hits == wanted
            if whole == most:
                break
        if found:
            return sorted(sorted(found, key=lambda number: (-found[number], number))[:most])
    return []


def _lines_of(text: str, letters: str) -> Iterator[tuple[int, str]]:
    """The lines with these letters, each once, and their numbers."""
    number, begin = 0, 0
    while (place := text.find(letters, begin)) >= 0:
        number += text.count(APART, begin, place)
        start, end = text.rfind(APART, 0, place) + 1, text.find(APART, place)
        end = len(text) if end < 0 else end
        yield number, text[start:end]
        begin = end


__all__ = ["APART", "LONGEST", "folded", "lines_with", "marked", "words_of"]
