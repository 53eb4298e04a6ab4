"""Moves an embedded deployment's databases to MongoDB, through the storage port alone, and compares both sides.

Documents and contacts' keys go over as they are: versions, times, events that wait to be published. The files are held
for the whole of it, so that no service starts on them meanwhile, and nothing in them is changed. Both sides are gone
through side by side in the order of ids, a page at a time: memory grows with the number of journeys (their ids) and of
events that wait, not with that of documents.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from firsthand.shared.clock import Clock
from firsthand.shared.deployment import KEY_STORE_KINDS
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Service
from firsthand.shared.settings import Settings
from firsthand.shared.store import AlreadyExists, Collection, Document, OutboxEntry, Store
from firsthand.shared.store.opened import key_store_file, open_key_store, open_store, store_file

_AT_ONCE: Final = 32  # documents under way to the server; as many as a store has connections
_MOST_WAITING: Final = 20_000  # events a service; they are held in memory, about 2 kB each
_NAMED: Final = 1000  # differences that are told one by one; the others are counted

Of = tuple[str, InstitutionId, str]  # a document: kind, institution, id
Waiting = dict[Of, list[OutboxEntry]]  # in the order of saves
Tell = Callable[[str, int, int], None]  # what is done, how many documents so far, of how many


class CannotMigrate(Exception):  # noqa: N818 - says what is the case
    """It is not done; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Part:
    """One database that moves: a service's documents, or the keys of its contacts."""

    name: str
    kinds: Sequence[type[Document]]
    source: Store
    target: Store


@dataclass(frozen=True)
class Count:
    """How many documents of one kind and institution each side has."""

    part: str
    kind: str
    institution: InstitutionId
    source: int
    target: int


@dataclass
class Report:
    """What a comparison found."""

    counts: list[Count] = field(default_factory=list)
    waiting: tuple[int, int] = (0, 0)  # events, in the source and in the target
    journeys: int = 0
    journeys_equal: int = 0
    differing: int = 0  # documents and indexes
    differences: list[str] = field(default_factory=list)  # the first thousand of them, a line each

    @property
    def equal(self) -> bool:
        return not self.differing

    def differs(self, line: str) -> None:
        self.differing += 1
        if self.differing <= _NAMED:
            self.differences.append(line)


@contextlib.asynccontextmanager
async def opened(
    source: Settings, target: Settings, services: Sequence[Service], clock: Clock
) -> AsyncIterator[list[Part]]:
    """Open the databases that lie in the source's folders, and their counterparts where the target's settings say.

    Raises CannotMigrate when there are none, half of them, or of another version; StoreUnavailable when one is in use
    or not reachable.
    """
    source = source.model_copy(update={"mongo_url": "", "keys_mongo_url": ""})
    async with contextlib.AsyncExitStack() as stack:

        async def held(opening: Any) -> Store:
            store: Store = await opening
            stack.push_async_callback(store.close)
            return store

        here = _with_databases(source, services)
        # All files are taken before anything else, so that nothing starts on one while another is on its way.
        sources = [
            (await held(open_store(source, one.name, clock)), await held(open_key_store(source, one.name, clock)))
            for one in here
        ]
        for service, (documents, keys) in zip(here, sources, strict=True):
            await _refuse_drift(service.name, documents, service.documents)
            await _refuse_drift(f"{service.name} keys", keys, KEY_STORE_KINDS)
        parts: list[Part] = []
        for service, (documents, keys) in zip(here, sources, strict=True):
            to = await held(open_store(target, service.name, clock))
            keys_to = await held(open_key_store(target, service.name, clock))
            parts.append(Part(service.name, service.documents, documents, to))
            parts.append(Part(f"{service.name} keys", KEY_STORE_KINDS, keys, keys_to))
        yield parts


def _with_databases(source: Settings, services: Sequence[Service]) -> list[Service]:
    found: list[Service] = []
    for service in services:
        files = (store_file(source, service.name), key_store_file(source, service.name))
        missing = [file for file in files if not file.exists()]
        if len(missing) == 1:
            (there,) = set(files) - set(missing)
            raise CannotMigrate(
                f"{there} is there, but {missing[0]} is not: documents and keys move together. "
                "Are FIRSTHAND_DATA and FIRSTHAND_KEYS_DIR those of the embedded deployment?"
            )
        if not missing:
            found.append(service)
    if not found:
        raise CannotMigrate(
            f"There is nothing to migrate: no database lies in {source.databases}. Is FIRSTHAND_DATA right?"
        )
    return found


