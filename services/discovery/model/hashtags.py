"""Hashtags compared as people mean them: whatever case, accents, script forms or vowel marks.

`fold` follows Unicode's advice for loose matching (UAX 15 and 30): compatibility forms, case folding, accents dropped;
and for Arabic the letters that writers interchange (ي ى, ة ه, the forms of alef), the vowel marks and the stretching
tatweel. Where marks are the vowels without which a word is another word, as in Devanagari or Khmer, they stay.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final

from firsthand.shared.texts import normalized

_INTERCHANGED: Final = str.maketrans(
    {
        "ٱ": "ا",
        "ى": "ي",
        "ی": "ي",
        "ې": "ي",
        "ة": "ه",
        "ک": "ك",
        "ـ": None,  # tatweel
        "ı": "i",
    }
)
_LONGEST: Final = 100  # characters of a hashtag
_LONGEST_SPELLED: Final = 4 * _LONGEST  # with the marks that folding drops
# Marks that people leave out or put elsewhere: accents of Latin, Greek and Cyrillic, the vowel marks of Hebrew, Arabic
# and Syriac, and variation selectors. All other marks are a part of the word.
_OPTIONAL_MARKS: Final = frozenset(
    chr(code)
    for first, last in (
        (0x0300, 0x036F),
        (0x0483, 0x0489),
        (0x0591, 0x05C7),
        (0x0610, 0x061A),
        (0x064B, 0x065F),
        (0x0670, 0x0670),
        (0x06D6, 0x06ED),
        (0x0711, 0x0711),
        (0x0730, 0x074A),
        (0x0897, 0x08FF),
        (0x1AB0, 0x1AFF),
        (0x1DC0, 0x1DFF),
        (0x20D0, 0x20FF),
        (0xFE00, 0xFE0F),
        (0xFE20, 0xFE2F),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
    if unicodedata.category(chr(code)) in ("Mn", "Me")
)


def fold(text: str) -> str:
    """Return the form in which texts are compared."""
    if text.isascii():
        return text.lower()
    parts = normalized("NFKD", normalized("NFKC", text).casefold())
    kept = "".join(c for c in parts if c not in _OPTIONAL_MARKS and unicodedata.category(c) != "Cf")
    return normalized("NFC", kept.translate(_INTERCHANGED))


@lru_cache(maxsize=4096)
def fold_tag(tag: str) -> str:
    """Fold one hashtag, with or without its `#`."""
    return fold(tag.strip()).lstrip("#")


def is_hashtag(tag: str) -> bool:
    """Return whether platforms accept it as one hashtag: letters, digits and underscores in any script."""
    if len(tag) > _LONGEST_SPELLED:
        return False
    folded = fold_tag(tag)
    return 0 < len(folded) <= _LONGEST and all(map(_in_hashtag, folded)) and not _is_mark(folded[0])


def wanted(hashtags: Iterable[str]) -> dict[str, str]:
    """Return the hashtags of a case by their folded form, for `matching`."""
    return {fold_tag(tag): tag.strip().lstrip("#＃") for tag in hashtags}


def matching(case: Mapping[str, str], tags: Iterable[str], text: str) -> list[str]:
    """Return the hashtags of a case (as the case spells them) that a post carries as tags or as `#...` in its text."""
    found = {fold_tag(tag) for tag in tags if len(tag) <= _LONGEST_SPELLED}
    if "#" in text or "＃" in text:
        found.update(_hashtags_in(fold(text)))
    return sorted({case[tag] for tag in found & case.keys()})


def _hashtags_in(text: str) -> Iterator[str]:
    """Give what stands behind each `#`, as far as it can belong to a hashtag."""
    for behind in text.split("#")[1:]:
        if tag := "".join(takewhile(_in_hashtag, islice(behind, _LONGEST))):
            yield tag


def _in_hashtag(character: str) -> bool:
    return character.isalnum() or character == "_" or _is_mark(character)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


__all__ = ["fold", "fold_tag", "is_hashtag", "matching", "wanted"]
