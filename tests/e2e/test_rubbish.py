"""Rubbish at every door: each answer is a clear refusal, nothing breaks, and nothing of it is told to anybody."""

import asyncio
import contextlib
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import SkipTest

import httpx
import nats
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.errors import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from firsthand.example import journey as play
from firsthand.shared.bus.dead_letters import DeadLetters
from firsthand.shared.client import Caller
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.identifiers import new_id
from tests.e2e.doors import Door, doors
from tests.e2e.system import SERVICES, System, all_in_one

CLOCK = SystemClock()
CANARY = "canary7f3aq"
SCRIPT = f"<script>alert(1)</script>{CANARY}"
ROOT = Path(__file__).parents[2]

TEXTS = (
    "", " ", CANARY, f"{CANARY}\x00", f"{CANARY}\ud800", f"../../{CANARY}", f"<script>alert(1)</script>{CANARY}",
    f"=cmd|'/C {CANARY}'!A0", CANARY * 500, f"{CANARY}\r\nX-Injected: 1", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00", "2026-03-29T02:30:00+25:00", "Mars/Olympus", "America", "\u0661\u0662", "1e999",
    f"https://{CANARY}[", "https://[::1", "http://a:999999/", "2026-13-45", "24:00", "xx-klingon", "at://x", "@@",
)  # fmt: skip
FORMS = tuple(text.encode(errors="replace") for text in TEXTS)
OTHERS = (None, True, -1, 0, 10**30, 1e308, [], {}, [[]], {"a": {"b": []}}, [CANARY] * 3, {CANARY: True})
BODIES = (
    b"", b"{", b"\xff\xfe\x00", b"null", b"1", b'"x"', b"[]", b"[" * 50_000, b'{"a":' * 5000, b'{"a":NaN}',
    b"\xef\xbb\xbf{}", b"x" * 1_100_000, b'{"a":1' + b"0" * 5000 + b"}", f'{{"{CANARY}":1}}'.encode(),
    b'{"scopes":[1]}', f"a={CANARY}&b=%00%ff".encode(), b"--x\r\nContent-Disposition: form-data; name=\r\n\r\n",
)  # fmt: skip
KINDS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/x; charset=x",
)
PLACES = ("%00", "..%2f..%2fetc", "%ff%fe", "x" * 3000, "%0d%0aX-Injected:1", f"%3Cscript%3E{CANARY}", "-", "0", CANARY)
QUERIES = ("%00", "%ff", f"{CANARY}%22%3E", "9" * 400, "%0d%0a", "e30", "WyJpZCIsImFzYyIsIngiLCJ4Il0", "W" * 9000)
OF_QUERIES = ("after", "lang", "next", "state", "stage", "zone", "download", "tutor", "tutor_id", "case", "limit", "at",
              "q", "t", "language", "line", "begin")  # fmt: skip
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
HEADERS: tuple[dict[str, str | bytes], ...] = (
    {"Accept-Language": CANARY * 500}, {"Accept": "text/html;q=x"}, {"traceparent": CANARY}, {"Cookie": '[]="; fh_x'},
    {"Range": "bytes=-0"}, {"Range": "bytes=" + "9" * 5000 + "-"}, {"Range": "bytes=5-1"}, {"If-Range": CANARY},
    TUS | {"Upload-Length": "9" * 40, "Upload-Metadata": "filename !!!"}, TUS | {"Upload-Length": "-1"},
    TUS | {"Upload-Offset": b"\xd9\xa3"}, TUS | {"Upload-Offset": "1e3"}, {"Tus-Resumable": "0.2"},
    TUS | {"Upload-Offset": "0", "Upload-Checksum": "sha256 %%%"}, {"Origin": "http://["},
)  # fmt: skip
ENDLESS = {"GET /portal/api/v1/journeys/stream"}
# What ends the session or the journey that the other doors are tried with.
ENDS = re.compile(r"sign-out|leave|withdraw|decline|/no$|close|revoke|active|uploads/{upload_id}$|remove$|rotate$")


