"""The consumers of docs/consume-events.md, run as they stand there against a real server."""

import asyncio
import contextlib
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest

from firsthand.shared.events.consent import ConsentGrantedV1, ConsentWithdrawnV1
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.events.examples import example_of
from firsthand.shared.identifiers import InstitutionId
from tests.patience import PATIENCE

PAGE = Path(__file__).parents[2] / "docs" / "consume-events.md"
RUN = {
    "nats-py": [sys.executable, "consumer.py"],
    "FastStream": [sys.executable, "-c", "import asyncio, consumer; asyncio.run(consumer.app.run())"],
}


def code_of(library: str) -> str:
    found: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [one for one in found if ("from faststream" in one) == (library == "FastStream")]
    return code


def told(kind: type[AnyEvent], contact: str, sequence: int, institution: str = "example-dental") -> AnyEvent:
    return kind.record(
        institution=InstitutionId(institution),
        subject=contact,
        sequence=sequence,
        at=datetime.now(UTC),
        actor="family",
        data=example_of(kind).data,
    )


@pytest.mark.parametrize("library", RUN)
async def test_it_prints_each_new_state_once_also_after_a_restart(library: str, tmp_path: Path, nats_url: str) -> None:
    (tmp_path / "consumer.py").write_text(code_of(library), encoding="utf-8")
    client = await nats.connect(nats_url)

    async def publish(event: AnyEvent) -> None:
        await client.jetstream().publish(event.nats_subject, event.wire())

    async def run(wanted: list[str]) -> None:
        """Run it until it has printed what is wanted, or ends."""
        process = await asyncio.create_subprocess_exec(
            *RUN[library], cwd=tmp_path, env=os.environ | {"NATS_URL": nats_url}, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            while wanted and (line := await process.stdout.readline()):
                if found := re.search(rb"firsthand\.\w+\.\w+\.v1 (\w+)", line):  # the rest is the library's own
                    assert found[1].decode() == wanted.pop(0)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def printed(*contacts: str) -> None:
        wanted = [*contacts]
        async with asyncio.timeout(PATIENCE):
            while wanted:  # on a busy machine NATS may not answer it in time; a supervisor starts it again
                await run(wanted)

    granted = told(ConsentGrantedV1, "c1", 5)
    await publish(granted)
    await publish(told(ConsentGrantedV1, "other", 5, "another-school"))
    await publish(granted)
    await publish(told(ConsentWithdrawnV1, "c2", 8))
    await publish(told(ConsentGrantedV1, "c2", 5))
    await publish(told(ConsentGrantedV1, "c3", 5))
    await printed("c1", "c2", "c3")
    await publish(told(ConsentWithdrawnV1, "c4", 8))
    await printed("c4")
    await client.close()
