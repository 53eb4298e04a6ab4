"""The web shell, as a browser and a program meet it: a real ASGI application over httpx."""

import asyncio
import io
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from firsthand.services.__main__ import SERVICES
from firsthand.shared.disk import Disk
from firsthand.shared.identifiers import InstitutionId, PastedSecret
from firsthand.shared.load import Load
from firsthand.shared.metrics import Metrics
from firsthand.shared.sessions import Family, Staff
from firsthand.shared.settings import Settings
from firsthand.shared.store import Conflict, NoRoom, StoreUnavailable
from firsthand.shared.tracing import begun
from firsthand.shared.web.access import (
    AnyStaff,
    Coordinator,
    FamilySession,
    Operator,
    Public,
    Tutor,
    safe_next,
    served_here,
)
from firsthand.shared.web.app import MountedPart, build_app
from firsthand.shared.web.health import Condition
from firsthand.shared.web.languages import language, negotiate
from firsthand.shared.web.logging import JsonLines
from firsthand.shared.web.pages import Pages
from firsthand.shared.web.problems import Problem
from firsthand.shared.web.security import BODY_LIMIT, BodyLimitMiddleware, Streamed
from firsthand.shared.web.shedding import Bulk

STAFF = {
    "tutor": Staff("qu-cdm", "p-1", frozenset({"tutor"}), frozenset()),
    "student": Staff("qu-cdm", "p-2", frozenset({"student"}), frozenset({"y3"})),
    "coordinator": Staff("qu-cdm", "p-3", frozenset({"coordinator"}), frozenset()),
    "machine": Staff("qu-cdm", "p-4", frozenset({"machine"}), frozenset()),
}
FAMILIES = {"family": Family("qu-cdm", "c-1", "ar")}


class Verifier:
    """Knows these sessions by their names instead of by signatures (tests/unit/test_sessions.py has those)."""

    def staff(self, token: str) -> Staff | None:
        return STAFF.get(token)

    def family(self, token: str) -> Family | None:
        return FAMILIES.get(token)


@dataclass
class Context:
    verifier: Verifier = field(default_factory=Verifier)
    settings: Settings = field(default_factory=Settings)
    load: Load = field(default_factory=Load)
    disk: Disk = field(default_factory=lambda: Disk(()))
    metrics: Metrics = field(default_factory=lambda: Metrics("consent"))


class Body(BaseModel):
    email: str
    size: int


TEMPLATE = """{% extends "family.html" %}
{% block title %}{{ _("Review") }}{% endblock %}
{% block main %}<h1>{{ _("Review") }}</h1>{{ ui.family_steps(4) }}<p id="at">{{ ui.when(at, "America/Phoenix") }}</p>
{{ ui.contact("CLP-014", "c-1") }}{{ ui.notice("info", words) }}{% endblock %}"""
STAFF_TEMPLATE = """{% extends "staff.html" %}{% set nav_current = "cases" %}{% block main %}<h1>x</h1>{% endblock %}"""


