"""Everything that a person or a program sends is bounded: no field is a bare text, number, day or time."""

import importlib
import types
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Le, MaxLen
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from pydantic import AfterValidator, BaseModel

from firsthand.shared import inputs

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/app.py"))
PLACES = ("path_params", "query_params", "header_params", "cookie_params", "body_params")
BOUNDED_TIMES = {
    one.func
    for kind in (inputs.Instant, inputs.CalendarDate)
    for one in kind.__metadata__
    if isinstance(one, AfterValidator)
}  # fmt: skip


def loose(  # noqa: C901 - a case for each kind of type
    kind: Any, meta: tuple[Any, ...] = (), seen: frozenset[type] = frozenset()
) -> Iterator[str]:
    """What of a type is not bounded, by its place in it."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *more = get_args(kind)
        yield from loose(inner, (*meta, *more), seen)
    elif origin in (Union, types.UnionType):
        for one in get_args(kind):
            yield from loose(one, meta, seen)
    elif origin is Literal or kind in (bool, type(None), Any) or (isinstance(kind, type) and issubclass(kind, bytes)):
        return
    elif origin is dict:
        key, value = get_args(kind)
        yield from (f"key {one}" for one in loose(key, (), seen))
        yield from (f"value {one}" for one in loose(value, (), seen))
    elif origin in (list, set, frozenset, tuple):
        yield from (f"item {one}" for one in loose(get_args(kind)[0], (), seen))
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind not in seen:
            for name, field in kind.model_fields.items():
                found = loose(field.annotation, tuple(field.metadata), seen | {kind})
                yield from (f"{name}: {one}" for one in found)
    elif bare(kind, list(rules(meta))):
        yield str(getattr(kind, "__name__", kind))


def rules(meta: tuple[Any, ...]) -> Iterator[Any]:
    """Every single rule, also those that stand together in one."""
    for one in meta:
        if hasattr(one, "metadata") and not isinstance(one, type):  # a Field(...)
            yield from rules(tuple(one.metadata))
        elif type(one).__name__ == "StringConstraints":
            yield from one
            if one.pattern:
                yield one
        else:
            yield one


def bare(kind: Any, given: list[Any]) -> bool:
    if kind is str:
        return not any(isinstance(one, MaxLen) or getattr(one, "pattern", None) for one in given)
    if kind in (int, float):
        return not (any(isinstance(one, Ge) for one in given) and any(isinstance(one, Le) for one in given))
    if getattr(kind, "__name__", "") == "AwareDatetime" or kind in (datetime, date):
        return not any(getattr(one, "func", None) in BOUNDED_TIMES for one in given)
    return False


def fields(dependant: Dependant) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    for place in PLACES:
        for one in getattr(dependant, place):
            yield one.name, one.field_info.annotation, tuple(one.field_info.metadata)
    for inner in dependant.dependencies:
        yield from fields(inner)


@pytest.mark.parametrize("service", SERVICES)
def test_everything_that_is_sent_is_bounded(service: str) -> None:
    router = importlib.import_module(f"firsthand.services.{service}.app").SERVICE.router
    found = {
        f"{sorted(context.methods or ())} {context.path} {name}: {one}"
        for context in iter_route_contexts(router.routes)
        for name, kind, meta in fields(context.dependant)
        for one in loose(kind, meta)
    }
    assert sorted(found) == []


def test_a_field_without_a_bound_is_found() -> None:
    class Inner(BaseModel):
        at: datetime
        good: inputs.Instant | None

    class Outer(BaseModel):
        text: str
        number: int
        inner: list[Inner]
        line: inputs.Line
        count: Annotated[inputs.Count, "told"]

    assert list(loose(Outer)) == ["text: str", "number: int", "inner: item at: datetime"]
