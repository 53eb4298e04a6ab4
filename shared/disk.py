"""The room on the disks, and what may still be written when little is left.

The last of it belongs to what cannot wait: a withdrawal, an erasure, a decision of a family, a sign-in. These are
small, and always go on. Bulk work, which fills a disk, ends at a reserve: whoever takes it in asks `admit_bulk` first,
at its door and again while it goes on.
"""

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from firsthand.shared.settings import Settings
from firsthand.shared.store import NoRoom, StoreUnavailable

_LARGEST_RESERVE: Final = 256 * 1024**2  # bytes, where the settings name none
_SHARE: Final = 0.02  # of the disk, if that is less
_FULL: Final = 16  # once only this part of the reserve is left, small writes may fail at any moment
_AT_ONCE: Final = 2 * 1024**2  # bytes that bulk work writes between two questions, at most
_REMEMBERED: Final = 1.0  # seconds for which a look at the disk counts at the doors
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Room:
    """What one disk has left, in bytes."""

    folder: Path
    free: int
    reserve: int

    @property
    def is_low(self) -> bool:
        return not self.holds(_AT_ONCE)

    def holds(self, size: int) -> bool:
        """Whether so many bytes may still be written without taking of the reserve."""
        return self.free - size >= self.reserve

    @property
    def is_full(self) -> bool:
        return self.free < self.reserve / _FULL


class Disk:
    """The disks on which a process keeps its data."""

    def __init__(self, folders: Sequence[Path], reserve: int = 0) -> None:
        """`reserve`: bytes of each disk; 0 takes 256 MiB, or 2 % of the disk where that is less."""
        self._folders = folders
        self._reserve = reserve
        self._seen: tuple[float, list[Room]] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls((settings.data, settings.key_folder), settings.disk_reserve)

    def rooms(self) -> list[Room]:
        """Look at each disk once. Folders that are not there yet are on their parent's. Raises StoreUnavailable."""
        found: dict[int, Room] = {}
        for folder in self._folders:
            try:
                place = next((one for one in (folder, *folder.absolute().parents) if one.exists()), Path("/"))
                disk, device = os.statvfs(place), place.stat().st_dev
            except OSError as error:
                raise StoreUnavailable(f"The disk of {folder} cannot be looked at: {error.strerror}.") from error
            reserve = self._reserve or min(_LARGEST_RESERVE, int(disk.f_blocks * disk.f_frsize * _SHARE))
            found.setdefault(device, Room(folder, disk.f_bavail * disk.f_frsize, reserve))
        return list(found.values())

    def admit_bulk(self, size: int = _AT_ONCE, *, looked: bool = False) -> None:
        """Raise NoRoom where `size` bytes of bulk work would take of the reserve; StoreUnavailable.

        `looked`: a look of the last second is enough.
        """
        now = time.monotonic()
        if not looked or self._seen is None or now - self._seen[0] >= _REMEMBERED:
            self._seen = (now, self.rooms())
        for room in self._seen[1]:
            if not room.holds(size):
                raise NoRoom(f"the disk of {room.folder} has {_megabytes(room.free)} left; make room")

    def amiss(self) -> tuple[list[str], list[str]]:
        """Tell in plain sentences what keeps the process from serving, and what it cannot do for now."""
        problems, impaired = [], []
        try:
            rooms = self.rooms()
        except StoreUnavailable as error:
            return [str(error)], []
        for room in rooms:
            if room.is_full:
                problems.append(f"The disk of {room.folder} is full ({_megabytes(room.free)} left). Make room.")
            elif room.is_low:
                impaired.append(
                    f"The disk of {room.folder} has {_megabytes(room.free)} left, less than the reserve of "
                    f"{_megabytes(room.reserve)}: uploads and imports are refused. Make room."
                )
        return problems, impaired


def is_no_room(error: BaseException) -> bool:
    """Whether a write failed because there is no room for it."""
    return isinstance(error, NoRoom) or (isinstance(error, OSError) and error.errno in _NO_ROOM)


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


__all__ = ["Disk", "NoRoom", "Room", "is_no_room"]
