"""Words as they are searched for: as they sound, not as they are spelled, in any script. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Final

from firsthand.shared.texts import normalized

_WORD: Final = re.compile(r"\w+")
# Alef maqsura, ta marbuta and the lengthening dash; the other forms come apart into a letter and a mark.
_ARABIC: Final = str.maketrans({"ى": "ي", "ة": "ه", "ـ": "", "ٱ": "ا", "ی": "ي", "ک": "ك"})
_DIGITS: Final = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789")
# "The", also behind "and", "with", "like" or "so"; what is left must still be a word.
_ARTICLE: Final = re.compile(r"^و?[بكف]?ال(?=\w{3})")
LONGEST: Final = 60  # letters of a word; what is longer is none


def folded(text: str) -> str:
    """Leave out case, marks and spelling variants. Line breaks and the order of words stay."""
    if not text.isascii():
        apart = normalized("NFKD", text)
        text = "".join(one for one in apart if not unicodedata.combining(one)).translate(_ARABIC).translate(_DIGITS)
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


def lines_with(lines: list[str], words: Collection[str], most: int) -> list[int]:
    """The lines in which something is found: those with the most of the words, in their order."""
    wanted, found = frozenset(words), {}
    for number, line in enumerate(folded("\x1e".join(lines)).split("\x1e")):
        if hits := wanted.intersection(_bare(line)):
            found[number] = len(hits)
    return sorted(sorted(found, key=lambda number: (-found[number], number))[:most])


__all__ = ["LONGEST", "folded", "lines_with", "marked", "words_of"]
