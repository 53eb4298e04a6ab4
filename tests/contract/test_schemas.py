"""The events' public contract only grows inside a version."""

import copy
import json
from typing import Any

import jsonschema_rs
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from firsthand.services.webhooks.attempts import CONTENT_TYPE
from firsthand.shared.events import EVENTS, AnyEvent, parse_event, schemas
from firsthand.shared.events.consent import ConsentGrantedV1
from firsthand.shared.events.examples import example_of
from firsthand.shared.topology import DURABLES, STREAMS


@pytest.fixture
def granted() -> dict[str, Any]:
    return copy.deepcopy(schemas.schema_of(ConsentGrantedV1))


def test_what_is_committed_is_what_the_models_say() -> None:
    committed = {path.name: path.read_text() for path in schemas.FOLDER.iterdir()}
    assert committed == schemas.files()


@pytest.mark.parametrize("type_", EVENTS)
def test_each_example_is_valid_for_others_and_says_nothing_that_the_schema_does_not(type_: str) -> None:
    schema = json.loads((schemas.FOLDER / f"{type_}.json").read_text())
    for shape in [schema, *schema.get("$defs", {}).values()]:
        if "properties" in shape:
            shape.setdefault("additionalProperties", False)
    example = example_of(EVENTS[type_])
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(json.loads(example.wire()))
    assert parse_event(example.wire()) == example
    read = from_structured_event(HTTPMessage({"content-type": CONTENT_TYPE}, example.wire()))
    assert (read.get_id(), read.get_type(), read.get_subject()) == (example.id, type_, example.subject)


def test_a_new_field_with_a_default_breaks_nobody(granted: dict[str, Any]) -> None:
    newer = copy.deepcopy(granted)
    newer["$defs"]["ConsentRecordState"]["properties"]["witness"] = {"type": "string", "default": ""}
    assert list(schemas.breaks(granted, newer)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state["properties"].pop("scopes"), "`scopes` is gone"),
        (lambda state: state["properties"]["released"].update(type="string"), "`released` has another type"),
        (lambda state: state["properties"]["state"]["anyOf"][0]["enum"].remove("paused"), "`state` lost paused"),
        (lambda state: state["properties"]["scopes"]["items"]["anyOf"][0]["enum"].remove("meet"), "`scopes` lost meet"),
        (lambda state: state["properties"]["signer"]["anyOf"].pop(), "`signer` takes less"),
        (lambda state: state["properties"]["state"]["anyOf"].pop(), "`state` takes less"),
        (lambda state: state["required"].remove("state"), "`state` may now be absent"),
        (
            lambda state: (state["properties"].update(witness={"type": "string"}), state["required"].append("witness")),
            "`witness` is new and has no default",
        ),
    ],
)
def test_what_would_break_a_consumer_is_refused_in_plain_words(granted: dict[str, Any], change: Any, said: str) -> None:
    newer = copy.deepcopy(granted)
    change(newer["$defs"]["ConsentRecordState"])
    assert [text for text in schemas.breaks(granted, newer) if said in text]


def test_named_values_grow_only_where_their_readers_are_open_for_it(granted: dict[str, Any]) -> None:
    newer = copy.deepcopy(granted)
    newer["$defs"]["ConsentRecordState"]["properties"]["state"]["anyOf"][0]["enum"].append("suspended")
    assert list(schemas.breaks(granted, newer)) == []
    older = {"type": "object", "properties": {"kind": {"enum": ["a", "b"], "type": "string"}}}
    grown = {"type": "object", "properties": {"kind": {"enum": ["a", "b", "c"], "type": "string"}}}
    opened = {"type": "object", "properties": {"kind": {"anyOf": [grown["properties"]["kind"], {"type": "string"}]}}}
    assert [text for text in schemas.breaks(older, grown) if "is not open for it" in text]
    assert list(schemas.breaks(older, opened)) == []
    assert [text for text in schemas.breaks(opened, grown) if "takes less" in text]


def test_every_named_value_of_every_event_is_open(granted: dict[str, Any]) -> None:
    closed = [
        f"{event.event_type()}: {name}.{field}"
        for event in EVENTS.values()
        for name, definition in schemas.schema_of(event).get("$defs", {}).items()
        for field, shape in definition.get("properties", {}).items()
        if "enum" in shape or "const" in shape or "enum" in shape.get("items", {})
    ]
    assert closed == []


def test_every_event_has_a_name_of_its_own_and_a_producing_service() -> None:
    assert len({event.__name__ for event in EVENTS.values()}) == len(EVENTS)
    assert {event.service for event in EVENTS.values()} == STREAMS.keys()


def test_every_event_but_internal_ones_is_followed_by_somebody() -> None:
    followed = {event for durable in DURABLES for event in durable.events}
    # every replica hears which sessions have ended; no durable is needed for it
    assert {event.event_type() for event in set(EVENTS.values()) - followed} == {
        "firsthand.person.changed.v1",
        "firsthand.session.ended.v1",
        "firsthand.page.locked.v1",
    }


# Of JSON Schema 2020-12, what our schemas use. Strict validators (AJV) refuse a word that they do not know.
_KEYWORDS = {
    "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "description", "enum",
    "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum",
    "pattern", "properties", "required", "title", "type", "uniqueItems",
}  # fmt: skip


def _words(schema: object) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_words, schema))
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for name, value in schema.items():
        if name in {"properties", "$defs"}:
            found |= set().union(*map(_words, value.values()))
        elif name not in {"default", "const", "enum", "required"}:
            found |= _words(value)
    return found


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_a_strict_validator_knows_every_word_of_a_schema(event: type[AnyEvent]) -> None:
    assert _words(schemas.schema_of(event)) - _KEYWORDS == set()
