"""The Accept headers of HTTP: what a client would rather have (RFC 9110, section 12.4.2)."""

import re
from typing import Final

_WEIGHT: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
_MOST: Final = 64  # ranges that are read; browsers send fewer than ten


def accepted(header: str) -> dict[str, float]:
    """Read a header into its ranges, in lower case without parameters, each with its weight from 0 to 1.

    The most wanted come first, ties in the header's order. A range whose weight cannot be read is left out; one that is
    named twice keeps its higher weight.
    """
    found: dict[str, float] = {}
    for part in header.split(",")[:_MOST]:
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = (piece.strip() for piece in parameter.partition("="))
            if key.lower() == "q":
                weight = float(value) if _WEIGHT.match(value) else -1.0
        if name and weight >= 0:
            found[name.lower()] = max(weight, found.get(name.lower(), 0.0))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


__all__ = ["accepted"]
