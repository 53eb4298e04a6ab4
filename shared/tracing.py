"""The trace that work belongs to: W3C `traceparent`, from an event or a request to what it causes."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

# https://www.w3.org/TR/trace-context/#traceparent-header, version 00; all-zero ids are not valid
_FORM: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def begun(header: str | None) -> str:
    """Give the trace that a request names in its `traceparent` header; a new one if it names none rightly."""
    if header and _FORM.fullmatch(header):
        return header
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@contextmanager
def within(trace: str | None) -> Iterator[None]:
    """Do the work inside as part of this trace."""
    token = traceparent.set(trace)
    try:
        yield
    finally:
        traceparent.reset(token)
