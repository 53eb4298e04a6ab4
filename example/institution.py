"""The example that `make run` loads into an empty folder: an invented dental school with contacts at every stage."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from rich.console import Console

from firsthand.example import journey as play
from firsthand.shared.client import Caller, Json, operator
from firsthand.shared.clock import Clock
from firsthand.shared.keys import Keys
from firsthand.shared.settings import Settings

SLUG = "example-dental"
_POSTS = Path(__file__).parent / "posts"
_FORMATS = {
    "bluesky.json": "bluesky",
    "jetstream.jsonl": "jetstream",
    "mastodon.json": "mastodon",
    "instagram.json": "instagram",
}
_PEOPLE = {
    "coordinator": ("Dr Salma Idris", ["coordinator"]),
    "tutor": ("Dr Omar Farid", ["tutor"]),
    "student": ("Lina Haddad", ["student"]),
    "operator": ("Operations", ["operator"]),
}

GOALS = [
    "Describe what feeding a baby with a cleft lip asks of a family in the first weeks.",
    "Name what treatment over many years costs a family, in money, time and worry.",
    "Listen without finishing a parent's sentence.",
]

# How far each of the example's contacts goes, and in which language its family reads.
_STAGES = (
    ("first message sent", "en", "Europe/Dublin"),
    ("times offered", "es", "America/Mexico_City"),
    ("meeting booked", "en", "Pacific/Auckland"),
    ("recording held", "en", "America/Phoenix"),
    ("recording released", "ar", "Asia/Amman"),
    ("withdrawn and erased", "en", "America/New_York"),
)


async def load_example(url: str, keys: Keys, clock: Clock, progress: Callable[[str], None]) -> None:
    """Load the example unless its institution is there. It is played through the public interfaces only."""
    async with operator(url, keys, clock) as admin:
        there = await admin.call("GET", "/portal/api/v1/institutions")
        if any(institution["slug"] == SLUG for institution in there["items"]):
            return
        progress("loading the example institution")
        async with _school(url, admin, clock) as school:
            await play.open_case(school, goals=GOALS)
            for name, format_ in _FORMATS.items():
                report = await play.import_posts(school, format_, (_POSTS / name).read_bytes())
                progress(f"  {report['imported']} posts from {format_}, {len(report['problems'])} unreadable")
            for stage, language, zone in _STAGES:
                journey = await _play_until(school, stage, language, zone)
                progress(f"  contact {journey.reference}: {stage}")


@asynccontextmanager
async def _school(url: str, admin: Caller, clock: Clock) -> AsyncIterator[play.School]:
    await play.add_institution(admin, SLUG)
    callers: dict[str, Caller] = {}
    ids: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for role, (name, roles) in _PEOPLE.items():
            email = _address(role)
            person = {"name": name, "email": email, "roles": roles, "cohorts": ["year-3"]}
            added = await admin.call("POST", f"/portal/api/v1/institutions/{SLUG}/people", person)
            ids[role] = added["person_id"]
            callers[role] = await stack.enter_async_context(play.sign_in(url, admin, SLUG, email))
        cohort = {"label": "third-year students", "size": 25, "learns_until": "2027-06-30"}
        await callers["coordinator"].call("PUT", "/portal/api/v1/cohorts/year-3", cohort)
        yield play.School(
            url, SLUG, clock, admin, callers["coordinator"], callers["tutor"], callers["student"],
            tutor_id=ids["tutor"], student_id=ids["student"],
        )  # fmt: skip


def _address(role: str) -> str:
    return f"{role}@dental.example"


async def _lead_in(school: play.School, language: str) -> Json:
    """The next waiting lead whose author is known by name, in the family's language if there is one."""
    leads = [lead for lead in await play.waiting_leads(school) if lead["handle"]]
    leads.sort(key=lambda lead: lead["language"] != language)
    return leads[0]


async def _play_until(school: play.School, stage: str, language: str, zone: str) -> play.Journey:
    """Take one contact as far as `stage` says."""
    lead = await _lead_in(school, language)
    journey = await play.clear(school, lead["lead_id"], language=language)
    await play.send_first_message(journey)
    if stage == "first message sent":
        return journey
    await play.log_answer(journey, "yes")
    async with play.open_link(journey):
        await play.decide(journey)
        await play.free_times(journey, zone)
        if stage == "times offered":
            return journey
        await play.book(journey, zone)
        if stage == "meeting booked":
            return journey
        await play.hold(journey)
        await play.upload(journey)
        if stage == "recording held":
            return journey
        await play.release(journey)
        if stage == "withdrawn and erased":
            await play.withdraw(journey)
            await play.certificate(journey)
    return journey


async def print_doors(settings: Settings, keys: Keys, clock: Clock, console: Console) -> None:
    """Say where to click: one-time sign-in links for the example's people, or the sign-in page."""
    console.print(f"\n[bold]Firsthand runs on {settings.address}[/]  (Ctrl-C ends it; everything is kept)\n")
    async with operator(settings.address, keys, clock) as admin:
        there = await admin.call("GET", "/portal/api/v1/institutions")
        if not any(institution["slug"] == SLUG for institution in there["items"]):
            console.print(f"  sign in at {settings.address}/portal/sign-in")
            console.print("  first time: firsthand institution add ..., then firsthand person add ...")
            return
        console.print("One-time sign-in links (new ones at every start, or from the sign-in page):")
        for role in _PEOPLE:
            link = await admin.call(
                "POST", f"/portal/api/v1/institutions/{SLUG}/sign-in-links", {"email": _address(role)}
            )
            console.print(f"  {role:<12} {link['url']}", soft_wrap=True)
    console.print(
        "\nAs a family: sign in as the tutor; Invitations, “Said yes”, a contact, “Open the family's page”.",
        soft_wrap=True,
    )
    console.print(f"Mail that would be sent: {settings.address}/portal/mail")
    console.print("One whole journey, withdrawal included: .venv/bin/firsthand demo\n", soft_wrap=True)
