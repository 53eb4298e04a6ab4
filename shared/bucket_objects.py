"""The objects of a bucket of an S3 store, and how its refusals are told. Loaded where a bucket is set.

The library has an asynchronous interface too. It is not used: its own threads may call into Python while the process
ends, which then aborts (seen in one of twenty runs, https://github.com/PyO3/pyo3-async-runtimes/issues/40). Here
threads of ours wait instead, few enough that a bucket that hangs takes nothing else with it.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from firsthand.shared.bucket import BucketUnavailable
from firsthand.shared.media import SLOT, MediaDamaged, Source

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

T = TypeVar("T")

_PART: Final = 8 * 1024 * 1024  # bytes; S3 wants 5 MiB at least, and takes 10 000 parts: 78 GiB
_PARTS_AT_ONCE: Final = 2
_FIRST_AHEAD: Final = 4 * SLOT  # a quarter of a MiB after a seek, doubled while reading goes on in order
_MOST_AHEAD: Final = 32 * SLOT  # two MiB: what one player may hold here
_READERS: Final = 16  # threads
_PUTTERS: Final = 4
_LOOK_EVERY: Final = 1.0  # seconds between two questions whether a put may go on
# Of one request, its body included: a window of two MiB, or a part of eight. An ending process waits for no longer.
_QUICK: "Final[ClientConfig]" = {"connect_timeout": "3s", "timeout": "10s"}
_PUTTING: "Final[ClientConfig]" = {"connect_timeout": "3s", "timeout": "30s"}
_AGAIN: "Final[RetryConfig]" = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
_ROUNDS: Final = 10  # of listing and removing, before it is said that objects do not go
# The library has kinds of errors for some of these, but not from every request; its text always has both.
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_REFUSED: Final = re.compile(r"status code: 40[13]")
_ENDS: Final = 64  # bytes of an object's beginning and end that are asked for first; header and trailer are less


class Bucket:
    """The objects below one prefix of a bucket. Methods raise BucketUnavailable; those that block say so."""

    def __init__(self, url: str, *, endpoint: str, region: str, access_key_id: str, secret_access_key: str) -> None:
        self.name, _, prefix = url.removeprefix("s3://").partition("/")
        told = {
            "endpoint": endpoint.rstrip("/"),
            "region": region,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
        }
        # What is not told here, the library takes from AWS_... in the environment, or from the machine's role.
        config: S3Config = {key: value for key, value in told.items() if value}  # type: ignore[assignment]
        self._store, self._put_store = (
            S3Store(
                self.name,
                prefix=prefix.strip("/") or None,
                config=config,
                client_options={**times, "allow_http": endpoint.startswith("http://")},
                retry_config=_AGAIN,
            )
            for times in (_QUICK, _PUTTING)
        )
        self.threads = ThreadPoolExecutor(_READERS, "bucket")
        self._putters = ThreadPoolExecutor(_PUTTERS, "bucket-put")

    async def put(self, key: str, source: Source, still: Callable[[], Awaitable[None]]) -> None:
        """Put a whole file under `key`, in place of what is there, in flat memory, and close it.

        An object is there whole or not at all. `still` raises when the file is no longer to be put: it is asked first,
        and every second. Raises what `still` and reading raise.
        """
        stop = threading.Event()
        try:
            await still()
            putting = self._putters.submit(self._put, key, source, stop)
        except BaseException:
            source.close()
            raise
        putting.add_done_callback(lambda _: source.close())
        waiting = asyncio.wrap_future(putting)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, also if nobody waits
        try:
            while not (await asyncio.wait({waiting}, timeout=_LOOK_EVERY))[0]:
                await still()
        except Exception:
            stop.set()
            await asyncio.wait({waiting})  # whoever is told that it is over may rely on it
            raise
        finally:
            stop.set()  # if we are cancelled, the thread ends by itself, and holds the file until then
        waiting.result()

    def open(self, key: str) -> "BucketSource":
        """Open an object for reading. Blocks. Raises FileNotFoundError, MediaDamaged."""
        try:
            with self._told():
                begin = obstore.get(self._store, key, options={"range": (0, _ENDS)})
                size = begin.meta["size"]
                first = bytes(begin.bytes())
                start = max(0, size - _ENDS)
                last = bytes(obstore.get_range(self._store, key, start=start, end=size))
        except BucketUnavailable as error:
            if error.code == "InvalidRange":
                raise MediaDamaged("the object is empty") from None
            raise
        return BucketSource(self, key, size, ((0, first), (start, last)))

    def fetch(self, key: str, start: int, end: int) -> memoryview:
        """Give bytes of an object. Blocks. Raises FileNotFoundError."""
        with self._told():
            return memoryview(obstore.get_range(self._store, key, start=start, end=end))

    async def size(self, key: str) -> int | None:
        """How long an object is; None where there is none."""

        def look() -> int | None:
            try:
                with self._told():
                    return obstore.head(self._store, key)["size"]
            except FileNotFoundError:
                return None

        return await self._in_thread(look)

    async def remove(self, key: str) -> None:
        """Remove one object. Nothing happens if it is gone already."""
        await self._in_thread(lambda: obstore.delete(self._store, [key]))

    async def clear(self, folder: str) -> None:
        """Remove every object below a folder, until a listing shows none."""

        def clear() -> None:
            for _ in range(_ROUNDS):
                found = [one["path"] for one in obstore.list(self._store, folder).collect()]
                if not found:
                    return
                obstore.delete(self._store, found)
            raise BucketUnavailable(f"the bucket {self.name} keeps objects that were removed")

        await self._in_thread(clear)

    async def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""

        def look() -> list[str]:
            found = obstore.list_with_delimiter(self._store, folder)
            return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

        return await self._in_thread(look)

    async def check(self) -> None:
        """Raise BucketUnavailable unless it answers us."""
        await self._in_thread(lambda: obstore.list(self._store, "is-anybody-there").collect())

    def _put(self, key: str, source: Source, stop: threading.Event) -> None:
        def parts() -> Iterator[bytes]:
            for offset in range(0, source.size, _PART):
                if stop.is_set():
                    raise _Stopped
                yield source.read(offset, _PART)

        with self._told():
            try:
                obstore.put(
                    self._put_store, key, parts(), use_multipart=True, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE
                )
            except FileNotFoundError as error:  # what was begun is gone, or the whole bucket
                raise BaseError(str(error)) from None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def told() -> T:
            with self._told():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self.threads, told)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say what the store says, without its text, which names keys and addresses."""
        try:
            yield
        except (FileNotFoundError, BaseError) as error:
            found = _CODE.search(str(error))
            code = found[1] if found else ""
            if code == "NoSuchBucket":
                raise BucketUnavailable(f"there is no bucket {self.name}") from None
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError("there is no such object") from None
            if _REFUSED.search(str(error)):
                raise BucketUnavailable(
                    f"the bucket {self.name} refuses us ({code or 'no reason given'}): look at key, policy and clock"
                ) from None
            raise BucketUnavailable(
                f"the bucket {self.name} does not answer ({code or 'no connection'})", code
            ) from None


class BucketSource:
    """One object, read through windows that grow while reading goes on in order; so a player causes a request for two
    MiB, not for each chunk, and holds no more than that.
    """

    def __init__(self, bucket: Bucket, key: str, size: int, ends: tuple[tuple[int, bytes], ...]) -> None:
        self._bucket = bucket
        self._key = key
        self._ends = ends
        self._window: tuple[int, memoryview] = (0, memoryview(b""))  # replaced as a whole: threads may share this
        self.size = size
        self.threads: Executor | None = bucket.threads

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        for start, held in (self._window, *self._ends):
            if start <= offset and end <= start + len(held):
                return bytes(held[offset - start : end - start])
        start, held = self._window
        ahead = min(2 * len(held), _MOST_AHEAD) if offset == start + len(held) else 0
        window = self._bucket.fetch(self._key, offset, min(max(end, offset + max(ahead, _FIRST_AHEAD)), self.size))
        self._window = (offset, window)
        return bytes(window[: end - offset])

    def close(self) -> None:
        self._window = (0, memoryview(b""))


class _Stopped(Exception):  # noqa: N818 - says what is the case
    """Nobody wants this put any more."""


__all__ = ["Bucket", "BucketSource"]