async def move(parts: Sequence[Part], tell: Tell = lambda *_: None) -> None:
    """Bring every document, with its events that wait, to the target. Done again it goes on where it stopped.

    Raises CannotMigrate, having written nothing, when the target holds anything that the source does not, and when a
    document is too large; StoreUnavailable.
    """
    for part in parts:
        await _refuse_foreign(part)
    total = await _total(parts)
    done = 0
    for part in parts:
        await part.target.prepare(part.kinds)
        async for adopted in _copied(part):
            done += adopted
            tell(f"moving {part.name}", done, total)


async def compare(parts: Sequence[Part], tell: Tell = lambda *_: None) -> Report:
    """Read both sides and tell every document, waiting event and index that differs. Changes nothing."""
    report = Report()
    journeys: set[tuple[InstitutionId, str]] = set()
    touched: set[tuple[InstitutionId, str]] = set()  # what differing documents belong to
    total = await _total(parts)
    done = 0
    for part in parts:
        for drift in await part.target.drift(part.kinds):
            report.differs(f"{part.name}: {drift}")
        source, target = await _waiting(part.source, part.kinds), await _waiting(part.target, part.kinds)
        report.waiting = (report.waiting[0] + _events(source), report.waiting[1] + _events(target))
        for kind in part.kinds:
            for institution in await _institutions(part, kind):
                both = [0, 0]
                async for here, there in _side_by_side(part, kind, institution):
                    one = here or there
                    assert one is not None
                    of = (kind.kind, institution, one.id)
                    differs = _difference(here, there, source.pop(of, []), target.pop(of, []))
                    named = {(institution, id_) for id_ in _contacts(one)}
                    journeys |= named
                    if differs:
                        report.differs(f"{part.name}: {kind.kind} {one.id} of {institution} {differs}")
                        touched |= named | {(institution, one.id)}
                    both = [both[0] + (here is not None), both[1] + (there is not None)]
                    done += here is not None
                    tell(f"comparing {part.name}", done, total)
                report.counts.append(Count(part.name, kind.kind, institution, *both))
        for of in {*source, *target}:
            report.differs(f"{part.name}: events wait of {of[0]} {of[2]} of {of[1]}, which is nowhere")
    report.journeys = len(journeys)
    report.journeys_equal = len(journeys - touched)
    return report


async def _refuse_drift(name: str, source: Store, kinds: Sequence[type[Document]]) -> None:
    if drift := await source.drift(kinds):
        raise CannotMigrate(
            f"The database of {name} is not as this version of Firsthand makes it: {drift[0]} "
            "Start this version once on it, stop it, and migrate then."
        )


async def _refuse_foreign(part: Part) -> None:
    """Raise CannotMigrate if the target holds a document that is not the source's, or not in the source's state."""
    found, first = 0, ""
    source, target = await _waiting(part.source, part.kinds), await _waiting(part.target, part.kinds)
    if unknown := {of[0] for of in source} - {kind.kind for kind in part.kinds}:
        raise CannotMigrate(f"Events wait in {part.name} of {', '.join(unknown)}, which this version does not know.")
    for kind in part.kinds:
        for institution in await part.target.institutions(kind):
            async for here, there in _side_by_side(part, kind, institution):
                if there is None:
                    continue
                of = (kind.kind, institution, there.id)
                if differs := _difference(here, there, source.get(of, []), target.get(of, [])):
                    found += 1
                    first = first or f"{kind.kind} {there.id} of {institution} {differs}"
    if found:
        raise CannotMigrate(
            f"MongoDB holds {found} documents of {part.name} that are not as here (e.g. {first}): one of the two has "
            "been used since, or they are another deployment's. Move to databases of another name (the path of --to), "
            "or drop those that an earlier try left and nothing has used."
        )


