"""Two institutions on one system: at every door, what is the other's does not exist. Doors are found in the code."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest_asyncio

from firsthand.example import journey as play
from firsthand.shared.client import Caller
from firsthand.shared.clock import SystemClock
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.sessions import SessionIssuer
from tests.e2e.doors import Door, doors
from tests.e2e.system import System

CLOCK = SystemClock()
CANARY = "canary.oak.heron"

# What a door must be given so that it looks whose the thing is. A new door that answers 422 here gets its line.
BODIES: dict[str, dict[str, Any]] = {
    "PATCH /portal/api/v1/people/{person_id}": {"active": False},
    "POST /portal/people/{person_id}": {"name": "Else", "role": "student", "roles": "student"},
    "POST /portal/people/{person_id}/active": {"active": "no"},
    "PATCH /discovery/api/v1/cases/{case_id}": {"title": "Else"},
    "PUT /discovery/api/v1/cases/{case_id}/approvals/{kind}": {"number": "1", "expires_at": "2099-01-01T00:00:00Z"},
    "POST /discovery/cases/{case_id}/approvals/{kind}": {"number": "1", "until": "2099-01-01"},
    "POST /discovery/api/v1/cases/{case_id}/nominations": {"address": "https://www.instagram.com/else/"},
    "POST /discovery/cases/{case_id}/nominations": {"address": "https://www.instagram.com/else/"},
    "POST /discovery/api/v1/leads/{lead_id}/clear": {
        "checks": {"public": True, "adult": True, "not_vulnerable": True, "not_asked_before": True}, "language": "en",
    },
    "POST /discovery/api/v1/leads/{lead_id}/refuse": {"reason": "other"},
    "POST /discovery/leads/{lead_id}/refuse": {"reason": "other"},
    "POST /consent/api/v1/cases/{case_id}/texts/{language}/approve": {"number": "1"},
    "POST /consent/texts/{case_id}/{language}/approve": {"number": "1", "sha256": "0" * 64},
    "POST /consent/api/v1/invitations/{contact_id}/answer": {"answer": "no"},
    "POST /consent/invitations/{contact_id}/answer": {"answer": "no"},
    "POST /consent/api/v1/consents/{contact_id}/withdraw": {"erase": "now", "how_told": "message"},
    "POST /consent/api/v1/consents/{contact_id}/change": {"scopes": {"download": False}, "how_told": "message"},
    "POST /consent/invitations/{contact_id}/told": {"what": "withdraw", "erase": "now", "how_told": "message"},
    "PUT /scheduling/api/v1/cases/{case_id}/availability": {"zone": "Asia/Qatar"},
    "POST /scheduling/api/v1/meetings/{contact_id}/close": {"held": False, "reason": "other"},
    "POST /scheduling/meetings/{contact_id}/held": {"person": "x"},
    "POST /scheduling/meetings/{contact_id}/not-held": {"reason": "other"},
    "POST /scheduling/meetings/{contact_id}/move": {"at": "2099-01-01T10:00"},
    "PUT /archive/api/v1/recordings/{contact_id}/place": {"place": 1},
    "POST /archive/api/v1/recordings/{contact_id}/clips": {"start": 0, "title": "Else"},
    "POST /archive/watch/{contact_id}/clips": {"start": "0", "title": "Else"},
    "PATCH /webhooks/api/v1/endpoints/{endpoint_id}": {"name": "Else"},
    "POST /webhooks/api/v1/endpoints/{endpoint_id}/recover": {"since": "2026-01-01T00:00:00Z"},
    "POST /webhooks/api/v1/endpoints/{endpoint_id}/replay": {"since": "2026-01-01T00:00:00Z"},
    "PUT /webhooks/api/v1/obligations/{contact_id}/{endpoint_id}": {"answer": "deleted"},
    "POST /webhooks/answers-owed/{contact_id}/{endpoint_id}": {"answer": "deleted"},
}  # fmt: skip
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Offset": "0"}

# An institution's own words, not the name of a thing: the same at every institution.
OWN_WORDS = {
    "cohort_id": "year-3",
    "kind": "ethics",
    "language": "en",
    "number": "1",
    "name": "meet",
    "form": "vtt",
    "wish_id": "none",
    "clip_id": "none",
    "_action": "move",
    "event_type": "consent.granted",
}
# What is of one case: another tutor finds none of it.
OF_A_CASE = frozenset({"case_id", "contact_id", "lead_id", "upload_id"})
# Streams do not end.
ENDLESS = {"GET /portal/api/v1/journeys/stream"}


@dataclass
class World:
    """Oak has everything; the strangers have nothing of it."""

    oak: play.School
    journey: play.Journey
    things: dict[str, str]
    strangers: dict[str, Caller]
    student: Caller
    colleague: Caller  # a tutor of Oak, but of another case

    async def snapshot(self) -> list[Any]:
        """All of Oak that a stranger might change."""
        tutor, contact = self.oak.coordinator, self.journey.contact_id
        paths = (
            f"/portal/api/v1/journeys/{contact}", "/portal/api/v1/people", "/portal/api/v1/cohorts",
            "/portal/api/v1/institution", "/discovery/api/v1/cases", "/discovery/api/v1/leads",
            f"/discovery/api/v1/contacts/{contact}/label", "/consent/api/v1/invitations",
            f"/consent/api/v1/cases/{self.oak.case_id}/texts", f"/scheduling/api/v1/meetings/{contact}",
            f"/scheduling/api/v1/cases/{self.oak.case_id}/availability?tutor_id={self.oak.tutor_id}",
            f"/archive/api/v1/recordings/{contact}", f"/archive/api/v1/recordings/{contact}/editing",
            f"/archive/api/v1/recordings/{contact}/transcripts",
        )  # fmt: skip
        return [await tutor.call("GET", path) for path in paths]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(system: System) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        oak = await stack.enter_async_context(play.school(system.url, system.keys, CLOCK, "oak-tenant"))
        elm = await stack.enter_async_context(play.school(system.url, system.keys, CLOCK, "elm-tenant"))
        await play.open_case(oak, title=CANARY)
        journey = await play.clear(oak, await play.nominate(oak, CANARY))
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        await stack.enter_async_context(play.open_link(journey))
        await play.decide(journey)
        await play.book(journey)
        await play.hold(journey)
        await play.upload(journey)
        await play.write_down(journey, play.CAPTIONS.replace("spoon", CANARY))

        async def room_is_closed() -> bool:
            return (await play.meeting(journey, "finished"))["join_url"] is None

        await play.eventually("the room is closed after the meeting", room_is_closed)
        begun = await oak.tutor.send("POST", f"/archive/api/v1/recordings/{journey.contact_id}/uploads", headers=TUS)
        await oak.coordinator.call("POST", "/portal/api/v1/tokens", {"label": CANARY})
        people = (await oak.coordinator.call("GET", "/portal/api/v1/people"))["items"]
        endpoint_id, delivery_id = await _delivery(oak)
        families = SessionIssuer({"family": system.keys.signing["family"]}, CLOCK)
        of_elm = families.family(InstitutionId("elm-tenant"), new_id(), language="en")
        person = {"name": "All", "email": "all@elm.example", "roles": ["student", "tutor", "coordinator"]}
        await elm.operator.call("POST", f"/portal/api/v1/institutions/{elm.slug}/people", person)
        everything = await stack.enter_async_context(play.sign_in(system.url, elm.operator, elm.slug, person["email"]))
        token = (await elm.coordinator.call("POST", "/portal/api/v1/tokens", {"label": "x"}))["token"]
        other = {"name": "Other", "email": "other@oak.example", "roles": ["tutor"]}
        await oak.operator.call("POST", f"/portal/api/v1/institutions/{oak.slug}/people", other)
        colleague = await stack.enter_async_context(play.sign_in(system.url, oak.operator, oak.slug, other["email"]))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=system.url, timeout=30))
        yield World(
            oak=oak,
            journey=journey,
            things={
                "slug": oak.slug,
                "case_id": oak.case_id,
                "contact_id": journey.contact_id,
                "lead_id": await play.nominate(oak, f"{CANARY}.waits"),
                "person_id": next(one["person_id"] for one in people if one["roles"] == ["machine"]),
                "upload_id": begun.headers["Location"].rsplit("/", 1)[1],
                "endpoint_id": endpoint_id,
                "delivery_id": delivery_id,
            },
            strangers={
                "staff with every role": everything,
                "a machine": Caller(http, lambda: token),
                "a family": Caller(http, lambda: of_elm),
                "nobody": Caller(http),
            },
            student=oak.student,
            colleague=colleague,
        )


async def _delivery(school: play.School) -> tuple[str, str]:
    """An endpoint at which nobody answers, and its test event."""
    call, endpoints = school.coordinator.call, "/webhooks/api/v1/endpoints"
    body = {"url": "http://127.0.0.1:1/hook", "event_types": ["*"], "name": CANARY, "description": CANARY}
    added = str((await call("POST", endpoints, body))["endpoint_id"])
    await call("POST", f"{endpoints}/{added}/test")
    found: list[str] = []

    async def there() -> bool:
        items = (await call("GET", f"{endpoints}/{added}/deliveries"))["items"]
        found[:] = [one["delivery_id"] for one in items]
        return bool(found)

    await play.eventually("the test event waits", there)
    return added, found[0]


async def ask(door: Door, caller: Caller, things: dict[str, str]) -> httpx.Response:
    options: dict[str, Any] = {"headers": dict(TUS)} if "/uploads" in door.path else {}
    if door.path.endswith("/posts"):
        options["content"] = b"[]"
    elif "/uploads" in door.path and door.method == "PATCH":
        options |= {"content": b"x", "headers": {**TUS, "Content-Type": "application/offset+octet-stream"}}
    elif door.method in {"POST", "PUT", "PATCH"} and (body := BODIES.get(str(door))) is not None:
        options["json" if door.api else "data"] = body
    return await caller.send(door.method, door.at(**OWN_WORDS, **things), **options)


def of_things(door: Door) -> bool:
    return bool(set(door.places) - set(OWN_WORDS) - {"secret", "token"}) and door.who != "anybody"


def is_closed(answer: httpx.Response) -> bool:
    if answer.status_code in {303, 307}:
        return answer.headers["Location"].startswith(("/portal/session/renew?", "/consent/family/renew?"))
    return answer.status_code in {401, 403, 404}


def same(answer: httpx.Response, things: dict[str, str]) -> tuple[int, str]:
    """The answer without what was asked."""
    text = f"{answer.headers.get('Location', '')} {answer.text}"
    for value in sorted(things.values(), key=len, reverse=True):  # a delivery's id holds its endpoint's
        text = text.replace(value, "·")
    return answer.status_code, text


async def test_at_every_door_what_is_another_institutions_does_not_exist(world: World) -> None:
    before, wrong = await world.snapshot(), []
    missing = dict.fromkeys(world.things, "") | {name: new_id() for name in world.things} | {"slug": "no-such-school"}
    for door in filter(of_things, doors()):
        for name, stranger in world.strangers.items():
            theirs, none = await ask(door, stranger, world.things), await ask(door, stranger, missing)
            if not is_closed(theirs):
                wrong.append(f"{door} answers {theirs.status_code} to {name}: {theirs.text[:200]}")
            if same(theirs, world.things) != same(none, missing):
                wrong.append(f"{door} tells {name} what there is: {theirs.status_code} {none.status_code}")
    assert not wrong, "\n".join(wrong)
    assert await world.snapshot() == before


async def test_no_list_and_no_page_shows_anything_of_another_institution(world: World) -> None:
    wrong, told = [], [CANARY, *(value for name, value in world.things.items() if name != "slug")]
    asked_for = ("", f"?case={world.oak.case_id}", f"?tutor_id={world.oak.tutor_id}", "?whose=all")
    for door in doors():
        if door.method != "GET" or of_things(door) or str(door) in ENDLESS:
            continue
        address = door.at(**OWN_WORDS, slug="elm-tenant", secret="x", token="x")
        for name, stranger in world.strangers.items():
            for query in asked_for if name == "staff with every role" else asked_for[:1]:
                answer = await stranger.send("GET", address + query)
                text = answer.text.replace(query.partition("=")[2] or "·", "")
                wrong += [f"{door}{query} shows {name}: {one}" for one in told if one in text]
    assert not wrong, "\n".join(wrong)


async def test_a_door_opens_to_whom_it_names_and_to_nobody_else(world: World) -> None:
    wrong = []
    callers = {"student": world.student, "family": world.journey.family, "nobody": world.strangers["nobody"]}
    closed = {"student": {"tutor", "coordinator", "operator", "family"}, "family": {"staff", "student", "tutor"}}
    everything = world.things | {"secret": "x", "token": "x"}
    before = await world.snapshot()
    for door in doors():
        for name, caller in callers.items():
            if door.who not in closed.get(name, {"staff", "student", "tutor", "coordinator", "operator", "family"}):
                continue
            answer = await ask(door, caller, everything)
            if not is_closed(answer) or answer.status_code == 404:
                wrong.append(f"{door} answers {answer.status_code} to {name}")
    assert not wrong, "\n".join(wrong)
    assert await world.snapshot() == before


async def test_at_every_door_a_tutor_of_another_case_finds_nothing_and_changes_nothing(world: World) -> None:
    before, wrong = await world.snapshot(), []
    missing = world.things | {name: new_id() for name in OF_A_CASE}
    for door in doors():
        if OF_A_CASE & set(door.places) and door.who in {"staff", "student", "tutor"}:
            theirs, none = await ask(door, world.colleague, world.things), await ask(door, world.colleague, missing)
            if theirs.status_code != 404:
                wrong.append(f"{door} answers {theirs.status_code}: {theirs.text[:200]}")
            if same(theirs, world.things) != same(none, missing):
                wrong.append(f"{door} tells what there is: {theirs.status_code} {none.status_code}")
    assert not wrong, "\n".join(wrong)
    assert await world.snapshot() == before


async def test_no_list_and_no_page_shows_a_tutor_anything_of_another_case(world: World) -> None:
    wrong, told = [], [CANARY, *(world.things[name] for name in OF_A_CASE)]
    asked_for = ("", f"?case={world.oak.case_id}", "?whose=all", "?state=cleared", "?show=ended&whose=all")
    for door in doors():
        if door.method != "GET" or of_things(door) or str(door) in ENDLESS:
            continue
        for query in asked_for:
            answer = await world.colleague.send("GET", door.at(**OWN_WORDS, slug="x", secret="x", token="x") + query)
            text = answer.text.replace(query.partition("=")[2] or "·", "")
            wrong += [f"{door}{query} shows {one}" for one in told if one in text]
    assert not wrong, "\n".join(wrong)


async def test_a_tutor_of_the_case_finds_what_another_tutor_does_not(world: World) -> None:
    seen = {str(door): door for door in doors() if door.method == "GET" and OF_A_CASE & set(door.places)}
    for name in sorted(seen):
        if seen[name].who == "tutor" and "number" not in seen[name].places:
            answer = await ask(seen[name], world.oak.tutor, world.things)
            assert answer.status_code in {200, 303}, f"{name} answers {answer.status_code}: {answer.text[:200]}"
