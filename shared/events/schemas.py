"""The events' public contract as files: a JSON Schema an event, one AsyncAPI document, and a catalogue for people.

`python -m firsthand.shared.events.schemas write` renews docs/events/ and refuses what would break a consumer;
`... check` fails when the files are not what the models say. A version only grows: nothing is renamed, removed,
narrowed or newly required inside it. Named values (`state`, `answer`, a scope) may grow where they are open:
`Literal[...] | Unknown`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from firsthand.shared.events import EVENTS, AnyEvent
from firsthand.shared.events.catalogue import catalogue
from firsthand.shared.events.examples import example_of
from firsthand.shared.topology import DURABLES, STREAMS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "events"

Schema = dict[str, Any]


def schema_of(event: type[AnyEvent]) -> Schema:
    """The JSON Schema (2020-12) of an event as it is on the wire."""
    schema = event.model_json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = event.event_type()
    # absent attributes are left out on the wire, so a default is never required
    properties = schema["properties"]
    schema["required"] = [name for name in schema["required"] if "default" not in properties[name]]
    return schema


def asyncapi() -> Schema:
    """The AsyncAPI 3.0 document: a channel an event, what each service sends and receives."""
    channels, operations, messages = {}, {}, {}
    for event in EVENTS.values():
        name = event.__name__
        messages[name] = {
            "name": event.event_type(),
            "summary": (event.__doc__ or "").strip().split("\n")[0] if "__doc__" in vars(event) else event.event_type(),
            "contentType": "application/cloudevents+json",
            "payload": {"$ref": f"./{event.event_type()}.json"},
            "examples": [{"payload": json.loads(example_of(event).wire())}],
        }
        channels[name] = {
            "address": event.filter_subject("{institution}"),
            "parameters": {"institution": {"description": "the institution's slug"}},
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "bindings": {"nats": {"bindingVersion": "0.1.0"}},
        }
        operations[f"{event.service}.send.{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"{event.service} publishes it to {STREAMS[event.service].name}",
        }
    for durable in DURABLES:
        for event in durable.events:
            operations[f"{durable.service}.{durable.handler}.{event.__name__}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{event.__name__}"},
                "summary": f"{durable.service} handles it in {durable.handler}",
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Firsthand events",
            "version": "1",
            "description": "CloudEvents 1.0 on NATS JetStream.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def files() -> dict[str, str]:
    """File name -> text of everything in docs/events/."""
    documents = {f"{type_}.json": schema_of(event) for type_, event in EVENTS.items()}
    documents["asyncapi.json"] = asyncapi()
    texts = {name: json.dumps(document, indent=1, sort_keys=True) + "\n" for name, document in documents.items()}
    return texts | {"catalogue.md": catalogue()}


def breaks(old: Schema, new: Schema) -> Iterator[str]:
    """What in `new` would break a reader of `old`, in plain sentences."""
    yield from _object_breaks("the event", old, new)
    for name, definition in old.get("$defs", {}).items():
        successor = new.get("$defs", {}).get(name)
        if successor is None:
            yield f"{name} is gone"
        else:
            yield from _object_breaks(name, definition, successor)


def _object_breaks(where: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, field in before.items():
        if name not in after:
            yield f"{where}: `{name}` is gone"
            continue
        for what in _field_breaks(field, after[name]):
            yield f"{where}: `{name}` {what}"
        if name in old.get("required", ()) and name not in new.get("required", ()):
            yield f"{where}: `{name}` may now be absent"
    # events of years ago are read again by a new consumer, so a new field needs a default
    for name in set(new.get("required", ())) - set(before):
        yield f"{where}: `{name}` is new and has no default"


@dataclass(frozen=True)
class _Named:
    """A field of named values. Open: its readers are built for values that they do not know."""

    values: frozenset[str]
    is_open: bool
    may_be_null: bool

    @classmethod
    def of(cls, field: Schema) -> Self | None:
        """Read a field; None when it holds something else than named values."""
        choices = field.get("anyOf", [field])
        named = [choice for choice in choices if "enum" in choice or "const" in choice]
        others = [choice for choice in choices if choice not in named]
        if len(named) != 1 or any(choice.keys() != {"type"} for choice in others):
            return None
        values = named[0].get("enum", [named[0].get("const")])
        types = {choice["type"] for choice in others}
        return cls(frozenset(map(str, values)), "string" in types, "null" in types)


def _named_breaks(old: _Named, new: _Named | None) -> Iterator[str]:
    if new is None:
        yield "has another type"
        return
    if missing := old.values - new.values:
        yield f"lost {', '.join(sorted(missing))}"
    if (old.is_open and not new.is_open) or (old.may_be_null and not new.may_be_null):
        yield "takes less than before"
    if not new.is_open and new.values - old.values:
        yield f"grew {', '.join(sorted(new.values - old.values))}, but is not open for it: `Literal[...] | Unknown`"


def _field_breaks(old: Schema, new: Schema) -> Iterator[str]:
    if named := _Named.of(old):
        yield from _named_breaks(named, _Named.of(new))
        return
    for key in ("type", "const", "$ref", "format", "pattern"):
        if old.get(key) != new.get(key):
            yield f"has another {key}"
    if "items" in old:
        yield from _field_breaks(old["items"], new.get("items", {}))
    choices, successors = old.get("anyOf", []), new.get("anyOf", [])
    if len(choices) > len(successors):
        yield "takes less than before"
    for choice, successor in zip(choices, successors, strict=False):
        yield from _field_breaks(choice, successor)


def broken_since_committed() -> list[str]:
    """What the models break of the schemas that stand in docs/events/."""
    found = []
    for path in sorted(FOLDER.glob("firsthand.*.json")):
        old = json.loads(path.read_text())
        event = EVENTS.get(path.stem)
        if event is None:
            found.append(f"{path.stem}: the event is gone")
        else:
            found += [f"{path.stem}: {what}" for what in breaks(old, schema_of(event))]
    return found


def main(command: str) -> int:
    broken = broken_since_committed()
    if broken:
        sys.stderr.write(
            "A published event may only grow; add a new version (v2) instead:\n  " + "\n  ".join(broken) + "\n"
        )
        return 1
    if command == "write":
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in files().items():
            (FOLDER / name).write_text(text)
        return 0
    stale = [
        name for name, text in files().items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text
    ]
    if stale:
        sys.stderr.write(
            f"docs/events/ is out of date ({', '.join(stale)}); run: python -m firsthand.shared.events.schemas write\n"
        )
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "check"))
