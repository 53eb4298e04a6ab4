"""One journey, step by step, through the public interfaces: what the example, the demo and the tests play.

Each step does what one person does and returns when the system shows the result; `Incomplete` says which did not come.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx

from firsthand.shared.client import Caller, Json, Refused, family, operator, signed_in
from firsthand.shared.clock import Clock
from firsthand.shared.events.contact import SCOPES, Scope
from firsthand.shared.keys import Keys

_WITHIN = 30.0  # seconds in which the chain must show a result
_LOOK_EVERY = 0.05
_CHUNK = 64 * 1024  # bytes a PATCH of the upload
_APPROVED_FOR = timedelta(days=365)

ALLOWED: tuple[Scope, ...] = (
    "meet", "record-video", "record-audio", "transcript", "share-cohort", "share-institution",
)  # fmt: skip

# What the invented family says in the example's recording, as a meeting provider writes it down.
CAPTIONS = """WEBVTT

1
00:00:00.200 --> 00:00:02.400
Mother: The first night we fed her with a spoon, drop by drop.

2
00:00:02.600 --> 00:00:04.900
Student: Who showed you how?

3
00:00:05.000 --> 00:00:07.600
Mother: Another mother did. Nobody in the hospital had the time.
"""


class Incomplete(Exception):  # noqa: N818 - says what is the case
    """A step of the chain did not come about."""


async def eventually(what: str, look: Callable[[], Awaitable[Any]], within: float = _WITHIN) -> Any:
    """Look again until the answer is true; requests that are refused meanwhile are looked at again too."""
    until = time.monotonic() + within
    last: object = None
    while time.monotonic() < until:
        try:
            if found := await look():
                return found
        except Refused as refused:
            last = refused
        await asyncio.sleep(_LOOK_EVERY)
    raise Incomplete(f"{what} did not happen within {within:.0f} seconds" + (f" ({last})" if last else ""))


@dataclass
class School:
    """An institution with its people signed in, and one case that may look for contacts."""

    url: str
    slug: str
    clock: Clock
    operator: Caller
    coordinator: Caller
    tutor: Caller
    student: Caller
    tutor_id: str = ""
    student_id: str = ""
    case_id: str = ""
    cohort: str = "year-3"


@dataclass
class Journey:
    """One contact on its way."""

    school: School
    contact_id: str
    reference: str
    link: str = ""
    media: bytes = b""  # as it was brought
    released: str = ""  # SHA-256 of what the family released
    _family: Caller | None = field(default=None, repr=False)

    @property
    def family(self) -> Caller:
        if self._family is None:
            raise Incomplete(f"{self.reference} has no personal link yet")
        return self._family


@asynccontextmanager
async def school(url: str, keys: Keys, clock: Clock, slug: str, **institution: Any) -> AsyncIterator[School]:
    """Add an institution with a coordinator, a tutor and a student, all signed in by their one-time links."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(operator(url, keys, clock))
        await add_institution(admin, slug, **institution)
        people = {}
        for role in ("coordinator", "tutor", "student"):
            email = f"{role}@{slug}.example"
            person = {"name": f"{role.title()} of {slug}", "email": email, "roles": [role], "cohorts": ["year-3"]}
            added = await admin.call("POST", f"/portal/api/v1/institutions/{slug}/people", person)
            people[role] = (added["person_id"], await stack.enter_async_context(sign_in(url, admin, slug, email)))
        found = School(
            url, slug, clock, admin, people["coordinator"][1], people["tutor"][1], people["student"][1],
            tutor_id=people["tutor"][0], student_id=people["student"][0],
        )  # fmt: skip
        cohort = {"label": "third-year students", "size": 25, "learns_until": "2027-06-30"}
        await found.coordinator.call("PUT", f"/portal/api/v1/cohorts/{found.cohort}", cohort)
        yield found