# Requests of an operation: right by its description, and wrong.
EXAMPLES = {schemathesis.GenerationMode.POSITIVE: 2, schemathesis.GenerationMode.NEGATIVE: 1}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass
class World:
    system: System
    school: play.School
    journey: play.Journey
    things: dict[str, str]
    callers: dict[str, Caller]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(all_in_one(tmp_path_factory.mktemp("rubbish")))
        school = await stack.enter_async_context(play.school(system.url, system.keys, CLOCK, "rubbish-dental"))
        await play.open_case(school)
        journey = await play.clear(school, await play.nominate(school, "somebody.example"))
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        await stack.enter_async_context(play.open_link(journey))
        person = {"name": "All", "email": "all@rubbish.example", "roles": ["student", "tutor", "coordinator"]}
        await school.operator.call("POST", f"/portal/api/v1/institutions/{school.slug}/people", person)
        staff = await stack.enter_async_context(play.sign_in(system.url, school.operator, school.slug, person["email"]))
        things = {
            "slug": school.slug, "case_id": school.case_id, "contact_id": journey.contact_id,
            "lead_id": await play.nominate(school, "waiting.example"), "person_id": school.student_id,
            "upload_id": new_id(), "cohort_id": "year-3", "kind": "ethics", "language": "en", "number": "1",
            "name": "meet", "form": "vtt", "wish_id": "none", "clip_id": "none", "_action": "move", "secret": "none",
            "token": "none",
            "institution": school.slug, "event_type": "consent.granted",
            "endpoint_id": await _endpoint(school), "delivery_id": f"{new_id()}-{new_id()[:24]}",
        }  # fmt: skip
        callers = dict.fromkeys(("staff", "student", "tutor", "coordinator", "anybody"), staff)
        callers |= {"family": journey.family, "operator": school.operator}
        yield World(system, school, journey, things, callers)


def example_of(schema: dict[str, Any], defs: dict[str, Any], depth: int = 0) -> Any:
    """Something of about the shape that an OpenAPI schema asks for."""
    for several in ("anyOf", "oneOf", "allOf"):
        schema = schema.get(several, [schema])[0]
    if "$ref" in schema:
        return example_of(defs[schema["$ref"].rsplit("/", 1)[1]], defs, depth + 1)
    shown: Any = "x"
    match schema.get("type"):
        case "object":
            shown = {name: example_of(one, defs, depth + 1) for name, one in schema.get("properties", {}).items()}
            more = schema.get("additionalProperties")
            shown |= {"en": example_of(more, defs, depth + 1)} if isinstance(more, dict) else {}
        case "array":
            shown = [example_of(schema.get("items", {}), defs, depth + 1)] if depth < 6 else []
        case "string":
            shown = {"date-time": "2026-12-01T10:00:00Z", "date": "2026-12-01"}.get(schema.get("format", ""), "en")
        case "boolean":
            shown = True
        case "integer" | "number":
            shown = max(schema.get("minimum", 1), 1)
    return schema.get("const", schema.get("enum", [shown])[0])


async def _endpoint(school: play.School) -> str:
    body = {"url": "http://127.0.0.1:1/hook", "event_types": ["case.*"], "name": "Register"}
    return str((await school.coordinator.call("POST", "/webhooks/api/v1/endpoints", body))["endpoint_id"])


def spoilt(value: Any) -> Iterator[Any]:
    """The value with rubbish in one of its places, in every way."""
    yield from (*TEXTS, *OTHERS)
    if isinstance(value, dict):
        yield from ({**value, name: bad} for name, part in value.items() for bad in spoilt(part))
    elif isinstance(value, list) and value:
        yield from ([bad] for bad in spoilt(value[0]))


def form_fields(service: str) -> list[str]:
    """The names of all fields of all forms of a service."""
    pages = (ROOT / "services" / service / "pages").glob("*.html")
    return sorted({name for page in pages for name in re.findall(r'name="([a-z_]+)"', page.read_text())})


Request = tuple[str, dict[str, Any]]  # an address, and the options of a call


