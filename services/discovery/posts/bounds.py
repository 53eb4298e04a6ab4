"""What the parser is never given: it is written in C; a number without end kills it, nesting without end stalls it."""

import re
from itertools import accumulate
from typing import Final

_DEEPEST: Final = 100  # a post that quotes a post that quotes a post is 15 deep
_LONGEST_NUMBER: Final = 400  # digits; the largest number of double precision has 309
_NUMBER: Final = re.compile(rb"[0-9]{%d}" % _LONGEST_NUMBER)
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_STEP: Final = bytes(byte for byte in range(256) if byte not in _STEP)


class OutOfBounds(ValueError):  # noqa: N818 - says what is the case
    """JSON as no platform gives it."""


class Bounds:
    """Looks at the bytes of a JSON text as they come."""

    def __init__(self) -> None:
        self.depth = 0  # of what is open at this place
        self._in_string = False
        self._escape = b""  # a backslash that began an escape at the end of the last chunk
        self._last = b""  # the end of what stood outside of strings

    def demand(self, chunk: bytes) -> None:
        """Raises OutOfBounds. Takes linear time, whatever comes."""
        text = (self._escape + chunk).replace(rb"\\", b"")
        self._escape = text[-1:] if text.endswith(b"\\") else b""
        parts = text.replace(rb"\"", b"").split(b'"')
        plain = b'"'.join(parts[1 if self._in_string else 0 :: 2])
        self._in_string ^= len(parts) % 2 == 0
        if _NUMBER.search(self._last + plain):
            raise OutOfBounds("a number is too long")
        self._last = plain[-_LONGEST_NUMBER:]
        depths = list(accumulate(map(_STEP.__getitem__, plain.translate(None, _NO_STEP)), initial=self.depth))
        if max(depths) > _DEEPEST:
            raise OutOfBounds("it is too deep")
        self.depth = depths[-1]


__all__ = ["Bounds", "OutOfBounds"]