async def add_institution(admin: Caller, slug: str, **fields: Any) -> None:
    described = {
        "name": "Example College of Dental Medicine",
        "country": "QA",
        "zone": "Asia/Qatar",
        "languages": ["en", "ar", "es"],
        "website": "https://dental.example",
        "account": "@dental.example",
        "verify_address": "https://dental.example/learning-from-families",
    }
    await admin.call("POST", "/portal/api/v1/institutions", {"slug": slug} | described | fields)


@asynccontextmanager
async def sign_in(url: str, admin: Caller, slug: str, email: str) -> AsyncIterator[Caller]:
    """Sign a person in by a one-time link that the operator asks for."""
    link = await admin.call("POST", f"/portal/api/v1/institutions/{slug}/sign-in-links", {"email": email})
    async with signed_in(url, link["url"]) as person:
        yield person


async def open_case(school: School, prefix: str = "CLP", **fields: Any) -> str:
    """Open a case with both approvals, approved texts in three languages, and the tutor's availability."""
    described = {
        "prefix": prefix,
        "title": "Cleft lip and palate",
        "condition": {"en": "cleft lip and palate", "ar": "شقّ الشفة والحنك", "es": "labio y paladar hendidos"},
        "hashtags": ["cleftlip", "cleftpalate", "cleftmom", "labioleporino", "شق_الشفة", "الشفة_الأرنبية"],
        "languages": ["en", "ar", "es"],
        "cohorts": [school.cohort],
        "tutors": [school.tutor_id],
        "safeguarding_contact": school.tutor_id,
    }
    opened = await school.coordinator.call("POST", "/discovery/api/v1/cases", described | fields)
    case_id = school.case_id = str(opened["case_id"])
    expires = (school.clock.now() + _APPROVED_FOR).isoformat()
    for kind in ("ethics", "data-protection"):
        approval = {"number": f"{kind.upper()}-2026-{prefix}", "expires_at": expires}
        await school.coordinator.call("PUT", f"/discovery/api/v1/cases/{case_id}/approvals/{kind}", approval)
    for language in ("en", "ar", "es"):
        texts = f"/consent/api/v1/cases/{case_id}/texts/{language}"

        async def written(texts: str = texts) -> Json:
            return await school.coordinator.call("PUT", texts, {})

        text = await eventually("the case reached consent", written)
        approval = {"number": f"ETHICS-2026-{prefix}", "sha256": text["sha256"]}
        await school.coordinator.call("POST", f"{texts}/approve", approval)
    await give_times(school)
    return case_id


async def give_times(school: School, **fields: Any) -> None:
    """Give the tutor's times for the case."""
    availability = {
        "zone": "Asia/Qatar",
        "duration_minutes": 75,
        "buffer_minutes": 15,
        "notice_hours": 12,
        "horizon_days": 28,
        "weekly": [{"weekday": day, "from": "08:00", "to": "22:00"} for day in range(7)],
        "blocked": [],
        "join_url": "https://meet.example/clp",
    }
    path = f"/scheduling/api/v1/cases/{school.case_id}/availability"

    async def given() -> bool:
        await school.tutor.call("PUT", path, availability | fields)
        return True

    await eventually("the case reached scheduling", given)


async def import_posts(school: School, format_: str, posts: bytes) -> Json:
    """Bring posts into the case."""
    path = f"/discovery/api/v1/cases/{school.case_id}/posts?format={format_}"
    return await school.coordinator.call("POST", path, content=posts)


async def waiting_leads(school: School) -> list[Json]:
    answer = await school.tutor.call("GET", f"/discovery/api/v1/leads?case={school.case_id}&state=waiting")
    return list(answer["items"])


async def nominate(school: School, handle: str) -> str:
    """Nominate a person by hand from a profile's address; gives the lead's id."""
    body = {"address": f"https://www.instagram.com/{handle}/", "note": "found under the case's hashtag"}
    lead = await school.tutor.call("POST", f"/discovery/api/v1/cases/{school.case_id}/nominations", body)
    return str(lead["lead_id"])