def requests_to(door: Door, things: dict[str, str], schema: dict[str, Any], dice: random.Random) -> Iterator[Request]:
    """All kinds of rubbish in turn, of each some."""
    good = door.at(**things)
    for place in door.places:
        yield from ((door.at(**{**things, place: bad}), {}) for bad in dice.sample(PLACES, 2))
    if door.method in {"GET", "HEAD"}:
        yield from ((f"{good}?{name}={dice.choice(QUERIES)}", {}) for name in dice.sample(OF_QUERIES, 5))
    else:
        yield from ((good, {"headers": {"Content-Type": kind}, "content": body}) for kind, body in raw(door, dice))
        yield from ((good, options) for options in shaped(door, schema, dice))
    if door.service == "archive" or door.method != "GET":
        yield from ((good, {"headers": headers}) for headers in dice.sample(HEADERS, 2))


def raw(door: Door, dice: random.Random) -> list[tuple[str, bytes]]:
    """Kinds and bodies; all bodies where a service reads them by itself."""
    if door.path.endswith(("/posts", "/texts/{language}")):
        return [(KINDS[0], body) for body in BODIES]
    return [(dice.choice(KINDS), body) for body in dice.sample(BODIES, 3)]


def shaped(door: Door, schema: dict[str, Any], dice: random.Random) -> Iterator[dict[str, Any]]:
    """Bodies that are nearly right, as the door's schema or the service's forms have it."""
    operation = schema["paths"].get(door.path.removeprefix(f"/{door.service}"), {}).get(door.method.lower(), {})
    wanted = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if wanted:
        bad = list(spoilt(example_of(wanted, schema.get("components", {}).get("schemas", {}))))
        for one in dice.sample(bad, min(len(bad), 10)):
            yield {"content": json.dumps(one).encode(), "headers": {"Content-Type": "application/json"}}
    elif not door.api:
        fields = form_fields(door.service)
        yield from ({"data": {name: dice.choice(FORMS) for name in fields}} for _ in range(3))


def judged(door: Door, answer: httpx.Response) -> str:
    """What is wrong with an answer; empty when nothing is."""
    status, kind = answer.status_code, answer.headers.get("content-type", "")
    if status >= 500 and status != 503:
        return f"{status}"
    if door.api and door.method != "HEAD" and status >= 400 and kind != "application/problem+json":
        return f"{status} without a problem document"
    if "x-injected" in answer.headers or ("html" in kind and SCRIPT in answer.text):
        return "injected"
    return ""


@pytest.mark.timeout(300)  # some 5,000 requests
async def test_no_rubbish_at_any_door_breaks_anything_or_reaches_the_log(world: World) -> None:
    dice, wrong = random.Random(20261121), []
    schemas = {name: await world.callers["anybody"].call("GET", f"/{name}/openapi.json") for name in SERVICES}
    for door in sorted(doors(), key=lambda door: (bool(ENDS.search(door.path)), door.method == "DELETE")):
        if "/deployment/" in door.path:
            continue  # the same functions as without it, by another keeper
        if str(door) in ENDLESS:
            continue
        for address, options in requests_to(door, world.things, schemas[door.service], dice):
            answer = await world.callers[door.who].send(door.method, address, **options)
            if fault := judged(door, answer):
                wrong.append(f"{fault}: {door} {address[:90]} {str(options)[:300]}")
    assert not wrong, "\n".join(wrong)
    assert (await world.callers["anybody"].send("GET", "/readyz")).status_code == 200
    log = (world.system.data / "logs" / "firsthand.log").read_text()
    assert CANARY not in log
    assert "boundary" not in log  # a parser of forms would quote what it cannot read
    assert CANARY not in world.system.everything.log.read_text()


