"""Archive with a real NATS server and store, and what its neighbours would tell it."""

# ruff: noqa: ASYNC110 - what is waited for is told by another process or over HTTP

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import nats
from nats.aio.client import Client

from firsthand.services.archive.app import SERVICE
from firsthand.services.archive.gate import gate_of
from firsthand.services.archive.handlers.originals import key_of_original
from firsthand.services.archive.repository import Recordings, shelf_of
from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.events import AnyEvent, parse_event
from firsthand.shared.events import consent as consent_events
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import CaseChangedV1, CaseState
from firsthand.shared.events.scheduling import MeetingFinishedV1, MeetingState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys
from firsthand.shared.serving import WebServer, bound_socket
from firsthand.shared.sessions import SessionIssuer
from firsthand.shared.settings import Settings
from tests.patience import PATIENCE

QU, AKL = InstitutionId("qu-cdm"), InstitutionId("akl-dent")
CONTACT = ContactReference(contact_id="c1", case_id="case1", reference="CLP-001", language="en", tutor_id="tutor1")
FULL = ["meet", "record-video", "record-audio", "share-cohort"]
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Archive:
    """The service under test, with what its neighbours would tell it."""

    deployment: Deployment
    clock: ManualClock
    nats: Client
    issuer: SessionIssuer
    http: httpx.AsyncClient
    sequence: int = 0
    told: list[AnyEvent] = field(default_factory=list)
    beating: asyncio.Task[None] | None = None

    @property
    def context(self) -> Any:
        return self.deployment.contexts["archive"]

    # -- who asks

    def tutor(self, institution: InstitutionId = QU, person: str = "tutor1") -> dict[str, str]:
        return self._staff(institution, person, "tutor", ())

    def student(self, cohort: str = "year-3", institution: InstitutionId = QU) -> dict[str, str]:
        return self._staff(institution, f"student-{cohort}", "student", (cohort,))

    def _staff(self, institution: InstitutionId, person: str, role: Any, cohorts: tuple[str, ...]) -> dict[str, str]:
        token = self.issuer.staff(institution, person, roles=frozenset({role}), cohorts=frozenset(cohorts))
        return {"Authorization": f"Bearer {token}"}

    def family(self, contact: str = "c1", institution: InstitutionId = QU) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.family(institution, contact, language='en')}"}

    # -- what the neighbours tell

    async def publish(self, event: AnyEvent) -> int:
        ack = await self.nats.jetstream().publish(event.nats_subject, event.wire(), headers={"Nats-Msg-Id": event.id})
        return ack.seq

    async def consent(self, kind: str, state: str = "granted", institution: InstitutionId = QU, **more: Any) -> None:
        """Publish a consent event as consent does, with the next sequence, and beat."""
        self.sequence += 1
        if state == "granted":
            more.setdefault("scopes", FULL)
        await self.publish(self.told_by_consent(kind, state, institution, **more))
        await self.beat()

    def told_by_consent(self, kind: str, state: str, institution: InstitutionId = QU, **more: Any) -> AnyEvent:
        """Make a consent event, with the sequence that was used last."""
        model: type[AnyEvent] = getattr(consent_events, kind)
        return model.record(
            institution=institution,
            subject="c1",
            sequence=self.sequence,
            at=self.clock.now(),
            actor="family",
            data=ConsentState(
                contact=CONTACT,
                invitation=InvitationState(state="linked"),
                consent=ConsentRecordState(state=state, **more),
            ),
        )

    async def beat(self) -> None:
        info = await self.nats.jetstream().stream_info("FH_CONSENT")
        await self.say(info.state.last_seq)

    async def say(self, sequence: int) -> None:
        """Beat as a consent that looked now."""
        beat = {"at": self.clock.now().isoformat(), "sequence": sequence}
        await self.nats.publish("fh.pulse.consent", json.dumps(beat).encode())
        await self.nats.flush()

    async def meeting_finished(self, recording: str = "expected", institution: InstitutionId = QU) -> None:
        await self.publish(
            MeetingFinishedV1.record(
                institution=institution,
                subject="c1",
                sequence=5,
                at=self.clock.now(),
                actor="tutor1",
                data=MeetingState(contact=CONTACT, state="finished", recording=recording),
            )
        )

    async def case(self, institution: InstitutionId = QU) -> None:
        state = CaseState(
            case_id="case1",
            prefix="CLP",
            title="Cleft lip and palate",
            condition={"en": "cleft lip and palate"},
            languages=["en"],
            cohorts=["year-3"],
            tutors=["tutor1"],
            goals=["Listen without finishing a parent's sentence."],
            approvals=[],
            state="open",
        )
        await self.publish(
            CaseChangedV1.record(
                institution=institution, subject="case1", sequence=1, at=self.clock.now(), actor="x", data=state
            )
        )

    # -- what comes of it

    async def until(self, told: str, count: int = 1) -> AnyEvent:
        """Wait for an event that archive tells; what it tells of a file that is being prepared does not count."""

        def heard() -> list[AnyEvent]:
            named = [event for event in self.told if event.type == f"firsthand.{told}.v1"]
            return [event for event in named if not getattr(event.data, "preparing", None)]

        async with asyncio.timeout(PATIENCE):
            while len(found := heard()) < count:
                await asyncio.sleep(0.01)
        return found[count - 1]

    async def until_answer(self, status: int, path: str, headers: dict[str, str]) -> httpx.Response:
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.http.get(path, headers=headers)).status_code != status:
                await asyncio.sleep(0.02)
        return answer

    async def awaiting(self, **consent: Any) -> None:
        await self.case()
        await self.consent("ConsentGrantedV1", **consent)
        await self.meeting_finished()
        await self.until("recording.awaited")

        def allowed(answer: httpx.Response) -> bool:
            return answer.status_code == 200 and answer.json()["upload"]["allowed"]

        async with asyncio.timeout(PATIENCE):
            while not allowed(await self.http.get("/archive/api/v1/recordings/c1", headers=self.tutor())):
                await asyncio.sleep(0.01)

    async def upload(self, content: bytes, piece: int = 1 << 30) -> httpx.Response:
        """Upload by tus; gives the last answer."""
        made = await self.http.post(
            "/archive/api/v1/recordings/c1/uploads",
            headers={**self.tutor(), **TUS, "Upload-Length": str(len(content))},
        )
        assert made.status_code == 201, made.text
        answer, offset = made, 0
        while offset < len(content):
            answer = await self.patch(made.headers["location"], offset, content[offset : offset + piece])
            if answer.status_code != 204:
                break
            offset = int(answer.headers["upload-offset"])
        return answer

    async def patch(self, place: str, offset: int, content: Any, **headers: str) -> httpx.Response:
        return await self.http.patch(
            place,
            content=content,
            headers={
                **self.tutor(),
                **TUS,
                "Content-Type": "application/offset+octet-stream",
                "Upload-Offset": str(offset),
                **headers,
            },
        )

    async def brought(self) -> bytes:
        """The file as it was brought, opened as only archive can."""
        recording = await Recordings(self.context, QU).get("c1")
        original = recording.original if recording else None
        assert original
        key = await key_of_original(self.context, QU, "c1", original.file)
        with await shelf_of(self.context, QU, "c1").reader(original.file, key) as reader:
            return await asyncio.to_thread(lambda: b"".join(reader.read_range(0, reader.size)))

    async def shown(self) -> bytes:
        """The viewing copy, opened as only archive can."""
        recording = await Recordings(self.context, QU).get("c1")
        assert recording
        assert recording.media
        key = await self.context.vault.media_key(QU, "c1")
        with await shelf_of(self.context, QU, "c1").reader(recording.media.file, key) as reader:
            return await asyncio.to_thread(lambda: b"".join(reader.read_range(0, reader.size)))

    async def until_files(self, count: int) -> None:
        """Wait until so many files are left of the recordings."""
        async with asyncio.timeout(PATIENCE):
            while len(self.media_files()) != count:
                await asyncio.sleep(0.02)

    async def released(self, content: bytes, **consent: Any) -> str:
        await self.awaiting(**consent)
        assert (await self.upload(content)).status_code == 204
        sha: str = (await self.until("recording.archived")).data.sha256
        await self.consent("ConsentReleasedV1", released=True, released_sha256=sha, **consent)
        await self.until("recording.published")
        await self.until_answer(200, "/archive/api/v1/recordings/c1/plays", self.student())
        return sha

    async def withdraw(self) -> None:
        await self.consent("ConsentWithdrawnV1", "withdrawn")

    def media_files(self) -> list[Path]:
        return [path for path in (self.deployment.settings.media).rglob("*") if path.is_file()]


