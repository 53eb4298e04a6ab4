"""Slows down who tries links: a link has 256 random bits, so this spares our time rather than the secret."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from fastapi import Request

from firsthand.shared.service import Context
from firsthand.shared.web.problems import Problem

_ALLOWED: Final = 30  # wrong links
_WITHIN: Final = timedelta(minutes=1)
_REMEMBERED: Final = 4096  # addresses; the ones longest quiet are forgotten first


class Guesses:
    """Counts wrong links by client address, in bounded memory."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._wrong: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def demand_few(self, request: Request) -> None:
        """Raises Problem 429 for an address with too many wrong links in the last minute."""
        now = self._clock.now()
        since, wrong = self._wrong.get(_address(request), (now, 0))
        if wrong >= _ALLOWED and now - since < _WITHIN:
            raise Problem(429, headers={"Retry-After": str(int(_WITHIN.total_seconds()))})

    def wrong(self, request: Request) -> None:
        address, now = _address(request), self._clock.now()
        since, wrong = self._wrong.pop(address, (now, 0))
        self._wrong[address] = (now, 1) if now - since >= _WITHIN else (since, wrong + 1)
        while len(self._wrong) > _REMEMBERED:
            self._wrong.popitem(last=False)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
