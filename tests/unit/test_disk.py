"""What a disk with little room left still takes."""

import errno
import os
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure

from firsthand.shared.disk import Disk, is_no_room
from firsthand.shared.store import NoRoom
from firsthand.shared.store.mongo_client import in_our_words

MIB = 1024**2


def free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def test_the_reserve_is_256_mib_or_two_percent_of_a_smaller_disk(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    (room,) = Disk((tmp_path,)).rooms()
    assert room.reserve == min(256 * MIB, int(disk.f_blocks * disk.f_frsize * 0.02))


def test_each_disk_is_looked_at_once_also_before_its_folder_is_made(tmp_path: Path) -> None:
    (room,) = Disk((tmp_path / "data", tmp_path / "keys" / "of" / "ours"), 5).rooms()
    assert (room.folder, room.reserve) == (tmp_path / "data", 5)
    assert Disk(()).amiss() == ([], [])
    Disk(()).admit_bulk()


def test_a_disk_is_ample_then_low_then_full(tmp_path: Path) -> None:
    Disk((tmp_path,), 1).admit_bulk()
    assert Disk((tmp_path,), 1).amiss() == ([], [])

    low = Disk((tmp_path,), 2 * free(tmp_path))
    with pytest.raises(NoRoom):
        low.admit_bulk()
    problems, impaired = low.amiss()
    assert problems == []
    assert "uploads and imports are refused. Make room." in impaired[0]

    full = Disk((tmp_path,), 100 * free(tmp_path))
    with pytest.raises(NoRoom):
        full.admit_bulk()
    problems, impaired = full.amiss()
    assert "is full" in problems[0]
    assert impaired == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_way_to_have_no_room_is_known(number: int) -> None:
    assert is_no_room(OSError(number, os.strerror(number)))
    assert not is_no_room(OSError(errno.EACCES, "no"))


def test_a_full_disk_of_mongodb_is_known() -> None:
    """By the server's code, as its documentation lists it: no server of the tests has a disk that fills up."""
    told = in_our_words(OperationFailure("somebody's name", 14031, {"codeName": "OutOfDiskSpace"}), "mongo:27017")
    assert is_no_room(told)
    assert str(told) == "MongoDB at mongo:27017 has no room on its disk; make room."
