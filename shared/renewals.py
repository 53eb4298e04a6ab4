"""Documents of older releases get the indexed fields that came after them, so that lists find them.

A store finds what is stored: a document that was stored before a field existed is found as one without it, until it is
saved again. So those are looked for, which costs one look into an index, and saved; at a start before any door opens,
and now and then afterwards, because replicas of the older release may still write beside this one.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, Renewal
from firsthand.shared.store import Conflict, Document, StoreUnavailable, Unreadable

_EVERY: Final = 60.0  # seconds between two looks
_AT_ONCE: Final = 200  # documents; the store commits them together


async def renew(context: Context, renewals: Mapping[type[Document], Renewal]) -> int:
    """Renew whatever lacks its field; tells how many documents were saved. Raises StoreUnavailable."""
    renewed = 0
    for kind, renewal in renewals.items():
        for institution in await context.store.institutions(kind):
            try:
                renewed += await _renew(context, kind, institution, renewal)
            except Unreadable as error:  # a release that can read it does; nothing else waits for that
                context.log.warning("older documents are not all renewed: %s", error)
    if renewed:
        context.log.info("renewed documents of an older release", extra={"documents": renewed})
    return renewed


async def _renew(context: Context, kind: type[Document], institution: InstitutionId, renewal: Renewal) -> int:
    documents = context.store.collection(kind, institution)
    renewed = 0
    while found := (await documents.find({renewal.field: None}, limit=_AT_ONCE)).items:
        for document in found:
            renewal.renew(document, context.clock.now())
            if getattr(document, renewal.field) is None:
                raise ValueError(f"renewing a {kind.kind} leaves {renewal.field} as it was")
        # A Conflict: somebody else saved it, and either with the field or to be found again.
        saved = await asyncio.gather(*(documents.save(document) for document in found), return_exceptions=True)
        failed = [one for one in saved if isinstance(one, BaseException)]
        for error in failed:
            with contextlib.suppress(Conflict):
                raise error
        renewed += len(found) - len(failed)
    return renewed


async def keep_renewing(context: Context, renewals: Mapping[type[Document], Renewal]) -> None:
    """Look again and again; runs in the background."""
    while True:
        await asyncio.sleep(_EVERY)
        try:
            await renew(context, renewals)
        except StoreUnavailable as error:
            context.log.warning("renewing older documents waits for the store: %s", error)


__all__ = ["keep_renewing", "renew"]
