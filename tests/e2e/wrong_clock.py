"""The `firsthand` command on a machine whose clock is wrong: by as many seconds as a file says, read at every look.

    python -m tests.e2e.wrong_clock <file> up

The time that passes is the machine's own, as it is when somebody sets a clock. The NATS server's clock is right.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from firsthand.shared.clock import SystemClock

_FILE = Path(sys.argv.pop(1))


def _now(_clock: SystemClock) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(_FILE.read_text() or 0))


if __name__ == "__main__":
    SystemClock.now = _now  # type: ignore[method-assign]
    from firsthand.services.__main__ import main

    main()
