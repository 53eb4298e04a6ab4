"""Slows down whoever tries links: a link has 256 random bits, so this spares our time rather than the secret.

Only wrong links are counted and refused: a family whose link is right shares its address with others.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from fastapi import Request

from firsthand.shared.service import Context
from firsthand.shared.web.clients import client_of
from firsthand.shared.web.problems import Problem

_ALLOWED: Final = 30  # wrong links
_WITHIN: Final = timedelta(minutes=1)
_REMEMBERED: Final = 4096  # clients; the ones longest quiet are forgotten first


class Guesses:
    """Counts wrong links by client, in bounded memory."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._wrong: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def wrong(self, request: Request) -> None:
        """Count one. Raises Problem 429 for a client with too many in a minute."""
        client, now = client_of(request), self._clock.now()
        since, wrong = self._wrong.pop(client, (now, 0))
        if now - since >= _WITHIN:
            since, wrong = now, 0
        self._wrong[client] = (since, wrong + 1)
        while len(self._wrong) > _REMEMBERED:
            self._wrong.popitem(last=False)
        if wrong >= _ALLOWED:
            raise Problem(429, headers={"Retry-After": str(int(_WITHIN.total_seconds()))})
