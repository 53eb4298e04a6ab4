"""Writing a file so that a crash leaves it whole or as it was."""

import os
import secrets
from pathlib import Path


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


def sync_folder(folder: Path) -> None:
    """Make safe which files a folder holds: new, renamed and removed ones."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