async def clear(school: School, lead_id: str, *, language: str = "en", profile: str = "") -> Journey:
    """Clear a lead after the checks: it becomes a contact, and an invitation is prepared."""
    checks = {"public": True, "adult": True, "not_vulnerable": True, "not_asked_before": True}
    body = {"checks": checks, "language": language} | ({"profile": profile} if profile else {})
    cleared = await school.tutor.call("POST", f"/discovery/api/v1/leads/{lead_id}/clear", body)
    journey = Journey(school, cleared["contact_id"], cleared["reference"])
    await _invitation(journey, "prepared")
    return journey


async def _invitation(journey: Journey, *states: str) -> Json:
    async def look() -> Json:
        found = await journey.school.tutor.call("GET", f"/consent/api/v1/invitations/{journey.contact_id}")
        return found if found["state"] in states else None

    return await eventually(f"{journey.reference}: invitation {' or '.join(states)}", look)


async def send_first_message(journey: Journey) -> None:
    """Say that a person sent the first message."""
    await journey.school.tutor.call("POST", f"/consent/api/v1/invitations/{journey.contact_id}/sent")


async def log_answer(journey: Journey, answer: str) -> None:
    """Log what the person answered to the first message."""
    path = f"/consent/api/v1/invitations/{journey.contact_id}/answer"
    await journey.school.tutor.call("POST", path, {"answer": answer})


@asynccontextmanager
async def open_link(journey: Journey) -> AsyncIterator[Journey]:
    """Make the personal link and open it as the family."""
    path = f"/consent/api/v1/invitations/{journey.contact_id}/link"
    journey.link = (await journey.school.tutor.call("POST", path))["url"]
    async with family(journey.school.url, journey.link) as caller:
        journey._family = caller  # noqa: SLF001 - the journey is ours
        yield journey


async def decide(journey: Journey, scopes: Iterable[Scope] = ALLOWED) -> None:
    """Say yes to these scopes and no to every other one."""
    allowed = set(scopes)
    body = {
        "signer": "parent",
        "name": "A. Parent",
        "about_child": True,
        "child_assent": "yes",
        "scopes": {scope: scope in allowed for scope in SCOPES},
    }
    await journey.family.call("POST", "/consent/api/v1/family/decision", body)


async def change(journey: Journey, scopes: Iterable[Scope]) -> None:
    """Allow these scopes from now on, and no other one."""
    allowed = set(scopes)
    body = {"scopes": {scope: scope in allowed for scope in SCOPES}}
    await journey.family.call("POST", "/consent/api/v1/family/change", body)


async def free_times(journey: Journey, zone: str = "America/Phoenix") -> list[Json]:
    """The times that the family may choose from, once consent has reached scheduling."""

    async def look() -> list[Json]:
        answer = await journey.family.call("GET", f"/scheduling/api/v1/family/slots?zone={zone}")
        return list(answer["slots"])

    return list(await eventually(f"{journey.reference}: times offered", look))


async def book(journey: Journey, zone: str = "America/Phoenix", number: int = 0) -> Json:
    """Choose one of the free times, by day if there is one; returns when the meeting is made."""
    slots = sorted(await free_times(journey, zone), key=lambda slot: _at_night(slot["starts_at"], zone))
    body = {"starts_at": slots[number]["starts_at"], "zone": zone, "reach": {"by": "page"}}
    await journey.family.call("POST", "/scheduling/api/v1/family/meeting", body)
    return await meeting(journey, "scheduled")


def _at_night(starts_at: str, zone: str) -> bool:
    return not 8 <= datetime.fromisoformat(starts_at).astimezone(ZoneInfo(zone)).hour < 21  # noqa: PLR2004 - o'clock


async def meeting(journey: Journey, *states: str) -> Json:
    """The meeting, once it is in one of these states."""

    async def look() -> Json:
        found = await journey.school.tutor.call("GET", f"/scheduling/api/v1/meetings/{journey.contact_id}")
        return found if found["state"] in states else None

    return await eventually(f"{journey.reference}: meeting {' or '.join(states)}", look)


