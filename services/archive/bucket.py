"""Looking after the bucket: whether it answers, and what came into it after its contact was erased."""

import asyncio
from typing import TYPE_CHECKING, Final

from firsthand.services.archive.model import Recording
from firsthand.services.archive.repository import shelf_of
from firsthand.shared.bucket import BucketUnavailable, bucket_of
from firsthand.shared.service import Context

if TYPE_CHECKING:
    from firsthand.shared.bucket_objects import Bucket

_ASK_EVERY: Final = 10.0  # seconds
_LOOK_EVERY: Final = 3600.0  # seconds
_ANSWERS_WITHIN: Final = 5.0  # seconds


async def ask_bucket(context: Context) -> None:
    """Ask the bucket whether it answers, and tell when it does not; runs in the background.

    Pages, uploads and what is in the folder go on without it, so archive stays ready.
    """
    while bucket := bucket_of(context.settings):
        context.impair("bucket", await _amiss(bucket))
        await asyncio.sleep(_ASK_EVERY)


async def _amiss(bucket: "Bucket") -> list[str]:
    try:
        await asyncio.wait_for(bucket.check(), _ANSWERS_WITHIN)
    except BucketUnavailable as error:
        return [str(error)]
    except TimeoutError:
        return ["the bucket does not answer in time"]
    return []


async def watch_bucket(context: Context) -> None:
    """Look through the bucket at the start and every hour; runs in the background."""
    while bucket_of(context.settings):
        try:
            await erase_what_came_late(context)
        except BucketUnavailable as error:
            context.log.warning("the bucket was not looked through: %s", error)
        await asyncio.sleep(_LOOK_EVERY)


async def erase_what_came_late(context: Context) -> None:
    """Remove the folders of contacts who are erased: objects that the store completed when the process that put them
    had been killed, or that were restored. Raises BucketUnavailable.
    """
    if (bucket := bucket_of(context.settings)) is None:
        return
    for institution in await context.store.institutions(Recording):
        there = set(await bucket.folders(institution))
        for contact_id in there.intersection(await context.vault.erased(institution)):
            context.log.warning("the bucket held something of an erased contact", extra={"contact": contact_id})
            await shelf_of(context, institution, contact_id).clear()
