"""The portal's pages as people meet them, without JavaScript."""

import re
from pathlib import Path

import httpx
import pytest

from firsthand.services.portal.app import SERVICE
from firsthand.shared.clock import SystemClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.settings import Settings
from tests.integration.portal.running import Portal
from tests.integration.portal.test_journeys import case, discovered, granted, shows

PAGES = {
    "coordinator": ["today", "journeys", "people", "people/new", "cohorts", "institution", "mail", "journeys/c1"],
    "tutor": ["today", "journeys", "journeys/c1", "journeys?case=k1&stage=consented"],
    "student": ["today"],
    "operator": ["today"],
}
CLOSED = {
    "tutor": ["people", "institution", "cohorts"],
    "student": ["journeys", "journeys/c1", "people", "institution"],
    "operator": ["journeys", "people", "institution"],
}


@pytest.fixture
async def school(college: Portal) -> Portal:
    """With a person of each role, and one journey."""
    tutor_id = await college.person("tutor@school.example", "tutor")
    for role in ("coordinator", "student", "operator"):
        await college.person(f"{role}@school.example", role)
    await case(college, "k1", tutor_id)
    await discovered(college, "c1")
    await granted(college, "c1", 1)
    async with college.signed_in("c@school.example") as coordinator:
        await shows(coordinator, "c1", "consented")
    return college


@pytest.mark.parametrize("role", PAGES)
async def test_each_role_opens_its_pages_in_every_language_and_no_others(school: Portal, role: str) -> None:
    async with school.signed_in(f"{role}@school.example", Accept="text/html") as browser:
        for path in PAGES[role]:
            for code, direction in (("en", "ltr"), ("ar", "rtl"), ("es", "ltr")):
                page = await browser.get(f"/portal/{path}", params={"lang": code} if "?" not in path else None)
                assert page.status_code == 200, path
                if "?" not in path:
                    assert f'<html lang="{code}" dir="{direction}">' in page.text
        for path in CLOSED.get(role, []):
            assert (await browser.get(f"/portal/{path}")).status_code == 403, path


async def test_a_deployments_operator_sees_institutions_and_health(school: Portal) -> None:
    await school.person("root@host.example", "operator", slug="deployment")
    async with school.signed_in("root@host.example", "deployment", Accept="text/html") as browser:
        page = (await browser.get("/portal/today")).text
        assert "Example College" in page
        assert 'href="/consent/readyz"' in page


async def test_a_journeys_page_says_each_step_with_its_actor_and_names_nobody(school: Portal) -> None:
    async with school.signed_in("tutor@school.example", Accept="text/html") as browser:
        page = (await browser.get("/portal/journeys/c1?lang=en")).text
        assert "A tutor cleared the contact" in page
        assert "The family chose what to allow" in page
        assert 'data-label-url="/discovery/api/v1/contacts/c1/label"' in page
        assert (await browser.get("/portal/journeys/none")).status_code == 404


async def test_a_coordinator_adds_changes_and_ends_a_person_by_forms(college: Portal) -> None:
    async with college.signed_in("c@school.example", Accept="text/html", **{"Accept-Language": "en"}) as browser:
        wrong = {"name": "", "email": "amal@school.example", "roles": ["tutor"]}
        again = await browser.post("/portal/people/new", data=wrong)
        assert again.status_code == 422
        assert "Enter the person&#39;s name." in again.text
        assert 'value="amal@school.example"' in again.text
        assert (await browser.post("/portal/people/new", data=wrong | {"name": "Amal"})).status_code == 303
        twice = await browser.post("/portal/people/new", data=wrong | {"name": "Amal"})
        assert twice.status_code == 409
        people = (await browser.get("/portal/people")).text
        (path,) = set(re.findall(r'href="(/portal/people/[0-9a-f]{32})"><bdi>Amal', people))
        changed = await browser.post(path, data={"name": "Amal A.", "roles": ["student", "tutor"]})
        assert changed.status_code == 303
        assert "Amal A." in (await browser.get(path)).text
        link = re.search(r'value="(http[^"]+/sign-in/[^"]+)"', (await browser.post(f"{path}/link")).text)
        assert link
        async with college.client() as amal:
            assert (await amal.post(link.group(1))).status_code == 303
            assert (await browser.post(f"{path}/active", data={"active": "no"})).status_code == 303
            assert (await amal.post("/portal/session/renew")).status_code == 401


