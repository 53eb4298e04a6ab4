"""Documents of every release are read by this one, and what another release wrote is never dropped.

The fixtures are made by tests/releases/make.py; docs/decisions/0017-documents-survive-versions.md has the why.
"""

import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, is_typeddict

import pytest
from pydantic import BaseModel, RootModel

from firsthand.services.__main__ import SERVICES
from firsthand.shared.clock import SystemClock
from firsthand.shared.deployment import KEY_STORE_KINDS
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import Document
from firsthand.shared.store.kinds import kind_of
from firsthand.shared.store.sqlite import SqliteStore
from firsthand.shared.store.versions import models_in, raw_of, read

RELEASES: Final = Path(__file__).parents[1] / "releases"
NEWEST: Final = max(
    (folder.name for folder in RELEASES.iterdir() if folder.name[0].isdigit()),
    key=lambda name: tuple(map(int, name.split("."))),
)

# "<database>: <kind>" of kinds that came after the newest release. Making its fixtures at a release empties it.
NEW_SINCE: Final[frozenset[str]] = frozenset(
    {
        "archive: clip",
        "archive: transcript",
        "archive: version",
        "consent: page_lock",
        "discovery: gone",
        *(f"{service}.keys: clock" for service in SERVICES),
        *(f"webhooks: {kind.kind}" for kind in SERVICES["webhooks"].documents),
        *(f"webhooks.keys: {kind.kind}" for kind in KEY_STORE_KINDS),
    }
)
# Kinds that a release had and this one has no longer, whose documents nobody needs.
RETIRED: Final[frozenset[str]] = frozenset()

KINDS: Final[dict[str, type[Document]]] = {
    f"{database}: {kind.kind}": kind
    for name, service in SERVICES.items()
    for database, kinds in ((name, service.documents), (f"{name}.keys", KEY_STORE_KINDS))
    for kind in kinds
}
Raw = dict[str, Any]


def fixtures(release: str) -> dict[str, list[Raw]]:
    return {
        f"{file.stem}: {kind}": documents
        for file in sorted((RELEASES / release).glob("*.json"))
        for kind, documents in json.loads(file.read_text(encoding="utf-8")).items()
    }


ALL: Final = [
    pytest.param(name, documents, id=f"{folder.name} {name}")
    for folder in sorted(RELEASES.glob("[0-9]*"))
    for name, documents in fixtures(folder.name).items()
    if name not in RETIRED
]


def upgraded(kind: type[Document], raw: Raw) -> Raw:
    """What the steps make of a document, which is then what must not be lost."""
    changed: Raw = json.loads(json.dumps(raw))
    for step in kind.upgrades[raw.get("schema_number", 1) - 1 :]:
        changed = step(changed)
    return changed


