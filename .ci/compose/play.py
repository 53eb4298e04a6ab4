"""Plays the chain on compose.yaml for real, in a folder, with secrets and under a project name of its own.

Replicas are added, killed and brought back, NATS and MongoDB are restarted, and in the end every chain has left each
event once, the same number of documents, and no dead letter. Nothing is left behind but the images.
"""

import asyncio
import io
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import wave
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from firsthand.example import journey as play
from firsthand.shared.client import Refused
from firsthand.shared.clock import SystemClock
from firsthand.shared.keys import Keys
from firsthand.shared.topology import SERVICES

REPOSITORY = Path(__file__).parents[2]
LOOK = Path(__file__).with_name("look.py")
CLOCK = SystemClock()
COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
_READY_WITHIN = 60.0  # seconds
_CARRIED = "through the published port on loopback"
_PIECE = 32 * 1024  # bytes of an upload at once: many, so that a kill falls into the middle of them
_CUT_OFF_WITHIN = 1.0  # seconds from a withdrawal to a player's last byte

_STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - _STARTED:7.1f} s  {text}", flush=True)


@dataclass
class Project:
    """A compose project in a folder of its own."""

    folder: Path
    port: int
    name: str = field(default_factory=lambda: f"firsthand-play-{os.getpid()}")
    chains: int = 0  # played whole, all with the same steps

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def compose(self, *arguments: str, given: str = "") -> str:
        return await self.run(*COMPOSE, "-p", self.name, *arguments, given=given)

    async def run(self, *command: str, given: str = "") -> str:
        """Run a command in the folder; gives what it printed. Raises CalledProcessError, having shown its errors."""
        environment = os.environ | {"PUBLISH": f"127.0.0.1:{self.port}", "FIRSTHAND_PUBLIC_URL": self.url}
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=self.folder, env=environment, input=given, capture_output=True, text=True
        )  # fmt: skip
        if done.returncode:
            print(done.stdout[-2000:], done.stderr[-4000:], file=sys.stderr)
            done.check_returncode()
        return done.stdout

    async def containers(self, service: str) -> list[str]:
        return (await self.compose("ps", "-q", service)).split()

    async def address(self, container: str) -> str:
        """The container's address on the network that it shares with the proxy."""
        networks = json.loads(
            await self.run("docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", container)
        )
        return str(networks[f"{self.name}_front"]["IPAddress"])

    async def scale(self, **replicas: int) -> None:
        """Bring up what is to run, also what was killed, and wait until the proxy reaches all and all are ready."""
        scales = [f"--scale={service}={number}" for service, number in replicas.items()]
        await self.compose("up", "-d", "--no-recreate", *scales)
        await self.ready()

    async def ready(self) -> None:
        async with httpx.AsyncClient(timeout=5) as http:

            async def all_are() -> bool:
                for service in SERVICES:
                    for container in await self.containers(service):
                        try:
                            answer = await http.get(f"http://{await self.address(container)}:8080/readyz")
                        except httpx.TransportError:
                            return False
                        if answer.status_code != httpx.codes.OK:
                            return False
                    try:
                        if (await http.get(f"{self.url}/{service}/readyz")).status_code != httpx.codes.OK:
                            return False
                    except httpx.TransportError:
                        return False
                return True

            await play.eventually("every replica is ready", all_are, _READY_WITHIN)

    def keys(self) -> Keys:
        """The keys, which only the image's user and root may read."""
        command = ["docker", "run", "--rm", "--user", "0:0", "--network", "none", "--entrypoint", "tar"]
        command += ["-v", f"{self.folder}/secrets:/secrets:ro", "firsthand", "-C", "/secrets/keys", "-c", "."]
        packed = subprocess.run(command, check=True, capture_output=True).stdout
        with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(folder, filter="data")
            return Keys.load(Path(folder), {})

    async def look(self) -> Any:
        """What lies in NATS and MongoDB, asked from inside, where alone they can be reached."""
        inside = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "setup", "-")
        return json.loads(await self.compose(*inside, given=LOOK.read_text()))


