"""The catalogue of all events as a page, made of the models: what each says, its schema, and an example."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from firsthand.shared.events import EVENTS, AnyEvent
from firsthand.shared.events.examples import example_of
from firsthand.shared.topology import DELIVERED, STREAMS

_HEAD: Final = """# Every event

Made by `python -m firsthand.shared.events.schemas write`. What holds for all events is in
[Consuming events](../consume-events.md).

The envelope is the same for all. `data` is described below: the whole state of the document after the change.
Examples are invented, and tell one story: contact CLP-014 is found, asked, says yes, is met, releases the recording,
and withdraws a month later.
"""


def catalogue() -> str:
    """Write the page."""
    return "\n".join([_HEAD, *_contents(), *(line for event in EVENTS.values() for line in _entry(event))]) + "\n"


def _name(event: type[AnyEvent]) -> str:
    return f"{event.entity}.{event.name}"


def _contents() -> Iterator[str]:
    yield "| published by | events |"
    yield "|---|---|"
    for service, events in groupby(EVENTS.values(), key=lambda event: event.service):
        links = ", ".join(f"[`{_name(one)}`](#{_name(one).replace('.', '')})" for one in events)
        yield f"| {service} | {links} |"
    yield ""


def _entry(event: type[AnyEvent]) -> Iterator[str]:
    schema = event.model_json_schema(mode="serialization")
    yield f"## {_name(event)}"
    yield ""
    yield " ".join((event.__doc__ or "").split())
    yield ""
    delivered = "yes" if event in DELIVERED else "no, it is for Firsthand's own services"
    yield (
        f"Stream `{STREAMS[event.service].name}`, subject `{event.filter_subject('<institution>')}` · as a webhook: "
        f"{delivered} · [schema]({event.event_type()}.json)"
    )
    yield ""
    state = _resolved(schema["properties"]["data"], schema)
    yield "| in `data` | | |"
    yield "|---|---|---|"
    yield from _rows(state, schema)
    yield ""
    yield "```json"
    yield json.dumps(json.loads(example_of(event).wire()), indent=2, ensure_ascii=False)
    yield "```"
    yield ""


def _rows(state: dict[str, Any], schema: dict[str, Any], inside: str = "") -> Iterator[str]:
    for field, shape in state["properties"].items():
        inner = _resolved(shape, schema)
        said = shape.get("description") or inner.get("description", "")
        yield f"| `{inside}{field}` | {_type_of(shape, schema)} | {said.splitlines()[0] if said else ''} |"
        if "$ref" in shape and "properties" in inner:
            yield from _rows(inner, schema, f"{inside}{field}.")


def _resolved(shape: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name: str = shape.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema["$defs"][name] if name else shape
    return found


def _type_of(shape: dict[str, Any], schema: dict[str, Any]) -> str:
    """Say in a few words what a field holds."""
    if "anyOf" in shape:
        kinds = [_type_of(one, schema) for one in shape["anyOf"]]
        named = [kind for kind in kinds if kind not in {"null", "text"}]
        return ", ".join([*(named or ["text"]), *(["null"] if "null" in kinds else [])])
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    if "const" in shape:
        return f"`{shape['const']}`"
    if shape.get("type") == "array":
        return f"list of {_type_of(shape.get('items', {}), schema)}"
    if "$ref" in shape or shape.get("type") == "object":
        return "object"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return "time" if shape.get("format") == "date-time" else words.get(shape.get("type", ""), shape.get("type", ""))


__all__ = ["catalogue"]
