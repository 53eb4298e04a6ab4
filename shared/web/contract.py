"""What would break a client of a published HTTP interface: it only grows inside a version."""

from collections.abc import Iterator
from typing import Any, Final

Schema = dict[str, Any]

_METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options")


def breaks(old: Schema, new: Schema) -> Iterator[str]:
    """Tell in plain sentences what `new`, an OpenAPI document, takes from a client that was written for `old`."""
    for path, methods in old["paths"].items():
        for method in (name for name in methods if name in _METHODS):
            operation = new["paths"].get(path, {}).get(method)
            if operation is None:
                yield f"{method.upper()} {path} is gone"
            else:
                where = f"{method.upper()} {path}"
                yield from _request_breaks(where, methods[method], operation, old, new)
                yield from _answer_breaks(where, methods[method], operation, old, new)


def _request_breaks(where: str, before: Schema, after: Schema, old: Schema, new: Schema) -> Iterator[str]:
    known = {(one["in"], one["name"]): one for one in before.get("parameters", ())}
    for parameter in after.get("parameters", ()):
        name = (parameter["in"], parameter["name"])
        if parameter.get("required") and not known.pop(name, {}).get("required"):
            yield f"{where}: `{parameter['name']}` is newly required"
        known.pop(name, None)
    for _, name in known:
        yield f"{where}: the parameter `{name}` is gone"
    asked, asks = _body(before, old), _body(after, new)
    for name in set(asks.get("required", ())) - set(asked.get("required", ())):
        yield f"{where}: `{name}` of the body is newly required"
    for name in set(asked.get("properties", ())) - set(asks.get("properties", ())):
        yield f"{where}: `{name}` of the body is gone"


def _answer_breaks(where: str, before: Schema, after: Schema, old: Schema, new: Schema) -> Iterator[str]:
    for status, answer in before["responses"].items():
        if not status.startswith("2"):
            continue
        if status not in after["responses"]:
            yield f"{where}: no longer answers {status}"
            continue
        for kind, content in answer.get("content", {}).items():
            there = after["responses"][status].get("content", {}).get(kind)
            if there is None:
                yield f"{where}: no longer answers {kind}"
            else:
                was, now = content.get("schema", {}), there.get("schema", {})
                yield from _shape_breaks(f"{where} {status}", was, now, old, new, ())


def _shape_breaks(
    where: str, was: Schema, now: Schema, old: Schema, new: Schema, seen: tuple[str, ...]
) -> Iterator[str]:
    if was.get("$ref", "") in seen:
        return
    seen = (*seen, was["$ref"]) if "$ref" in was else seen
    was, now = _resolved(was, old), _resolved(now, new)
    if was.get("type") != now.get("type") and "type" in was and "type" in now:
        yield f"{where}: has another type"
    for name, field in was.get("properties", {}).items():
        if name not in now.get("properties", {}):
            yield f"{where}: `{name}` is gone"
        else:
            yield from _shape_breaks(f"{where}: `{name}`", field, now["properties"][name], old, new, seen)
    for name in set(was.get("required", ())) - set(now.get("required", ())):
        if name in now.get("properties", {}):
            yield f"{where}: `{name}` may now be absent"
    if "items" in was:
        yield from _shape_breaks(where, was["items"], now.get("items", {}), old, new, seen)


def _body(operation: Schema, document: Schema) -> Schema:
    content = operation.get("requestBody", {}).get("content", {})
    return _resolved(content.get("application/json", {}).get("schema", {}), document)


def _resolved(schema: Schema, document: Schema) -> Schema:
    for choice in schema.get("anyOf", ()):  # one that may also be left out
        if "$ref" in choice:
            schema = choice
            break
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


__all__ = ["breaks"]