async def _copied(part: Part) -> AsyncIterator[int]:
    """Bring what is not there yet; gives how many documents have been dealt with since it was last asked."""
    waiting = await _waiting(part.source, part.kinds)
    kinds = {kind.kind: kind for kind in part.kinds}
    # First those with events, one after the other, so that the events keep their order.
    for of, entries in waiting.items():
        told_of, home = kinds[of[0]], of[1]
        document = await part.source.collection(told_of, home).get(of[2])
        assert document is not None  # a document whose events wait is never deleted
        await _adopt(part.target.collection(told_of, home), document, entries)
    for kind in part.kinds:
        for institution in await part.source.institutions(kind):
            target = part.target.collection(kind, institution)
            batch: list[Document] = []
            async for here, there in _side_by_side(part, kind, institution):
                if here is not None and there is None:
                    batch.append(here)
                if len(batch) == _AT_ONCE:
                    await asyncio.gather(*(_adopt(target, document, []) for document in batch))
                    batch.clear()
                yield int(here is not None)
            await asyncio.gather(*(_adopt(target, document, []) for document in batch))


async def _adopt(target: Collection[Any], document: Document, waiting: Sequence[OutboxEntry]) -> None:
    try:
        await target.adopt(document, waiting)
    except AlreadyExists as error:
        raise CannotMigrate(f"{error}, in another state: something uses the target already. Stop it.") from error
    except ValueError as error:
        raise CannotMigrate(f"{document.kind} {document.id} of {document.institution}: {error}.") from error


async def _side_by_side(
    part: Part, kind: type[Document], institution: InstitutionId
) -> AsyncIterator[tuple[Document | None, Document | None]]:
    """Go through the ids of both sides: what the source and what the target has, never None both.

    Every adapter gives ids in the order of their code points.
    """
    source = aiter(part.source.collection(kind, institution).all())
    target = aiter(part.target.collection(kind, institution).all())
    here, there = await anext(source, None), await anext(target, None)
    while here is not None or there is not None:
        if there is None or (here is not None and here.id < there.id):
            yield here, None
            here = await anext(source, None)
        elif here is None or there.id < here.id:
            yield None, there
            there = await anext(target, None)
        else:
            yield here, there
            here, there = await anext(source, None), await anext(target, None)


def _difference(
    here: Document | None, there: Document | None, source: Sequence[OutboxEntry], target: Sequence[OutboxEntry]
) -> str:
    """Say how a document differs; empty when it does not."""
    if there is None:
        return "is not in MongoDB"
    if here is None:
        return "is only in MongoDB"
    if here.version != there.version:
        return f"has version {here.version} here and {there.version} in MongoDB"
    if here != there:
        return f"differs in {', '.join(_differing_fields(here, there))}"
    if list(source) != list(target):
        return f"has other events that wait: {len(source)} here and {len(target)} in MongoDB"
    return ""


def _differing_fields(here: Document, there: Document) -> Iterator[str]:
    """Name fields, never values."""
    if here.__pydantic_extra__ != there.__pydantic_extra__:
        yield "what a newer release wrote"
    for name in type(here).model_fields:
        if getattr(here, name) != getattr(there, name):
            yield name


def _contacts(document: Document) -> set[str]:
    """Give the contacts whose journeys a document belongs to: those that it names, at any depth."""
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(contact := value.get("contact_id"), str) and contact:
                found.add(contact)
            for inner in value.values():
                look(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                look(inner)

    look(document.model_dump())
    return found


async def _waiting(store: Store, kinds: Sequence[type[Document]]) -> Waiting:
    """Read all events that wait, by document. Raises CannotMigrate when they are more than memory is meant for."""
    await store.drift(kinds)  # a store looks for the events of the kinds that it was told of
    entries = await store.outbox(_MOST_WAITING + 1)
    if len(entries) > _MOST_WAITING:
        raise CannotMigrate(
            f"More than {_MOST_WAITING} events wait to be published. Start the embedded deployment until they are, "
            "stop it, and migrate then."
        )
    found: Waiting = {}
    for entry in entries:
        found.setdefault((entry.kind, entry.institution, entry.document_id), []).append(entry)
    return found


def _events(waiting: Waiting) -> int:
    return sum(map(len, waiting.values()))


async def _institutions(part: Part, kind: type[Document]) -> list[InstitutionId]:
    return sorted({*await part.source.institutions(kind), *await part.target.institutions(kind)})


async def _total(parts: Sequence[Part]) -> int:
    """Count the source's documents."""
    return sum(
        [
            await part.source.collection(kind, institution).count()
            for part in parts
            for kind in part.kinds
            for institution in await part.source.institutions(kind)
        ]
    )


__all__ = ["CannotMigrate", "Count", "Part", "Report", "compare", "move", "opened"]