async def test_a_token_is_shown_once_and_its_machine_can_be_revoked_by_a_form(college: Portal) -> None:
    async with college.signed_in("c@school.example", Accept="text/html") as browser:
        made = await browser.post("/portal/tokens", data={"label": "LMS", "days": "5"})
        token = re.search(r"<textarea[^>]*>([^<]+)<", made.text)
        assert token
        assert token.group(1) not in (await browser.get("/portal/people")).text
        assert (await browser.post("/portal/tokens", data={"label": "LMS", "days": "500"})).status_code == 422
        revoke = re.search(r'action="(/portal/tokens/[0-9a-f]+/revoke)"', made.text)
        assert revoke
        async with college.client(Authorization=f"Bearer {token.group(1)}") as machine:
            assert (await machine.get("/portal/api/v1/institution")).status_code == 200
            assert (await browser.post(revoke.group(1))).status_code == 303
            assert (await machine.get("/portal/api/v1/institution")).status_code == 401


async def test_policies_and_cohorts_are_kept_and_what_is_wrong_is_said_beside_its_field(college: Portal) -> None:
    async with college.signed_in("c@school.example", Accept="text/html", **{"Accept-Language": "en"}) as browser:
        form = dict(re.findall(r'<input id="(\w+)" name="\w+" type="\w+" value="([^"]*)"', await _institution(browser)))
        refused = await browser.post("/portal/institution", data=form | {"languages": ["en"], "cool_off_days": "7"})
        assert refused.status_code == 422
        assert 'id="cool_off_days-error"' in refused.text
        saved = await browser.post("/portal/institution", data=form | {"languages": ["en"], "cool_off_days": "90"})
        assert saved.status_code == 303
        assert 'value="90"' in await _institution(browser)
        cohort = {"id": "Year-4", "label": "fourth-year students", "size": "x", "learns_until": "2027-06-30"}
        assert 'id="size-error"' in (await browser.post("/portal/cohorts", data=cohort)).text
        assert (await browser.post("/portal/cohorts", data=cohort | {"size": "30"})).status_code == 303
        assert "fourth-year students" in (await browser.get("/portal/cohorts?edit=year-4")).text


async def _institution(browser: httpx.AsyncClient) -> str:
    return (await browser.get("/portal/institution")).text


async def test_sign_in_links_are_shown_at_the_machine_itself_and_nowhere_else(college: Portal) -> None:
    async with college.client() as browser:
        await browser.post("/portal/api/v1/sign-in", json={"institution": "qu-cdm", "email": "c@school.example"})
    await college.letters(1)
    async with college.client(Accept="text/html") as here:
        page = await here.get("/portal/mail")
        link = re.search(r'href="(http://127[^"]+/portal/sign-in/qu-cdm/[^"]+)"', page.text)
        assert link
        assert (await here.post(link.group(1))).status_code == 303
    async with college.client("192.0.2.7", Accept="text/html") as elsewhere:
        assert (await elsewhere.get("/portal/mail")).status_code == 303
        assert "/portal/mail" not in (await elsewhere.get("/portal/sign-in")).text
    async with college.client(base="http://evil.example", Accept="text/html") as rebound:
        assert (await rebound.get("/portal/mail")).status_code == 303


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "X-Original-URL", "Via",
        "CF-Connecting-IP", "True-Client-IP", "Fly-Client-IP", "X-Client-IP", "x-forwarded-for", "Cdn-Loop",
        "Fastly-Client-IP", "X-Azure-ClientIP", "X-Forwarded", "Client-IP", "X-Request-Id", "X-Of-A-New-Tunnel",
    ],
)  # fmt: skip
async def test_no_sign_in_link_is_shown_to_who_comes_through_a_proxy(college: Portal, header: str) -> None:
    body = {"institution": "qu-cdm", "email": "c@school.example"}
    async with college.client() as browser:
        await browser.post("/portal/api/v1/sign-in", json=body)
    await college.letters(1)
    async with college.client(Accept="text/html", **{header: "127.0.0.1"}) as proxied:
        closed = await proxied.get("/portal/mail")
        assert (closed.status_code, closed.headers["Location"]) == (303, "/portal/session/renew?next=/portal/mail")
        assert "/portal/mail" not in (await proxied.get("/portal/sign-in")).text
    async with college.signed_in("c@school.example") as coordinator:
        assert "/portal/sign-in/qu-cdm/" in (await coordinator.get("/portal/mail")).text, "at the machine"
        seen = await coordinator.get("/portal/mail", headers={header: "127.0.0.1"})
        assert seen.status_code == 200
        assert "/portal/sign-in/qu-cdm/" not in seen.text, "a colleague's link is not the coordinator's"


