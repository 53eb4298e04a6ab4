"""Whether finished media lie in a bucket of an S3 store, and that it does not answer."""

import functools
from typing import TYPE_CHECKING

from firsthand.shared.settings import Settings
from firsthand.shared.store import StoreUnavailable

if TYPE_CHECKING:
    from firsthand.shared.bucket_objects import Bucket


class BucketUnavailable(StoreUnavailable):
    """The bucket does not answer, is not there, or refuses us. The message says which; `code` is S3's own, if any."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@functools.lru_cache(maxsize=8)
def _bucket(url: str, endpoint: str, region: str, access_key_id: str, secret_access_key: str) -> "Bucket":
    from firsthand.shared.bucket_objects import Bucket  # a library that nobody loads who keeps media in a folder

    return Bucket(
        url, endpoint=endpoint, region=region, access_key_id=access_key_id, secret_access_key=secret_access_key
    )


def bucket_of(settings: Settings) -> "Bucket | None":
    """Give the bucket of this deployment, one for the process; None where recordings lie in the media folder."""
    if not settings.media_url:
        return None
    return _bucket(
        settings.media_url,
        settings.media_endpoint,
        settings.media_region,
        settings.media_access_key_id,
        settings.media_secret_access_key,
    )
