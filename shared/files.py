"""Writing a file so that a crash leaves it whole or as it was, and removing a folder that others use."""

import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

_TRIES: Final = 20  # to remove a folder; each of them takes what was written into it during the one before


def write_whole(path: Path, content: bytes, *, replace: bool) -> bool:
    """Write a file, readable by this user alone, whole and safe against power loss. Raises OSError.

    False, and nothing written, if it is there already and is not to be replaced. A crash may leave a draft beside it,
    named `<name>.<digits>`.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def remove_folder(folder: Path) -> bool:
    """Remove a folder with all that it holds, also while another process removes it too or writes into it. False if it
    was not there. Raises OSError.
    """
    if not folder.is_dir():
        return False
    for attempt in range(_TRIES):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            gone_or_grown = isinstance(error, FileNotFoundError) or error.errno == errno.ENOTEMPTY
            if not gone_or_grown or attempt == _TRIES - 1:
                raise
        if not folder.exists():
            break
    if folder.parent.is_dir():
        sync_folder(folder.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make safe which files a folder holds: new, renamed and removed ones."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
