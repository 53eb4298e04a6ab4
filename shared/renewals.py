"""Documents of older releases get the indexed fields that came after them, so that lists find them.

A store finds what is stored: a document that was stored before a field existed is found as one without it, until it is
saved again. So those are looked for, which costs one look into an index, and saved in the background: after a start,
and now and then later, because replicas of the older release may still write beside this one. Until then a list says
that it is not complete (`is_complete`).
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Final

from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, Renewal
from firsthand.shared.store import Collection, Conflict, D, Document, StoreUnavailable, Unreadable

_EVERY: Final = 60.0  # seconds between two looks
_AT_ONCE: Final = 100  # documents; the store commits them together


class _Renewed:
    """What this replica has gone through."""

    def __init__(self, _context: Context) -> None:
        self.complete: set[tuple[type[Document], InstitutionId]] = set()  # no list lacks anything
        self.unreadable: set[tuple[type[Document], InstitutionId]] = set()  # some wait for another release
        self.is_through = False  # with all of them, once


def is_complete(context: Context, kind: type[Document], institution: InstitutionId) -> bool:
    """Tell whether lists of this kind lack no document of an older release."""
    renewed, one = context.own(_Renewed), (kind, institution)
    return one in renewed.complete or (renewed.is_through and one not in renewed.unreadable)


async def renew(context: Context, renewals: Mapping[type[Document], Renewal]) -> int:
    """Renew whatever lacks its field; returns how many documents were saved. Raises StoreUnavailable."""
    known, renewed = context.own(_Renewed), 0
    for kind, renewal in renewals.items():
        for institution in await context.store.institutions(kind):
            try:
                renewed += await _renew(context, kind, institution, renewal)
            except Unreadable as error:  # a release that can read it does; nothing else waits for that
                context.log.warning("older documents are not all renewed: %s", error)
                known.unreadable.add((kind, institution))
            else:
                known.unreadable.discard((kind, institution))
    known.is_through = True
    if renewed:
        context.log.info("renewed documents of an older release", extra={"documents": renewed})
    return renewed


async def keep_renewing(context: Context, renewals: Mapping[type[Document], Renewal]) -> None:
    """Look again and again; runs in the background."""
    while True:
        try:
            await renew(context, renewals)
        except StoreUnavailable as error:
            context.log.warning("renewing older documents waits for the store: %s", error)
        await asyncio.sleep(_EVERY)


async def _renew(context: Context, kind: type[D], institution: InstitutionId, renewal: Renewal) -> int:
    documents, complete = context.store.collection(kind, institution), context.own(_Renewed).complete
    renewed = 0
    if await _lacks(documents, renewal.field):
        for where in renewal.first:
            after: str | None = None
            while True:
                page = await documents.find(where, sort=renewal.sort, limit=_AT_ONCE, after=after)
                old = [document for document in page.items if getattr(document, renewal.field) is None]
                renewed += await _renew_each(context, documents, renewal, old)
                if (after := page.next) is None:
                    break
        if renewal.first:
            complete.add((kind, institution))
        while old := (await documents.find({renewal.field: None}, limit=_AT_ONCE)).items:
            renewed += await _renew_each(context, documents, renewal, old)
    complete.add((kind, institution))
    return renewed


async def _renew_each(context: Context, documents: Collection[D], renewal: Renewal, old: Sequence[D]) -> int:
    """Save these with their field. Takes half of the time, so that other work goes on meanwhile."""
    began = time.monotonic()
    for document in old:
        await renewal.renew(context, document)
    saved = await asyncio.gather(*(documents.save(document) for document in old), return_exceptions=True)
    failed = [one for one in saved if isinstance(one, BaseException)]
    for error in failed:
        with contextlib.suppress(Conflict):  # somebody else saved it: with the field, or to be found the next time
            raise error
    await asyncio.sleep(time.monotonic() - began)
    return len(saved) - len(failed)


async def _lacks(documents: Collection[D], field: str) -> bool:
    return bool((await documents.find({field: None}, limit=1)).items)


__all__ = ["is_complete", "keep_renewing", "renew"]