def routes(pages: Pages) -> APIRouter:  # noqa: C901 - a list of small routes
    router = APIRouter()

    @router.get("/page")
    async def page(request: Request, _: Public) -> Any:
        return pages.render(
            request, "page.html", at=datetime(2026, 1, 5, 18, 30, tzinfo=UTC), words="<script>x</script>"
        )

    @router.get("/cases")
    async def cases(request: Request, staff: Tutor) -> Any:
        return pages.render(request, "staff_page.html")

    @router.post("/cases")
    async def change_cases(staff: Tutor) -> dict[str, str]:
        return {"by": staff.person_id}

    @router.get("/family")
    async def family_page(request: Request, family: FamilySession) -> Any:
        return pages.render(request, "page.html", at=datetime(2026, 1, 5, tzinfo=UTC), words="")

    @router.post("/family/decision")
    async def decide(family: FamilySession) -> dict[str, str]:
        return {"by": family.contact_id}

    @router.get("/api/v1/cases")
    async def api_cases(staff: Coordinator) -> dict[str, str]:
        return {"institution": staff.institution}

    @router.get("/people")
    async def people(staff: Coordinator) -> None: ...

    @router.get("/operate")
    async def operate(staff: Operator) -> None: ...

    @router.get("/any")
    async def anyone(staff: AnyStaff) -> None: ...

    @router.post("/api/v1/things")
    async def things(body: Body, _: Public) -> Body:
        return body

    @router.post("/api/v1/upload")
    async def upload(chunks: Streamed, _: Public) -> int:
        return sum([len(chunk) async for chunk in chunks])

    @router.post("/api/v1/cases")
    async def api_case(staff: Coordinator) -> str:
        return staff.person_id

    @router.post("/api/v1/bulk")
    async def bulk(_: Public, __: Bulk) -> str:
        return "taken"

    @router.get("/api/v1/endless")
    async def endless(_: Public) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0)

        return StreamingResponse(pieces())

    @router.get("/p/{token:path}")
    async def link(token: PastedSecret, _: Public) -> str:
        return token

    @router.get("/api/v1/fail/{how}")
    async def fail(how: str, _: Public) -> None:
        raise {
            "missing": Problem(404, "No such case", "It may belong to another institution."),
            "store": StoreUnavailable("disk full", retry_after=7),
            "conflict": Conflict("changed"),
            "full": NoRoom("the disk is full"),
        }.get(how) or RuntimeError("somebody's name")

    @router.get("/api/v1/write")
    async def write(_: Public) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            os.write(full, b"somebody's name")
        finally:
            os.close(full)

    return router


@pytest.fixture
def load() -> Load:
    return Load()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk((tmp_path,), 1)


@pytest.fixture
async def site(tmp_path: Path, load: Load, disk: Disk) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "page.html").write_text(TEMPLATE)
    (tmp_path / "pages" / "staff_page.html").write_text(STAFF_TEMPLATE)
    pages = Pages("consent", tmp_path)
    reasons: list[str] = []

    async def examine() -> Condition:
        return Condition([one for one in reasons if "bucket" not in one], [one for one in reasons if "bucket" in one])

    class Figures:
        def render(self) -> bytes:
            return b"up 1\n"

    part = MountedPart("consent", routes(pages), Context(load=load, disk=disk), examine, Figures())
    app = build_app([part], menu=SERVICES.menu(), public_url="https://firsthand.example")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        client.reasons = reasons  # type: ignore[attr-defined]
        yield client


HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_a_page_comes_in_english_arabic_right_to_left_and_spanish(site: httpx.AsyncClient) -> None:
    english = await site.get("/consent/page", headers={"Accept-Language": "de, en;q=0.5"})
    arabic = await site.get("/consent/page", headers={"Accept-Language": "ar-QA,ar;q=0.9,en;q=0.8"})
    spanish = await site.get("/consent/page", headers={"Accept-Language": "es-MX"})
    british = await site.get("/consent/page", headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert "Monday, January 5, 2026 at 11:30\u202fAM" in english.text
    assert "Monday, 5 January 2026 at 11:30" in british.text
    assert '<html lang="en" dir="ltr">' in english.text
    assert '<html lang="ar" dir="rtl">' in arabic.text
    assert '<html lang="es" dir="ltr">' in spanish.text
    assert arabic.headers["content-language"] == "ar"


BEHIND = ("/", "//", ".", ")", "/).", "\u200b", "%E2%80%8E", "%20", "\u2069", "\u00ad,", "%0A", "”")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_what_stands_behind_an_address_does_not_lose_the_page(site: httpx.AsyncClient, method: str) -> None:
    path = "/consent/api/v1/things" if method == "POST" else "/consent/page"
    options = {"json": {"email": "a", "size": 1}} if method == "POST" else {}
    plain = await site.request(method, path, **options)
    for behind in BEHIND:
        answer = await site.request(method, path + behind, headers={"Host": "inner:8080"}, **options)
        assert (answer.status_code, answer.text) == (200, plain.text), behind


async def test_no_slash_leads_to_a_redirect(site: httpx.AsyncClient) -> None:
    for path in (
        "/consent",
        "/consent/",
        "/consent/nothing/",
        "/consent/i",
        "/healthz/",
        "/nowhere/",
        "/consent/static",
    ):
        answer = await site.get(path, headers={"Host": "inner:8080"})
        assert "location" not in answer.headers, path


@pytest.mark.parametrize(
    "path", [b"//evil.example/x", b"/consent///evil.example", b"/%2F%2Fevil.example", b"/%5Cevil.example"]
)
async def test_no_link_of_a_page_leads_to_where_a_made_up_path_says(site: httpx.AsyncClient, path: bytes) -> None:
    asked = site.build_request("GET", "/", headers={"Accept": "text/html"})
    asked.url = asked.url.copy_with(raw_path=path)
    answer = await site.send(asked)
    assert answer.status_code == 404
    assert "lang=ar" in answer.text
    assert "evil.example" not in answer.text


SECRET = "Aa0-_" * 8 + "xyz"


PASTED = ("%s", "%s/", "%s).", " %s\u200e", "\u202a%s\u202c", "%s\n", "%s’", "%s/%%20.", "%s_", "%s\ufeff?", "%s, Amal")


async def test_a_personal_link_survives_being_pasted(site: httpx.AsyncClient) -> None:
    for secret in (SECRET, SECRET[:9] + "\u200b" + SECRET[9:], SECRET[:20] + "\u00ad\n " + SECRET[20:]):
        for pasted in PASTED:
            path = "".join(one if one.isascii() and one.isprintable() else quote(one) for one in pasted % secret)
            assert (await site.get(f"/consent/p/{path}")).json() == SECRET, path


@pytest.mark.parametrize(
    "path", ["/consent/page", "/consent/api/v1/endless", "/healthz", "/consent/metrics", "/robots.txt"]
)
async def test_head_answers_where_get_does_without_the_body(site: httpx.AsyncClient, path: str) -> None:
    async with asyncio.timeout(5):
        answer = await site.head(path)
    assert answer.status_code == 200
    assert answer.content == b""
    if "endless" not in path:
        assert answer.headers["content-type"] == (await site.get(path)).headers["content-type"]
    assert (await site.head("/consent/api/v1/things")).status_code == 405


HOSTS = ("[", "[::1", "a/b", "a?b", "a b", "a@b", "x:99999", "x:0", "x:port", "a\u00e9".encode())


async def test_a_host_that_is_none_is_refused(site: httpx.AsyncClient) -> None:
    for host in HOSTS:
        for path in ("/consent/page", "/consent/nothing", "/"):
            answer = await site.get(path, headers={"Host": host, **HTML})
            assert (answer.status_code, "location" in answer.headers) == (400, False), (host, path)
    for good in ("school.example", "127.0.0.1:8080", "[::1]:8080", "archive_1:80"):
        assert (await site.get("/consent/page", headers={"Host": good})).status_code == 200


async def test_a_chosen_language_is_kept(site: httpx.AsyncClient) -> None:
    chosen = await site.get("/consent/page?lang=ar&x=1")
    assert "fh_lang=ar" in chosen.headers["set-cookie"]
    assert "SameSite=Lax" in chosen.headers["set-cookie"]
    assert 'href="?x=1&amp;lang=es"' in chosen.text
    again = await site.get("/consent/page", headers={"Accept-Language": "es"})
    assert 'lang="ar"' in again.text


async def test_a_family_reads_its_own_language_until_it_chooses_another(site: httpx.AsyncClient) -> None:
    site.cookies.set("fh_family", "family")
    page = await site.get("/consent/family", headers={"Accept-Language": "en"})
    assert 'dir="rtl"' in page.text
    assert 'dir="ltr"' in (await site.get("/consent/family?lang=en")).text


async def test_a_time_says_weekday_date_and_the_place_whose_clock_it_is(site: httpx.AsyncClient) -> None:
    page = await site.get("/consent/page")
    assert 'datetime="2026-01-05T18:30:00+00:00"' in page.text
    assert "Monday, January 5, 2026" in page.text
    assert "11:30" in page.text
    assert "Phoenix time" in page.text


async def test_what_a_person_wrote_never_becomes_markup(site: httpx.AsyncClient) -> None:
    page = await site.get("/consent/page")
    assert "<script>x" not in page.text
    assert "&lt;script&gt;x" in page.text


async def test_every_answer_carries_the_guards(site: httpx.AsyncClient) -> None:
    for path in ("/consent/page", "/consent/static/firsthand.css", "/consent/nothing", "/healthz", "/nowhere"):
        headers = (await site.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["strict-transport-security"]
        assert "noindex" in headers["x-robots-tag"]


async def test_pages_are_not_kept_by_caches_and_static_files_are(site: httpx.AsyncClient) -> None:
    page = await site.get("/consent/page")
    assert page.headers["cache-control"] == "no-store"
    address = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
    sheet = await site.get(address)
    assert sheet.status_code == 200
    assert "immutable" in sheet.headers["cache-control"]


async def test_a_service_brings_files_of_its_own_beside_the_shared_ones(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "own.js").write_text("export {};")
    (tmp_path / "static" / "copy.js").write_text("// its own")
    pages = Pages("webhooks", tmp_path)

    async def examine() -> Condition:
        return Condition()

    part = MountedPart("webhooks", APIRouter(), SimpleNamespace(), examine)
    transport = httpx.ASGITransport(app=build_app([part]))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as site:
        assert (await site.get(pages.static("own.js"))).text == "export {};"
        assert (await site.get("/webhooks/static/copy.js")).text == "// its own"
        assert (await site.get(pages.static("firsthand.css"))).headers["content-type"].startswith("text/css")
        assert (await site.get("/webhooks/static/../pages/page.html")).status_code == 404


async def test_a_page_without_a_session_leads_to_its_renewal_and_back(site: httpx.AsyncClient) -> None:
    staff = await site.get("/consent/cases?x=1")
    assert (staff.status_code, staff.headers["location"]) == (
        303,
        "/portal/session/renew?next=%2Fconsent%2Fcases%3Fx%3D1",
    )
    family = await site.get("/consent/family")
    assert family.headers["location"] == "/consent/family/renew?next=%2Fconsent%2Ffamily"


async def test_a_form_sent_after_the_session_ended_is_carried_through_the_renewal(site: httpx.AsyncClient) -> None:
    answer = await site.post("/consent/family/decision", data={"a": "b"})
    assert answer.status_code == 307  # the browser sends the same form again
    assert answer.headers["location"].startswith("/consent/family/renew?next=")


async def test_the_api_without_a_session_answers_401(site: httpx.AsyncClient) -> None:
    answer = await site.get("/consent/api/v1/cases")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_role_opens_only_its_routes(site: httpx.AsyncClient) -> None:
    async def status(path: str, who: str) -> int:
        return (await site.get(path, headers={"Authorization": f"Bearer {who}"})).status_code

    assert await status("/consent/cases", "tutor") == 200
    assert await status("/consent/cases", "coordinator") == 200
    assert await status("/consent/cases", "student") == 403
    assert await status("/consent/people", "tutor") == 403
    assert await status("/consent/operate", "coordinator") == 403
    assert await status("/consent/any", "student") == 200
    assert await status("/consent/family", "tutor") == 303  # a staff session is never a family's


async def test_a_machine_acts_as_a_coordinator_on_the_api_only(site: httpx.AsyncClient) -> None:
    machine = {"Authorization": "Bearer machine"}
    assert (await site.get("/consent/api/v1/cases", headers=machine)).json() == {"institution": "qu-cdm"}
    assert (await site.get("/consent/people", headers=machine)).status_code == 403
    assert (await site.get("/consent/any", headers=machine)).status_code == 403


async def test_navigation_shows_what_a_role_may_open(site: httpx.AsyncClient) -> None:
    tutor = await site.get("/consent/cases", headers={"Authorization": "Bearer tutor"})
    assert '<a href="/discovery/cases" aria-current="page">' in tutor.text
    assert "/portal/people" not in tutor.text
    coordinator = await site.get("/consent/cases", headers={"Authorization": "Bearer coordinator"})
    assert "/portal/people" in coordinator.text


async def test_every_service_shows_the_entries_of_all_in_the_words_of_each(site: httpx.AsyncClient) -> None:
    headers = {"Authorization": "Bearer tutor"}
    arabic = await site.get("/consent/cases?lang=ar", headers=headers)
    assert '<a href="/discovery/leads">الترشيحات</a>' in arabic.text
    assert '<a href="/archive/recordings">التسجيلات</a>' in arabic.text
    addresses = re.findall(r'<li><a href="(/[a-z]+/[a-z]+)"', arabic.text)
    assert addresses[-7:] == [
        "/portal/today", "/portal/journeys", "/discovery/cases", "/discovery/leads", "/consent/invitations",
        "/scheduling/meetings", "/archive/recordings",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://testserver"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({}, 403),
    ],
)
async def test_another_site_cannot_act_with_our_cookies(
    site: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    site.cookies.set("fh_staff", "tutor")
    assert (await site.post("/consent/cases", headers=headers)).status_code == status


@pytest.mark.parametrize("junk", ["[]=1; ", 'x="; ', "a b c; ", "=; ", "\u00ff=1; "])
async def test_junk_among_the_cookies_neither_breaks_a_request_nor_hides_a_session(
    site: httpx.AsyncClient, junk: str
) -> None:
    headers = {"Cookie": f"{junk}fh_staff=tutor".encode("latin-1")}
    assert (await site.get("/consent/cases", headers=headers)).status_code == 200
    assert (await site.post("/consent/cases", headers=headers)).status_code == 403


async def test_a_program_with_a_token_needs_no_browser_headers(site: httpx.AsyncClient) -> None:
    assert (await site.post("/consent/cases", headers={"Authorization": "Bearer tutor"})).status_code == 200


async def test_a_problem_is_a_document_for_programs_and_a_page_for_people(site: httpx.AsyncClient) -> None:
    document = await site.get("/consent/api/v1/fail/missing")
    assert document.status_code == 404
    assert document.json() == {
        "type": "about:blank",
        "title": "No such case",
        "status": 404,
        "detail": "It may belong to another institution.",
    }
    page = await site.get("/consent/api/v1/fail/missing", headers=HTML)
    assert page.status_code == 404
    assert "<h1>No such case</h1>" in page.text


async def test_an_error_page_speaks_the_visitors_language(site: httpx.AsyncClient) -> None:
    page = await site.get("/consent/nothing", headers={**HTML, "Accept-Language": "ar"})
    assert page.status_code == 404
    assert 'dir="rtl"' in page.text
    assert language("ar").gettext("Page not found") in page.text
    assert language("ar").gettext("Page not found") != "Page not found"


async def test_wrong_fields_are_named_and_what_was_written_is_not_repeated(site: httpx.AsyncClient) -> None:
    answer = await site.post("/consent/api/v1/things", json={"size": "secret words"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["email", "size"]
    assert "secret words" not in answer.text


async def test_a_person_reads_about_wrong_fields_in_plain_words_of_the_own_language(site: httpx.AsyncClient) -> None:
    page = await site.post("/consent/api/v1/things", json={}, headers={**HTML, "Accept-Language": "es"})
    assert page.status_code == 422
    assert "complete este campo" in page.text
    assert "Field required" not in page.text


async def test_a_student_is_led_to_the_recordings(site: httpx.AsyncClient) -> None:
    refused = await site.get("/consent/cases", headers={**HTML, "Authorization": "Bearer student"})
    assert refused.status_code == 403
    assert "/archive/recordings" in refused.text
    assert "/portal/today" not in refused.text


async def test_a_store_that_does_not_answer_is_a_503_that_says_when_to_come_back(site: httpx.AsyncClient) -> None:
    answer = await site.get("/consent/api/v1/fail/store")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


async def test_a_change_at_the_same_time_is_a_409(site: httpx.AsyncClient) -> None:
    assert (await site.get("/consent/api/v1/fail/conflict")).status_code == 409


async def test_the_unexpected_gives_a_number_that_the_log_knows_and_nothing_else(
    site: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await site.get("/consent/api/v1/fail/boom")
    assert answer.status_code == 500
    incident = answer.json()["incident"]
    assert incident in answer.json()["detail"]
    assert "somebody" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"]
    (record,) = [record for record in caplog.records if record.message == "unexpected"]
    line = json.loads(JsonLines("consent").format(record))
    assert line["incident"] == incident
    assert line["error"] == "RuntimeError"
    assert "somebody" not in json.dumps(line)


async def test_a_request_is_logged_by_its_route_never_by_its_path(
    site: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await site.get("/consent/api/v1/fail/secret-token?x=secret-query", headers={"Authorization": "Bearer tutor"})
    await site.get("/consent/i/qu-cdm/secret-token")
    await site.get("/consent/cases", headers={"Authorization": "Bearer tutor"})
    lines = [JsonLines("consent").format(record) for record in caplog.records if record.name == "firsthand.request"]
    assert "secret" not in "".join(lines)
    assert [json.loads(line)["route"] for line in lines] == [
        "/consent/api/v1/fail/{how}",
        "/consent/(no route)",
        "/consent/cases",
    ]
    assert json.loads(lines[2])["institution"] == "qu-cdm"
    assert json.loads(lines[2])["status"] == 200


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Log lines as an operator finds them: formatted when they are written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines("consent"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.mark.parametrize("path", ["api/v1/fail/boom", "api/v1/fail/conflict", "cases", "no-such-page"])
async def test_every_line_of_a_request_names_its_trace_and_the_incidents_number_leads_to_it(
    site: httpx.AsyncClient, lines: Callable[[], list[dict[str, Any]]], path: str
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    asked = {"Authorization": "Bearer tutor", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = await site.get(f"/consent/{path}", headers=asked)
    written = [line for line in lines() if line["message"] in {"request", "unexpected"}]
    assert {line["trace"] for line in written} == {trace}
    (request,) = [line for line in written if line["message"] == "request"]
    if answer.status_code == 500:
        assert {line["incident"] for line in written} == {answer.json()["incident"]}
        assert len(written) == 2
    else:
        assert "incident" not in request


async def test_a_request_without_a_trace_is_given_one_of_its_own(
    site: httpx.AsyncClient, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    for _ in range(2):
        await site.get("/consent/cases", headers={"Authorization": "Bearer tutor"})
    one, another = [line["trace"] for line in lines() if line["message"] == "request"]
    assert one != another
    assert re.fullmatch("[0-9a-f]{32}", one)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_that_does_not_come_is_given_up(streamed: bool) -> None:
    pieces = [{"type": "http.request", "body": b"a", "more_body": True}]

    async def receive() -> Any:
        return pieces.pop() if pieces else await asyncio.Event().wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["streamed"] = streamed
        assert (await receive())["body"] == b"a"
        await receive()

    with pytest.raises(Problem) as given_up:
        async with asyncio.timeout(5):
            await BodyLimitMiddleware(app, within=0.05)({"type": "http", "headers": []}, receive, receive)
    assert given_up.value.status_code == 408


async def test_a_body_beyond_the_limit_is_refused_unless_the_route_streams(site: httpx.AsyncClient) -> None:
    large = b"x" * (BODY_LIMIT + 1)

    async def unannounced() -> AsyncIterator[bytes]:
        yield large

    json_type = {"Content-Type": "application/json"}
    assert (await site.post("/consent/api/v1/things", content=large, headers=json_type)).status_code == 413
    assert (await site.post("/consent/api/v1/things", content=unannounced(), headers=json_type)).status_code == 413
    assert (await site.post("/consent/api/v1/upload", content=large)).json() == len(large)
    assert (await site.post("/consent/api/v1/upload", content=unannounced())).json() == len(large)


async def test_a_busy_system_puts_bulk_off_in_the_readers_language_and_nothing_else(
    site: httpx.AsyncClient, load: Load
) -> None:
    async def bulk(**headers: str) -> httpx.Response:
        return await site.post("/consent/api/v1/bulk", headers=headers)

    machine, coordinator = ({"Authorization": f"Bearer {who}"} for who in ("machine", "coordinator"))
    assert (await bulk()).json() == "taken"
    load.strained = True
    put_off = await bulk()
    assert put_off.status_code == 429
    assert put_off.headers["retry-after"] == "2"
    assert put_off.headers["content-type"] == "application/problem+json"
    assert put_off.json() == {
        "type": "urn:firsthand:busy",
        "title": "The system is very busy",
        "status": 429,
        "detail": "This was not saved. Wait a few seconds and send it again.",
    }
    for code, said in (("ar", "النظام مشغول جدًا الآن"), ("es", "El sistema está muy ocupado")):
        page = await bulk(**{"Accept": "text/html", "Accept-Language": code})
        assert page.status_code == 429
        assert said in page.text
    assert (await site.post("/consent/api/v1/upload", content=b"x")).status_code == 429
    assert (await site.post("/consent/api/v1/cases", headers=machine)).status_code == 429
    assert (await site.get("/consent/api/v1/cases", headers=machine)).status_code == 200
    assert (await site.post("/consent/api/v1/cases", headers=coordinator)).status_code == 200
    assert (await site.get("/consent/page")).status_code == 200
    load.strained = False
    assert (await bulk()).json() == "taken"


async def test_bulk_ends_at_the_disks_reserve_and_everything_else_goes_on(
    site: httpx.AsyncClient, disk: Disk, tmp_path: Path
) -> None:
    coordinator, machine = ({"Authorization": f"Bearer {who}"} for who in ("coordinator", "machine"))
    assert (await site.post("/consent/api/v1/bulk")).status_code == 200
    disk._reserve, disk._seen = 2**60, None  # more than any disk has
    for path in ("/consent/api/v1/bulk", "/consent/api/v1/upload"):
        refused = await site.post(path, content=b"x")
        assert refused.status_code == 507
        assert refused.headers["retry-after"] == "60"
        assert refused.json()["title"] == "We cannot save this right now"
    for who in (coordinator, machine):
        assert (await site.post("/consent/api/v1/cases", headers=who)).status_code == 200
    page = await site.post("/consent/api/v1/bulk", headers={"Accept": "text/html", "Accept-Language": "ar"})
    assert "لا يمكننا حفظ هذا الآن" in page.text


@pytest.mark.parametrize("path", ["fail/full", "write"], ids=["store", "file"])
async def test_a_full_disk_is_answered_in_words(site: httpx.AsyncClient, path: str) -> None:
    answer = await site.get(f"/consent/api/v1/{path}")
    assert answer.status_code == 507
    assert answer.json()["detail"].startswith("Our storage is full, and nothing was changed.")


async def test_readiness_says_in_plain_sentences_what_is_missing(site: httpx.AsyncClient) -> None:
    assert (await site.get("/consent/readyz")).json() == {"ready": True, "problems": [], "impaired": []}
    site.reasons.append("the bucket does not answer")  # type: ignore[attr-defined]
    impaired = await site.get("/consent/readyz")
    assert impaired.status_code == 200
    assert impaired.json() == {"ready": True, "problems": [], "impaired": ["the bucket does not answer"]}
    assert (await site.get("/readyz")).json()["impaired"] == ["consent: the bucket does not answer"]
    site.reasons.append("The bus is not connected.")  # type: ignore[attr-defined]
    answer = await site.get("/consent/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, ["The bus is not connected."])
    whole = await site.get("/readyz")
    assert (whole.status_code, whole.json()["problems"]) == (503, ["consent: The bus is not connected."])
    assert (await site.get("/consent/healthz")).status_code == 200
    assert (await site.get("/consent/metrics")).text == "up 1\n"


async def test_each_service_describes_its_own_api(site: httpx.AsyncClient) -> None:
    described = (await site.get("/consent/openapi.json")).json()
    assert "/api/v1/cases" in described["paths"]
    assert described["servers"] == [{"url": "/consent"}]


@pytest.mark.parametrize(
    ("target", "given"),
    [
        ("/consent/family?x=1", "/consent/family?x=1"),
        ("//evil.example", "/home"),
        ("/\\evil.example", "/home"),
        ("https://evil.example", "/home"),
        ("/a\r\nSet-Cookie: x", "/home"),
        ("", "/home"),
    ],
)
def test_a_way_back_never_leads_elsewhere(target: str, given: str) -> None:
    assert safe_next(target, "/home") == given


def test_a_browsers_wishes_are_read_in_order() -> None:
    assert negotiate("fr, es;q=0.4, ar;q=0.9") == "ar"
    assert negotiate("ar;q=0, es;q=0.1") == "es"
    assert negotiate("fr") == "en"
    assert negotiate("garbage;q=x,,") == "en"


def test_durations_and_places_read_naturally() -> None:
    assert language("en").duration(75 * 60) == "1 hour and 15 minutes"
    assert language("es").duration(75 * 60) == "1 hora y 15 minutos"
    assert language("ar").duration(75 * 60).count("دقيقة") == 1
    assert language("es").duration(60) == "1 minuto"
    assert language("en").place("Pacific/Auckland") == "Auckland time"
    assert language("ar").place("America/Phoenix") == "بتوقيت فينيكس"


def test_dates_and_times_are_written_as_their_readers_write_them() -> None:
    at = datetime(2026, 11, 26, 13, 5, tzinfo=UTC)
    assert language("es").when(at) == "jueves, 26 de noviembre de 2026, a la 1:05\u202fp.m."
    assert language("es").when(at + timedelta(hours=1)) == "jueves, 26 de noviembre de 2026, a las 2:05\u202fp.m."
    assert language("ar").when(at) == "الخميس 26 نوفمبر 2026، الساعة 1:05 مساءً"
    assert language("ar").date(at, "medium") == "26 نوفمبر 2026"
    assert language("ar").place("UTC") == "بالتوقيت العالمي"
    assert language("en").when(at) == "Thursday, November 26, 2026 at 1:05\u202fPM"
    assert language("en").read_in("GB").when(at) == "Thursday, 26 November 2026 at 13:05"
    assert language("en").read_in("NZ").when(at) == "Thursday, 26 November 2026 at 1:05\u202fpm"
    assert language("es").read_in("GB") == language("es")


def test_twelve_o_clock_is_midnight_or_noon_in_words() -> None:
    midnight = datetime(2026, 3, 3, 5, tzinfo=UTC)  # in New York
    for code, said, said_half_past, noon in (
        ("en", "12 midnight, as the day begins", "12:30 after midnight", "12 noon"),
        ("es", "12 de la noche, al comenzar el día", "12:30 de la madrugada", "12 del mediodía"),
        ("ar", "12 منتصف الليل، مع بداية اليوم", "12:30 بعد منتصف الليل", "12 ظهرًا"),
    ):
        words, zone = language(code), "America/New_York"
        for write in (words.time, words.when):
            assert said in write(midnight, zone)
            assert said_half_past in write(midnight + timedelta(minutes=30), zone)
            assert noon in write(midnight + timedelta(hours=12), zone)
            assert not {"AM", "a.m.", "ص"} & set(write(midnight, zone).replace("\u202f", " ").split())
    assert language("en").time(midnight + timedelta(hours=12, minutes=30), "America/New_York") == "12:30\u202fPM"
    assert language("en").read_in("GB").time(midnight, "America/New_York") == "00:00"
    assert language("en").time(time(0, 30)) == "12:30\u202fAM", "hours of a week belong to no day"


@pytest.mark.parametrize("code", ["en", "es", "ar"])
def test_of_an_hour_that_the_clocks_show_twice_people_read_which_one_it_is(code: str) -> None:
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)  # 1:30 in New York, and again an hour later
    words, zone = language(code), "America/New_York"
    for write in (words.time, words.when):
        written = [write(first + timedelta(hours=hours), zone) for hours in (-1, 0, 1, 2)]
        assert len(set(written)) == 4
        plain = write(first - timedelta(days=1), zone)
        assert len(written[1]) > len(plain) < len(written[2])


def test_a_request_goes_on_with_the_trace_that_it_names_and_begins_one_otherwise() -> None:
    named = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert begun(named) == named
    for wrong in (None, "", "00-0-0-01", named.upper(), "00-" + "0" * 32 + "-b7ad6b7169203331-01"):
        assert begun(begun(wrong)) != wrong


def test_a_process_of_named_institutions_knows_nothing_of_another_one() -> None:
    here = Request({"type": "http", "app": SimpleNamespace(state=SimpleNamespace(context=Context()))})
    served_here(here, InstitutionId("qu-cdm"))
    here.app.state.context.settings = Settings(institutions=("elm-medical",))
    served_here(here, InstitutionId("elm-medical"))
    with pytest.raises(Problem) as refused:
        served_here(here, InstitutionId("qu-cdm"))
    assert refused.value.status_code == 404