async def hold(journey: Journey, *, all_agree: bool = True) -> None:
    """Close the meeting as held: the family and the tutor met earlier than planned, just now."""
    until = journey.school.clock.now()
    body = {
        "held": True,
        "held_from": (until - timedelta(seconds=1)).isoformat(),
        "held_until": until.isoformat(),
        "participants": [
            {"person_id": journey.school.tutor_id, "agrees_to_recording": True},
            {"person_id": journey.school.student_id, "agrees_to_recording": all_agree},
        ],
    }
    await journey.school.tutor.call("POST", f"/scheduling/api/v1/meetings/{journey.contact_id}/close", body)


async def recording(journey: Journey, *states: str) -> Json:
    """The recording, once it is in one of these states."""

    async def look() -> Json:
        found = await journey.school.tutor.call("GET", f"/archive/api/v1/recordings/{journey.contact_id}")
        return found if found["state"] in states else None

    return await eventually(f"{journey.reference}: recording {' or '.join(states)}", look)


def _recording() -> bytes:
    from firsthand.example.media import make_video  # and FFmpeg, which `firsthand up` has no use for

    return make_video()


async def upload(journey: Journey, media: bytes | None = None, *, chunk: int = _CHUNK) -> Json:
    """Upload the recording with the tus protocol, in pieces; returns when it is held."""
    before = await recording(journey, "awaited", "held")
    journey.media = media if media is not None else await asyncio.to_thread(_recording)
    tus = {"Tus-Resumable": "1.0.0"}
    name = base64.b64encode(b"meeting.webm").decode()
    described = tus | {"Upload-Length": str(len(journey.media)), "Upload-Metadata": f"filename {name}"}

    async def accepted() -> httpx.Response | None:
        path = f"/archive/api/v1/recordings/{journey.contact_id}/uploads"
        answer = await journey.school.tutor.send("POST", path, headers=described)
        return answer if answer.status_code == httpx.codes.CREATED else None

    created = await eventually(f"{journey.reference}: the upload was accepted", accepted)
    for offset in range(0, len(journey.media), chunk):
        headers = tus | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        await journey.school.tutor.call(
            "PATCH", created.headers["Location"], content=journey.media[offset : offset + chunk], headers=headers
        )

    async def prepared() -> Json:
        held = await recording(journey, "held")
        return held if held["sha256"] != before["sha256"] else None

    return await eventually(f"{journey.reference}: the recording is prepared", prepared)


async def write_down(journey: Journey, captions: str = CAPTIONS) -> None:
    """Bring captions of the recording that is held; they wait for the family."""
    path = f"/archive/api/v1/recordings/{journey.contact_id}/transcripts/en"
    await journey.school.tutor.call("PUT", path, content=captions.encode())


async def approve_text(journey: Journey) -> None:
    """The family has read what is written down, and lets it be read."""
    path = "/archive/api/v1/family/transcripts/en"
    seen = (await journey.family.call("GET", path))["seen"]
    await journey.family.call("POST", f"{path}/approve", {"seen": seen})


async def find(journey: Journey, words: str) -> list[Json]:
    """The lines with these words that a student finds."""
    found = await journey.school.student.call("GET", f"/archive/api/v1/search?{urlencode({'q': words})}")
    return [line for one in found["found"] for line in one["lines"]]


async def release(journey: Journey) -> None:
    """The second yes: the family has seen the recording, and lets it be shown."""
    held = await recording(journey, "held")

    async def seen() -> bool:
        await journey.family.call("POST", "/consent/api/v1/family/release", {"sha256": held["sha256"]})
        return True

    await eventually(f"{journey.reference}: the recording reached consent", seen)
    journey.released = str((await recording(journey, "released"))["sha256"])


async def watch(journey: Journey, **headers: str) -> tuple[int, bytes]:
    """Ask for the recording as the student does; the status and the bytes."""
    answer = await journey.school.student.send("GET", f"/archive/media/{journey.contact_id}", headers=headers)
    return answer.status_code, answer.content


async def plays(journey: Journey) -> bool:
    """Whether exactly what the family released plays to the student."""
    status, content = await watch(journey)
    return status == httpx.codes.OK and hashlib.sha256(content).hexdigest() == journey.released