@contextlib.asynccontextmanager
async def running(data: Path, url: str, clock: ManualClock, **more: Any) -> AsyncIterator[Archive]:
    settings = Settings(data=data, nats_url=url, port=0, **more)
    async with Deployment.started(settings, [SERVICE], clock=clock, create_keys=True) as deployment:
        keys = Keys.load(settings.key_folder)
        connection = await nats.connect(url)
        transport = httpx.ASGITransport(app=deployment.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as http:
            archive = Archive(deployment, clock, connection, SessionIssuer(keys.signing, clock), http)

            async def hear(message: Any) -> None:
                event = parse_event(message.data)
                if event.id not in {told.id for told in archive.told}:  # two replicas may publish it
                    archive.told.append(event)

            await connection.subscribe("fh.v1.*.recording.>", cb=hear)
            await connection.subscribe("fh.v1.*.archive.>", cb=hear)
            await connection.flush()
            await _until_it_listens(deployment)
            try:
                yield archive
            finally:
                await connection.close()


async def _until_it_listens(deployment: Deployment) -> None:
    """A beat that is sent before is heard by nobody."""
    context = deployment.contexts["archive"]
    async with asyncio.timeout(PATIENCE):
        while not gate_of(context).listening.is_set():
            await asyncio.sleep(0.01)
    await context.bus.client.flush()


@contextlib.asynccontextmanager
async def served(archive: Archive) -> AsyncIterator[int]:
    """Serve over a real socket, as the program does; gives the port."""
    listening = bound_socket(archive.deployment.settings)
    server = WebServer(archive.deployment)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await server.until_started()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        listening.close()
