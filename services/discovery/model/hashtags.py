"""Hashtags compared as people mean them: whatever case, accents, script forms or vowel marks.

`fold` follows Unicode's advice for loose matching (UAX 15 and 30): compatibility forms, case folding, marks dropped;
and for Arabic the letters that writers interchange (ي ى, ة ه, the forms of alef) and the stretching tatweel.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

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
_IN_TEXT: Final = re.compile(r"#(\w{1,100})")
_HASHTAG: Final = re.compile(r"^\w{1,100}$")


def fold(text: str) -> str:
    """Return the form in which texts are compared."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c for c in parts if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    return kept.translate(_INTERCHANGED)


@lru_cache(maxsize=4096)
def fold_tag(tag: str) -> str:
    """Fold one hashtag, with or without its `#`."""
    return fold(tag.strip()).lstrip("#")


def is_hashtag(tag: str) -> bool:
    """Return whether platforms accept it as one hashtag: letters, digits and underscores in any script."""
    return _HASHTAG.match(fold_tag(tag)) is not None


def wanted(hashtags: Iterable[str]) -> dict[str, str]:
    """Return the hashtags of a case by their folded form, for `matching`."""
    return {fold_tag(tag): tag.strip().lstrip("#＃") for tag in hashtags}


def matching(case: Mapping[str, str], tags: Iterable[str], text: str) -> list[str]:
    """Return the hashtags of a case (as the case spells them) that a post carries as tags or as `#...` in its text."""
    found = {fold_tag(tag) for tag in tags}
    if "#" in text or "＃" in text:
        found.update(_IN_TEXT.findall(fold(text)))
    return sorted({case[tag] for tag in found & case.keys()})


__all__ = ["fold", "fold_tag", "is_hashtag", "matching", "wanted"]
