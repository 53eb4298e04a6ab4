"""The trace that work belongs to: W3C `traceparent`, from an event or a request to what it causes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


@contextmanager
def within(trace: str | None) -> Iterator[None]:
    """Do the work inside as part of this trace."""
    token = traceparent.set(trace)
    try:
        yield
    finally:
        traceparent.reset(token)
