"""Documents of older releases get the indexed fields that came after them, so that lists find them.

A store finds what is stored: a document that was stored before a field existed is found as one without it, until it is
saved again. So those are looked for, which costs one look into an index, and saved: at a start before any door opens,
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
_AT_ONCE: Final = 500  # documents; the store commits them together


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
    if not (await documents.find({renewal.field: None}, limit=1)).items:
        return 0
    renewed = 0
    after: str | None = None
    while True:  # by id through all of them, because what is found by the field moves while it is renewed
        page = await documents.find(limit=_AT_ONCE, after=after)
        old = [document for document in page.items if getattr(document, renewal.field) is None]
        for document in old:
            renewal.renew(document, context.clock.now())
        saved = await asyncio.gather(*(documents.save(document) for document in old), return_exceptions=True)
        failed = [one for one in saved if isinstance(one, BaseException)]
        for error in failed:
            with contextlib.suppress(Conflict):  # somebody else saved it: with the field, or to be found the next time
                raise error
        renewed += len(saved) - len(failed)
        if (after := page.next) is None:
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
