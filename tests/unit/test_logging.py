"""The log of `firsthand up`: each line whole or not there, whatever the disk does."""

import json
import logging
import subprocess
import sys
from pathlib import Path

from firsthand.shared.web.logging import JsonLines, LogFile

# A real limit of the system: a file beyond it takes no byte more, as on a full disk.
_PROGRAM = """
import logging, resource, sys
from pathlib import Path
from firsthand.shared.web.logging import configure
configure("firsthand", file=Path(sys.argv[1]))
log = logging.getLogger("firsthand.consent")
log.info("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(50):
    log.info("while it is full", extra={"number": number})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("there is room again")
log.info("after")
"""


def test_a_log_on_a_full_disk_has_whole_lines_only_and_says_how_many_are_missing(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "firsthand.log"
    run = subprocess.run([sys.executable, "-c", _PROGRAM, str(file)], check=True, capture_output=True, text=True)
    assert run.stderr == ""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    told = [line["message"] for line in lines]
    written = told.count("while it is full")
    assert 0 < written < 50
    assert told[0] == "before"
    assert told[1 + written :] == [
        "log lines are missing: they could not be written",
        "there is room again",
        "after",
    ]
    assert lines[1 + written]["lines"] == 50 - written


def test_a_large_log_begins_anew_and_keeps_so_many_older_ones(tmp_path: Path) -> None:
    handler = LogFile(tmp_path / "log", largest=1000, older=2)
    handler.setFormatter(JsonLines("firsthand"))
    for number in range(40):
        handler.emit(logging.makeLogRecord({"name": "firsthand.x", "msg": f"line {number}", "levelname": "INFO"}))
    handler.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    lines = [json.loads(line)["message"] for name in ("log.2", "log.1", "log") for line in (tmp_path / name).open()]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert lines == [f"line {number}" for number in range(40 - len(lines), 40)]