def lost(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Name what was there before and is not, or is another, afterwards."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name not in after:
                yield f"{place}.{name} is gone"
            else:
                yield from lost(value, after[name], f"{place}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{place}[{n}]")
    elif before != after:
        yield f"{place} is another"


def mark(value: Any, raw: Any) -> None:
    """Add to every model in a document what a newer release might."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            mark(getattr(value, name), raw[name])
        raw["of_a_newer_release"] = {"deep": [1, None, "x"]}
    elif isinstance(value, list | tuple):
        for inner, of_inner in zip(value, raw, strict=True):
            mark(inner, of_inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            mark(inner, raw[name])


def nested(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all models within it."""
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            if inner is not model:
                yield from nested(inner)


def annotations(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from annotations(inner)


def test_every_kind_has_documents_of_the_newest_release() -> None:
    there = {name for name, documents in fixtures(NEWEST).items() if documents}
    missing = KINDS.keys() - there - NEW_SINCE
    assert not missing, f"make them with: python -m tests.releases.make {NEWEST}; or name them in NEW_SINCE"
    assert not NEW_SINCE & there, "these are no longer new"


def test_every_kind_of_a_release_is_one_of_today_or_is_retired() -> None:
    for folder in RELEASES.glob("[0-9]*"):
        assert not fixtures(folder.name).keys() - KINDS.keys() - RETIRED


@pytest.mark.parametrize(("name", "documents"), ALL)
async def test_a_release_s_documents_are_read_and_saved_and_nothing_is_lost(
    tmp_path: Path, name: str, documents: list[Raw]
) -> None:
    kind = KINDS[name]
    store = await SqliteStore.open(tmp_path / "old.db", SystemClock())
    await store.prepare([kind])
    sql = f'INSERT INTO "{kind.kind}" (institution, id, version, body) VALUES (?, ?, ?, ?)'  # noqa: S608
    for raw in documents:
        row = (raw["institution"], raw["id"], raw["version"], json.dumps(raw, ensure_ascii=False))
        await store._database.write(lambda connection, row=row: connection.execute(sql, row))
    for raw in documents:
        collection = store.collection(kind, InstitutionId(raw["institution"]))
        found = await collection.get(raw["id"])
        assert found is not None
        await collection.save(found)
        again = f'SELECT body FROM "{kind.kind}" WHERE institution = ? AND id = ?'  # noqa: S608
        (body,) = store._database.point(again, (raw["institution"], raw["id"]))
        saved = json.loads(body)
        assert saved["schema_number"] == kind.schema_now()
        assert list(lost(upgraded(kind, raw) | {"version": raw["version"] + 1}, saved)) == []
        for index in kind_of(kind).indexes:  # found by each index, as before
            where = {index.fields[0]: getattr(found, index.fields[0])}
            assert raw["id"] in [one.id for one in (await collection.find(where, limit=1000)).items]
    await store.close()


@pytest.mark.parametrize(("name", "documents"), ALL)
def test_fields_of_a_newer_release_are_kept_in_every_model_of_a_document(name: str, documents: list[Raw]) -> None:
    kind = KINDS[name]
    for raw in documents:
        known = read(kind, json.dumps(raw))
        marked = raw_of(known)
        mark(known, marked)
        found = read(kind, json.dumps(marked))
        assert raw_of(found.model_copy()) == marked
        assert "of_a_newer_release" not in found.model_dump_json()
        assert "of_a_newer_release" not in str(found.model_dump(by_alias=True))


@pytest.mark.parametrize("name", KINDS)
def test_nothing_in_a_document_is_of_a_type_that_would_drop_fields(name: str) -> None:
    """What the store cannot look into: see `shared.store.versions`."""
    for model in nested(KINDS[name]):
        said = f"{model.__module__}.{model.__name__}"
        assert not issubclass(model, RootModel), f"{said} has no fields to keep unknown ones beside"
        decorators = model.__pydantic_decorators__
        assert not decorators.model_serializers, f"{said} is dumped by code that forgets what it does not know"
        assert not [one for one in decorators.model_validators.values() if one.info.mode == "wrap"], said
        assert not model.model_config.get("serialize_by_alias"), f"{said} is stored by the names of its fields"
        for field_name, field in model.model_fields.items():
            assert not field.exclude, f"{said}.{field_name} is not stored"
            for one in annotations(field.annotation):
                here = f"{said}.{field_name}: {one}"
                if get_origin(one) in {Union, UnionType}:
                    assert len([arg for arg in get_args(one) if any(models_in(arg))]) <= 1, (
                        f"{here} may be read as either"
                    )
                if get_origin(one) in {set, frozenset}:
                    assert not any(models_in(one)), f"{here} has no order"
                assert not is_typeddict(one), f"{here} drops what it does not know"
                if isinstance(one, type) and not issubclass(one, BaseModel):
                    assert not is_dataclass(one), f"{here} drops what it does not know"
                    assert not (issubclass(one, tuple) and hasattr(one, "_fields")), (
                        f"{here} drops what it does not know"
                    )