def cases_of(operation: Any) -> list[Any]:
    """Some requests of an operation, right by its description, and some that break it."""
    found: list[Any] = []

    def keep(case: Any) -> None:
        found.append(case)

    for mode, number in EXAMPLES.items():
        quick = settings(
            max_examples=number, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        with contextlib.suppress(SkipTest, Unsatisfiable):  # nothing of it can be broken
            quick(given(operation.as_strategy(generation_mode=mode))(keep))()
    return found


def asked(world: World, door: Door, case: Any, *, known: bool) -> Any:
    """Send it as somebody who may; with `known`, about things that are there."""
    if known:
        case.path_parameters.update({name: world.things[name] for name in case.path_parameters if name in world.things})
    http = world.callers[door.who]._http
    headers = {"Origin": world.system.url} if not world.callers[door.who]._token else {}
    if case.operation.path.endswith(("uploads", "{upload_id}")):
        headers |= TUS
    if token := world.callers[door.who]._token:
        headers["Authorization"] = f"Bearer {token()}"
    return case.call(
        base_url=f"{world.system.url}/{door.service}",
        headers=headers,
        cookies=dict(http.cookies),
        allow_redirects=False,
    )


def undescribed(world: World) -> Iterator[str]:
    """Every answer that its description does not have, and every one that is our fault."""
    by_name = {str(door): door for door in doors()}
    for service in SERVICES:
        schema = schemathesis.openapi.from_path(ROOT / "docs" / "openapi" / f"{service}.json")
        found = [one.ok() for one in schema.get_all_operations()]
        for operation in sorted(found, key=lambda one: (bool(ENDS.search(one.path)), one.method == "delete")):
            door = by_name[f"{operation.method.upper()} /{service}{operation.path}"]
            if str(door) in ENDLESS:
                continue
            for index, case in enumerate(cases_of(operation)):
                answer = asked(world, door, case, known=bool(index % 4))
                try:
                    case.validate_response(answer, checks=CHECKS)
                except FailureGroup as group:
                    told = "; ".join(str(one).replace("\n", " ")[:300] for one in group.exceptions)
                    yield f"{door} {answer.status_code}: {told}: {answer.text[:200]}"


async def test_every_interface_answers_what_it_describes_and_nothing_else(world: World) -> None:
    wrong = await asyncio.to_thread(lambda: list(undescribed(world)))
    assert not wrong, "\n".join(wrong)


async def test_rubbish_on_the_bus_becomes_dead_letters_and_the_chain_goes_on(world: World) -> None:
    """By somebody who has got at the credentials of NATS: what is no event of ours changes nothing."""
    address = address_of(world.system.data / "nats")
    assert address
    client = await nats.connect(address)
    letters = DeadLetters(client.jetstream())
    known = len([letter async for letter in letters.list()])
    tutor, contact = world.school.coordinator, world.journey.contact_id
    before = await tutor.call("GET", f"/portal/api/v1/journeys/{contact}")
    subject = f"fh.v1.{world.school.slug}.consent.granted"
    forged = {
        "specversion": "1.0", "id": new_id(), "type": "firsthand.consent.granted.v1", "subject": contact,
        "source": "/institutions/elm/consent", "institution": "elm", "time": CLOCK.now().isoformat(), "data": {},
        "sequence": 10**30, "correlationid": CANARY, "actor": CANARY, "datacontenttype": "application/json",
    }  # fmt: skip
    rubbish = [
        b"", b"\xff\x00", CANARY.encode(), b"[]", b"null", b"[" * 100_000, b'{"type": 1}', b'{"type": []}',
        b'{"type": {"a": 1}}', b'{"type": "firsthand.consent.granted.v1"}', b'{"a":1' + b"0" * 5000 + b"}",
        json.dumps(forged).encode(), json.dumps(forged | {"data": CANARY}).encode(), b"x" * 500_000,
    ]  # fmt: skip
    for body in rubbish:
        await client.jetstream().publish(subject, body)

    async def buried() -> bool:
        found = [letter async for letter in letters.list()]
        return len({letter.body for letter in found[known:]}) == len(set(rubbish))

    await play.eventually("all rubbish among the dead letters", buried)
    assert not [letter async for letter in letters.list() if CANARY in letter.reason]
    assert await tutor.call("GET", f"/portal/api/v1/journeys/{contact}") == before
    ready = await tutor.send("GET", "/readyz")
    assert ready.status_code == 200, ready.text
    await play.clear(world.school, await play.nominate(world.school, "after.the.rubbish"))
    assert CANARY not in (world.system.data / "logs" / "firsthand.log").read_text()
    await client.close()
