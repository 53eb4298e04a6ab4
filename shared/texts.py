"""Texts: marking them for the catalogues, and comparing those of strangers, without the machinery that shows them."""

import unicodedata
from typing import Final, Literal

# Unicode's bound for streams (UAX 15, section 13). Sorting the marks on one letter takes the square of their number.
_MOST_MARKS: Final = 30


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "to be translated later"
    """Mark a text for the catalogues; it is translated where it is shown."""
    return message


def normalized(form: Literal["NFC", "NFKC", "NFD", "NFKD"], text: str) -> str:
    """Give a Unicode normal form in linear time: of more than 30 marks on one letter, the rest is left out."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for one in text:
        marks = marks + 1 if unicodedata.combining(one) else 0
        if marks <= _MOST_MARKS:
            kept.append(one)
    return unicodedata.normalize(form, "".join(kept))


__all__ = ["N_", "normalized"]