@pytest.mark.parametrize("setting", [{"smtp_url": "smtp://mail.example"}, {"public_url": "https://firsthand.example"}])
async def test_the_mail_page_is_closed_once_the_system_is_for_others(
    tmp_path: Path, nats_url: str, setting: dict[str, str]
) -> None:
    settings = Settings(data=tmp_path / "data", nats_url=nats_url, **setting)
    async with Deployment.started(settings, [SERVICE], create_keys=True) as deployment:
        portal = Portal(deployment, SystemClock())
        async with portal.client(Accept="text/html") as browser:
            closed = await browser.get("/portal/mail")
            assert closed.headers["Location"] == "/portal/session/renew?next=/portal/mail"


async def test_under_https_only_this_host_can_give_a_session_and_only_over_https(tmp_path: Path, nats_url: str) -> None:
    settings = Settings(data=tmp_path / "data", nats_url=nats_url, public_url="https://firsthand.example")
    async with Deployment.started(settings, [SERVICE], create_keys=True) as deployment:
        portal = Portal(deployment, SystemClock())
        await portal.add()
        await portal.person("c@school.example", "coordinator")
        async with portal.client(base="https://firsthand.example") as browser:
            answer = await browser.post(await portal.link("c@school.example"))
            chosen = await browser.get("/portal/sign-in?lang=es", headers={"Accept": "text/html"})
            set_ = [*answer.headers.get_list("set-cookie"), *chosen.headers.get_list("set-cookie")]
            assert {"__Host-fh_staff", "__Host-fh_signin", "__Host-fh_lang"} <= {one.partition("=")[0] for one in set_}
            for cookie in set_:
                assert "Secure" in cookie
                assert "HttpOnly" in cookie
                assert "samesite=lax" in cookie.lower()
                if cookie.startswith("__Host-"):  # else browsers do not take it
                    assert "Path=/;" in cookie
                    assert "Domain" not in cookie
            assert (await browser.get("/portal/api/v1/people")).status_code == 200
            mine = {name: browser.cookies[f"__Host-{name}"] for name in ("fh_staff", "fh_signin")}
        async with portal.client(base="https://firsthand.example") as other:
            for name, value in mine.items():  # as a neighbour below the same domain can set it
                other.cookies.set(name, value, domain="firsthand.example", path="/")
            assert (await other.get("/portal/api/v1/people")).status_code == 401
            assert (await other.post("/portal/session/renew")).status_code == 401
            for name, value in mine.items():
                other.cookies.set(f"__Host-{name}", value, domain="firsthand.example", path="/")
            out = await other.post("/portal/sign-out")
            dropped = [one for one in out.headers.get_list("set-cookie") if "Max-Age=0" in one]
            assert {one.partition("=")[0] for one in dropped} >= {"__Host-fh_staff", "__Host-fh_signin", "fh_staff"}
            assert all("Secure" in one and "Path=/" in one for one in dropped), "else browsers keep it"
            assert (await other.post("/portal/session/renew")).status_code == 401


async def test_a_post_of_another_site_is_refused_under_https_too(tmp_path: Path, nats_url: str) -> None:
    settings = Settings(data=tmp_path / "data", nats_url=nats_url, public_url="https://firsthand.example")
    async with Deployment.started(settings, [SERVICE], create_keys=True) as deployment:
        portal = Portal(deployment, SystemClock())
        async with portal.client(base="https://firsthand.example", Cookie="__Host-fh_staff=x") as browser:
            del browser.headers["Origin"]
            assert (await browser.post("/portal/sign-out")).status_code == 403
            browser.headers["Cookie"] = "__Host-fh_lang=es"
            assert (await browser.post("/portal/sign-out")).status_code == 303