async def demo(project: Project, keys: Keys) -> None:
    await play.play_demo(project.url, keys, CLOCK, lambda _: None)
    project.chains += 1


@asynccontextmanager
async def school(project: Project, keys: Keys) -> AsyncIterator[play.School]:
    slug = f"play-{secrets.token_hex(3)}"
    async with play.school(project.url, keys, CLOCK, slug) as college:
        await play.open_case(college)
        yield college


async def doors_are_shut(project: Project) -> None:
    """What is for the operator's own network is not reached through the proxy."""
    async with httpx.AsyncClient(timeout=5) as http:
        for path in (*(f"/{service}/metrics" for service in SERVICES), "/healthz", "/elsewhere"):
            if (status := (await http.get(f"{project.url}{path}")).status_code) != httpx.codes.NOT_FOUND:
                raise play.Incomplete(f"{path} is answered with {status}")


async def nothing_is_doubled(project: Project, one: Any) -> None:
    """Each contact has each event of the chain once, each chain left as many documents as one, nothing is dead."""
    seen: Any = None

    async def settled() -> bool:
        nonlocal seen
        seen = await project.look()
        return problems() == []

    def problems() -> list[str]:
        found = [f"{seen['dead_letters']} dead letters"] if seen["dead_letters"] else []
        by_contact = Counter((event["subject"], event["type"]) for event in seen["events"])
        chain = {f"firsthand.{name}.v1" for name in play.THE_CHAIN}
        found += [f"{kind} {number} times" for (_, kind), number in by_contact.items() if kind in chain and number != 1]
        contacts = {event["subject"] for event in seen["events"] if event["type"] == "firsthand.contact.discovered.v1"}
        expected = project.chains * len(chain)
        if (number := sum(1 for _, kind in by_contact if kind in chain)) != expected or len(contacts) != project.chains:
            found.append(f"{number} kinds of events of {len(contacts)} contacts instead of {expected}")
        if len({event["id"] for event in seen["events"]}) != len(seen["events"]):
            found.append("an event stands in a stream twice")
        wanted = {name: number * project.chains for name, number in one["documents"].items()}
        if (there := seen["documents"]) != wanted:
            found += [
                f"{n}: {there.get(n)} documents instead of {wanted.get(n)}"
                for n in there.keys() | wanted.keys()
                if there.get(n) != wanted.get(n)
            ]
        return found

    try:
        await play.eventually("all is as one chain left it, times the chains", settled)
    except play.Incomplete as incomplete:
        raise play.Incomplete("; ".join(problems())) from incomplete
    documents = sum(seen["documents"].values())
    say(f"  {project.chains} chains: {len(seen['events'])} events, {documents} documents, nothing doubled or dead")