async def withdraw(journey: Journey, erase: str = "now") -> None:
    """Take everything back."""
    await journey.family.call("POST", "/consent/api/v1/family/withdraw", {"erase": erase})


async def certificate(journey: Journey) -> Json:
    """The certificate of erasure, once it is complete."""

    async def look() -> Json:
        found = await journey.family.call("GET", "/consent/api/v1/family/certificate")
        return found if found.get("completed_at") else None

    return await eventually(f"{journey.reference}: erasure completed", look)


async def timeline(journey: Journey, *expected: str) -> Json:
    """Everything that happened to the contact, once all the expected event types are in it."""
    wanted = {f"firsthand.{name}.v1" for name in expected}

    missing: set[str] = wanted

    async def look() -> Json:
        nonlocal missing
        found = await journey.school.tutor.call("GET", f"/portal/api/v1/journeys/{journey.contact_id}")
        missing = wanted - {entry["type"] for entry in found["timeline"]}
        return None if missing else found

    try:
        return await eventually("", look)
    except Incomplete as error:
        raise Incomplete(f"{journey.reference}: not on the journey's page: {', '.join(sorted(missing))}") from error


THE_CHAIN = (
    "contact.discovered", "invitation.prepared", "invitation.sent", "invitation.answered", "invitation.linked",
    "consent.granted",
    "meeting.offered", "meeting.scheduled", "meeting.finished", "recording.awaited", "recording.archived",
    "consent.released", "recording.published", "consent.withdrawn", "recording.withdrawn", "erasure.requested",
    "discovery.erased", "scheduling.erased", "archive.erased", "erasure.completed",
)  # fmt: skip


async def play_demo(url: str, keys: Keys, clock: Clock, say: Callable[[str], None]) -> Json:
    """Play one whole journey in an institution of its own, withdrawal included; gives its events."""
    stamp = f"{clock.now():%Y%m%d-%H%M%S-%f}"  # several may be played in one second
    async with school(url, keys, clock, f"demo-{stamp}", name="Demonstration College") as college:
        say(f"institution {college.slug} with a coordinator, a tutor and a student")
        await open_case(college, "DEMO")
        say("a case with its approvals, texts and times")
        journey = await clear(college, await nominate(college, f"demo.{stamp}".replace("-", ".")))
        say(f"contact {journey.reference}: cleared by a tutor, invitation prepared")
        await send_first_message(journey)
        await log_answer(journey, "yes")
        async with open_link(journey):
            await decide(journey)
            say("first message sent, answered with yes, consent given")
            booked = await book(journey)
            say(f"meeting booked for {booked['starts_at']}, and held")
            await hold(journey)
            await upload(journey)
            await write_down(journey)
            await approve_text(journey)
            await release(journey)
            if not await plays(journey):
                raise Incomplete("the released recording did not play")
            say(f"recording of {len(journey.media)} bytes prepared, released, played by a student")
            await eventually("what is said in the recording was found", lambda: find(journey, "another mother"))
            say("what is said was approved by the family, and found by a student")
            await withdraw(journey)
            withdrawn_at = time.monotonic()
            await no_longer_plays(journey)
            if await find(journey, "another mother"):
                raise Incomplete("what is said was found after the withdrawal")
            say(f"consent withdrawn; no longer plays after {time.monotonic() - withdrawn_at:.2f} s")
            await certificate(journey)
            say("erased everywhere; the certificate is on the family's link")
            whole = await timeline(journey, *THE_CHAIN)
    return {
        "institution": college.slug,
        "contact": journey.contact_id,
        "reference": journey.reference,
        "completed": True,
        "plays": False,
        "events": [
            {"type": entry["type"], "id": entry["id"], "time": entry["time"], "journey": entry["journey"]}
            for entry in whole["timeline"]
        ],
    }


async def no_longer_plays(journey: Journey) -> None:
    """Return once the recording is refused to the student, for good and not because consent cannot be checked."""

    async def refused() -> bool:
        status, _ = await watch(journey)
        return status in {403, 404}

    await eventually(f"{journey.reference}: playback refused", refused, within=5)