def long_sound() -> bytes:
    """A WAV file of 40 seconds, 7.7 MB: more than the buffers between a server and a player hold."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(48_000)
        sound.writeframes(random.Random(1).randbytes(40 * 48_000 * 4))
    return file.getvalue()


@dataclass
class Upload:
    """An upload in pieces as the browser makes it: after a failure it asks how far it came."""

    journey: play.Journey
    media: bytes
    offset: int = 0
    failures: int = 0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        created = await begin(self.journey, len(self.media))
        headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
        while self.offset < len(self.media):
            piece = self.media[self.offset : self.offset + _PIECE]
            here = headers | {"Upload-Offset": str(self.offset)}
            try:
                await self.journey.school.tutor.call("PATCH", created, content=piece, headers=here)
                self.offset += len(piece)
            except Refused:
                self.failures += 1
                self.offset = await play.eventually("the upload goes on", lambda: come_to(self.journey, created))
            self.under_way.set()
        await play.recording(self.journey, "held")
        self.journey.media = self.media


async def begin(journey: play.Journey, size: int) -> str:
    await play.recording(journey, "awaited")
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": "filename c291bmQud2F2"}

    async def accepted() -> str | None:
        path = f"/archive/api/v1/recordings/{journey.contact_id}/uploads"
        answer = await journey.school.tutor.send("POST", path, headers=headers)
        return answer.headers["Location"] if answer.status_code == httpx.codes.CREATED else None

    return str(await play.eventually("the upload was accepted", accepted))


async def come_to(journey: play.Journey, created: str) -> int | None:
    answer = await journey.school.tutor.send("HEAD", created, headers={"Tus-Resumable": "1.0.0"})
    return int(answer.headers["Upload-Offset"]) if answer.status_code == httpx.codes.OK else None


@dataclass
class Player:
    """A player that reads as it plays, far slower than the server could send."""

    where: str
    received: int = 0
    last_byte: float = 0.0
    cut_off: bool = False
    plays: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, host: str, port: int, journey: play.Journey, project: Project) -> None:
        player = socket.socket()
        player.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # what lies here has been received already
        player.setblocking(False)
        await asyncio.get_running_loop().sock_connect(player, (host, port))
        reader, writer = await asyncio.open_connection(sock=player, limit=4096)
        cookies = "; ".join(f"{name}={value}" for name, value in journey.school.student._http.cookies.items())
        writer.write(
            f"GET /archive/media/{journey.contact_id} HTTP/1.1\r\nHost: 127.0.0.1:{project.port}\r\n"
            f"Cookie: {cookies}\r\nAccept: */*\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise play.Incomplete(f"{self.where} does not play: {head[:60]!r}")
        try:
            while block := await reader.read(2048):
                self.received += len(block)
                self.last_byte = time.monotonic()
                if self.received > 60_000:
                    self.plays.set()
                await asyncio.sleep(0.005)
        except ConnectionResetError:
            pass
        self.cut_off = self.received < len(journey.media)
        writer.close()


async def every_replica_cuts_off(project: Project, keys: Keys) -> None:
    """Open a player at each replica of archive and one through the proxy; a withdrawal ends all of them."""
    async with school(project, keys) as college:
        journey = await play.clear(college, await play.nominate(college, f"player.{college.slug}".replace("-", ".")))
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        async with play.open_link(journey):
            await play.decide(journey)
            await play.book(journey)
            await play.hold(journey)
            await Upload(journey, long_sound()).run()
            await play.release(journey)
            await play.eventually("it plays", lambda: plays(journey))
            (proxy,) = await project.containers("proxy")
            players = [
                (Player("through the proxy"), await project.address(proxy), 8080),
                # from the machine itself a program of the engine carries it, in buffers of its own: told, not judged
                (Player(_CARRIED), "127.0.0.1", project.port),
            ]
            for number, container in enumerate(await project.containers("archive"), 1):
                players.append((Player(f"at replica {number}"), await project.address(container), 8080))
            async with asyncio.TaskGroup() as watching:
                for player, host, port in players:
                    watching.create_task(player.watch(host, port, journey, project))
                async with asyncio.timeout(20):
                    await asyncio.gather(*(player.plays.wait() for player, *_ in players))
                await play.withdraw(journey)
                withdrawn = time.monotonic()
            for player, *_ in players:
                late = player.last_byte - withdrawn
                say(f"  player {player.where}: last byte {late:+.2f} s after the withdrawal was acknowledged")
                if player.where != _CARRIED and (not player.cut_off or late > _CUT_OFF_WITHIN):
                    raise play.Incomplete(f"the player {player.where} was not cut off in time")
            await play.certificate(journey)
            await play.timeline(journey, *play.THE_CHAIN)
    project.chains += 1


async def plays(journey: play.Journey) -> bool:
    return (await play.watch(journey, Range="bytes=0-99"))[0] == httpx.codes.PARTIAL_CONTENT


async def chain_with_failures(project: Project, keys: Keys) -> None:
    """A chain in whose middle replicas are killed and servers restarted."""
    async with school(project, keys) as college:
        journey = await play.clear(college, await play.nominate(college, f"steady.{college.slug}".replace("-", ".")))
        killed = (await project.containers("consent"))[0]
        await project.run("docker", "kill", killed)
        say("  a replica of consent is killed; the family goes on at once")
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        async with play.open_link(journey):
            await project.compose("stop", "-t", "5", "nats")
            say("  NATS is away; the family says yes all the same")
            await play.decide(journey)
            await project.compose("start", "nats")
            await play.book(journey)
            say("  NATS is back; a time is booked")
            await play.hold(journey)
            victim = (await project.containers("archive"))[0]
            upload = Upload(journey, long_sound())
            async with asyncio.TaskGroup() as uploading:
                uploading.create_task(upload.run())
                await upload.under_way.wait()
                await project.run("docker", "kill", victim)
                come = 100 * upload.offset // len(upload.media)
            say(f"  a replica of archive is killed {come} % into the upload; {upload.failures} pieces were repeated")
            if come == 100:
                raise play.Incomplete("the upload was over before the replica was killed")
            await project.compose("restart", "-t", "5", "mongo")
            say("  MongoDB was restarted")
            await play.eventually("the second yes", lambda: done(play.release(journey)))
            await play.eventually("it plays", lambda: plays(journey))
            await project.scale(consent=3, archive=2)
            say("  the killed replicas are back")
            await play.eventually("it plays", lambda: plays(journey))
            await play.withdraw(journey)
            await play.no_longer_plays(journey)
            await play.certificate(journey)
            await play.timeline(journey, *play.THE_CHAIN)
            token = journey.link.rsplit("/", 1)[1]
            if token in await project.compose("logs", "--no-color"):
                raise play.Incomplete("a personal link is in a log")
    project.chains += 1


async def done(work: Awaitable[None]) -> bool:
    await work
    return True


async def timed(what: str, work: Callable[[], Awaitable[Any]]) -> Any:
    started = time.monotonic()
    result = await work()
    say(f"{what} ({time.monotonic() - started:.1f} s)")
    return result


async def played(project: Project) -> None:
    await timed("the services are up and ready", project.scale)
    keys = project.keys()
    await timed("one demo", lambda: demo(project, keys))
    one = await project.look()
    await timed("metrics are not for the world", lambda: doors_are_shut(project))
    await timed("consent has 3 replicas, archive 2", lambda: project.scale(consent=3, archive=2))
    for _ in range(2):
        await timed("a demo", lambda: demo(project, keys))
    await timed("three demos at once", lambda: asyncio.gather(*(demo(project, keys) for _ in range(3))))
    await nothing_is_doubled(project, one)
    await timed("a withdrawal reaches every replica of archive", lambda: every_replica_cuts_off(project, keys))
    await timed("a chain while replicas and servers go away", lambda: chain_with_failures(project, keys))
    await nothing_is_doubled(project, one)
    await timed("one more demo", lambda: demo(project, keys))
    await nothing_is_doubled(project, one)


async def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="firsthand-compose-"))
    project = Project(folder, port)
    shutil.copy(REPOSITORY / "compose.yaml", folder)
    shutil.copytree(REPOSITORY / "deploy", folder / "deploy")
    try:
        await timed("the image is built", lambda: project.run("docker", "build", "--tag", "firsthand", str(REPOSITORY)))
        await timed("the secrets are made", lambda: project.run("deploy/secrets"))
        await played(project)
    except BaseException:
        if (folder / "secrets").exists():
            logs = (await project.compose("logs", "--no-color")).splitlines()
            told = [line for line in logs if '"message": "request"' not in line or '"status": 5' in line]
            print("\n".join(told[-200:]), file=sys.stderr)
        raise
    finally:
        await project.compose("down", "-v", "-t", "40", "--remove-orphans")
        remove = ("docker", "run", "--rm", "--user", "0:0", "--network", "none", "--entrypoint", "rm")
        await project.run(*remove, "-v", f"{folder}:/folder", "firsthand", "-rf", "/folder/secrets")
        shutil.rmtree(folder)
        say("all is taken down")


if __name__ == "__main__":
    asyncio.run(main())
