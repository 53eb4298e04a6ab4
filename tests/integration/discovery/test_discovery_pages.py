"""The pages of discovery, as a tutor, a coordinator and a student use them without JavaScript."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firsthand.services.discovery.repository import Repository
from tests.integration.discovery.house import CASE, ELM, OAK, House, bring, mastodon

EXAMPLE = Path(__file__).parents[3] / "example" / "posts"
FORM = {
    "prefix": "clp",
    "title": "Cleft lip and palate",
    "languages": ["en", "ar"],
    "condition_en": "cleft lip and palate",
    "condition_ar": "شقّ الشفة والحنك",
    "hashtags": "#cleftlip\n#شق_الشفة",
    "tutors": "tutor-1",
    "cohorts": "year-3",
    "safeguarding_contact": "coordinator-1",
}
BOSS = {"person": "coordinator-1", "role": "coordinator"}


async def test_a_coordinator_opens_a_case_enters_its_approvals_and_closes_it(house: House) -> None:
    async with house.browser("coordinator-1", "coordinator") as browser:
        assert "No cases yet" in (await browser.get("/cases")).text
        opened = await browser.post("/cases", data=FORM)
        assert "No one can be contacted yet" in opened.text
        case = opened.url.path.rpartition("/")[2]
        day = (house.clock.now() + timedelta(days=10)).date().isoformat()
        for kind in ("ethics", "data-protection"):
            page = await browser.post(f"/cases/{case}/approvals/{kind}", data={"number": "A-1", "day": day})
        assert "No one can be contacted yet" not in page.text
        assert page.text.count("expires soon") == 2
        page = await browser.post(f"/cases/{case}/edit", data=FORM | {"title": "Another title"})
        assert "<h1>Another title</h1>" in page.text
        assert "Keep it open" in (await browser.get(f"/cases/{case}/close")).text
        assert "The case is closed" in (await browser.post(f"/cases/{case}/close")).text
        assert "The case is open again" in (await browser.post(f"/cases/{case}/open")).text


async def test_an_approval_without_end_is_refused_and_one_of_an_earlier_release_breaks_no_page(house: House) -> None:
    case = await house.case()
    async with house.browser("coordinator-1", "coordinator") as browser:
        for day in ("9999-12-31", "2100-01-01", "1926-12-01", "²", "2026-02-30"):
            page = await browser.post(f"/cases/{case}/approvals/ethics", data={"number": "A-1", "day": day})
            assert "Choose the day the approval expires" in page.text, day
        refused = {"number": "A-1", "expires_at": "9999-12-31T23:59:59Z"}
        answer = await house.refused("PUT", f"/cases/{case}/approvals/ethics", refused, **BOSS)
        assert answer["status"] == 422
        repository = Repository(house.context, OAK)
        kept = await repository.case(case)
        never = kept.approvals["ethics"].model_copy(update={"expires_at": datetime(9999, 12, 31, 23, 59, tzinfo=UTC)})
        kept.approve("ethics", never)
        await repository.cases.save(kept)
        for path in ("/cases", f"/cases/{case}", f"/cases/{case}/edit"):
            assert (await browser.get(path)).status_code == 200, path
    assert (await house.call("GET", f"/cases/{case}"))["approvals"][0]["expires_at"].startswith("2100-01-01")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("prefix", "C1", "Enter two to six letters"),
        ("title", "", "Enter a title"),
        ("languages", [], "Choose at least one language"),
        ("condition_ar", "", "plain name in each language"),
        ("hashtags", "cleft-lip", "letters, digits and underscores"),
        ("goals", "x" * 301, "each on a line of its own with at most 300 characters"),
    ],
)
async def test_a_form_that_is_not_right_comes_back_with_what_was_entered(
    house: House, field: str, value: object, said: str
) -> None:
    async with house.browser("coordinator-1", "coordinator") as browser:
        page = await browser.post("/cases", data=FORM | {field: value})
    assert page.status_code == 422
    assert said in page.text
    assert 'value="coordinator-1"' in page.text


async def test_a_hashtag_in_any_script_is_entered_in_the_form_and_found_in_posts(house: House) -> None:
    tags = ("तालु", "তালু", "பிளவு", "နှုတ်ခမ်း", "បបូរមាត់")
    async with house.browser("coordinator-1", "coordinator") as browser:
        opened = await browser.post("/cases", data=FORM | {"hashtags": "، ".join(f"#{tag}" for tag in tags)})
        assert opened.status_code == 200
    posts = [mastodon(n, user=f"u{n}", tags=[], content=f"<p>two #{tag}</p>") for n, tag in enumerate(tags)]
    assert (await bring(house, "CLP", json.dumps(posts)))["imported"] == len(tags)
    found = {tag for lead in (await house.call("GET", "/leads"))["items"] for tag in lead["tags"]}
    assert found == set(tags)


async def test_learning_goals_are_written_one_a_line_changed_and_told(house: House) -> None:
    goals = "Name what treatment costs.\r\n\r\n  Listen.  \n"
    async with house.browser("coordinator-1", "coordinator") as browser:
        opened = await browser.post("/cases", data=FORM | {"goals": goals})
        case = str(opened.url).rsplit("/", 1)[1].partition("?")[0]
        assert (await house.call("GET", f"/cases/{case}"))["goals"] == ["Name what treatment costs.", "Listen."]
        assert "Name what treatment costs.\nListen.</textarea>" in (await browser.get(f"/cases/{case}/edit")).text
        await browser.post(f"/cases/{case}/edit", data=FORM | {"goals": "Listen."})
    assert (await house.call("GET", f"/cases/{case}"))["goals"] == ["Listen."]


async def test_a_taken_prefix_is_said_beside_its_field(house: House) -> None:
    await house.case()
    async with house.browser("coordinator-1", "coordinator") as browser:
        assert "Another case has this prefix" in (await browser.post("/cases", data=FORM)).text


async def test_a_tutor_brings_a_file_in_by_a_form(house: House) -> None:
    case = await house.case(hashtags=["cleftlip", "cleftpalate", "labioleporino"])
    async with house.browser() as browser:
        file = {"file": ("posts.json", (EXAMPLE / "mastodon.json").read_bytes(), "application/json")}
        page = await browser.post(f"/cases/{case}/import", files=file)
        assert "new leads to review" in page.text
        assert "is not as the platform gives it" in page.text
        wrong = {"file": ("posts.json", b"hello", "application/json")}
        page = await browser.post(f"/cases/{case}/import", files=wrong)
        assert page.status_code == 422
        assert "not from a platform we know" in page.text
        assert (await browser.post(f"/cases/{case}/import", content=b"x")).status_code == 400


async def test_a_file_in_a_form_may_be_larger_than_any_other_form(house: House) -> None:
    case = await house.case()
    async with house.browser() as browser:
        statuses = ",".join(json.dumps(mastodon(n, user=f"u{n}")) for n in range(4000))
        file = {"file": ("posts.json", f"[{statuses}]".encode(), "application/json")}
        assert "4000 new leads" in (await browser.post(f"/cases/{case}/import", files=file, timeout=60)).text


async def test_a_tutor_clears_a_lead_and_sees_who_it_is(house: House) -> None:
    case = await house.case()
    await bring(house, case, f"[{json.dumps(mastodon(1))}]")
    async with house.browser() as browser:
        page = await browser.get("/leads")
        lead = re.search(r"/discovery/leads/(\w{32})", page.text)
        assert lead
        page = await browser.get(f"/leads/{lead[1]}")
        assert "Contacted before: no" in page.text
        assert 'rel="noopener noreferrer external"' in page.text
        page = await browser.post(f"/leads/{lead[1]}/clear", data={"language": "en", "public": "yes"})
        assert page.status_code == 422
        assert page.text.count("The answer must be yes") == 2  # beside each of the two
        yes = {"language": "en", "public": "yes", "adult": "yes", "not_vulnerable": "yes"}
        page = await browser.post(f"/leads/{lead[1]}/clear", data=yes)
        assert page.url.path.startswith("/discovery/contacts/")
        assert "@noor@social.example" in page.text
        assert "No leads to review" in (await browser.get("/leads")).text


async def test_a_lead_of_a_person_who_is_not_available_can_only_be_refused(house: House) -> None:
    await house.contact()
    case = await house.case(ELM)
    lead = await house.nominate(case, "https://www.instagram.com/lina.example/", ELM)
    async with house.browser(at=ELM) as browser:
        page = await browser.get(f"/leads/{lead}")
        assert "Not available now" in page.text
        assert "/clear" not in page.text
        page = await browser.post(f"/leads/{lead}/refuse", data={"reason": "other"})
        assert "Refused" in page.text


async def test_a_case_without_approval_shows_its_leads_but_no_way_to_clear_them(house: House) -> None:
    case = (await house.call("POST", "/cases", CASE, **BOSS))["case_id"]
    lead = await house.nominate(case, "https://www.instagram.com/lina.example/")
    async with house.browser() as browser:
        page = await browser.get(f"/leads/{lead}")
    assert "This case has no ethics approval" in page.text
    assert "/clear" not in page.text


async def test_a_student_suggests_a_person_and_sees_no_leads(house: House) -> None:
    case = await house.case()
    async with house.browser("student-1", "student") as browser:
        assert "Cleft lip and palate" in (await browser.get("/nominate")).text
        page = await browser.post(f"/cases/{case}/nominations", data={"address": "https://bsky.app/profile/a.example"})
        assert "Thank you" in page.text
        assert (await browser.get("/leads")).status_code == 403


async def test_leads_are_paged_the_newest_first(house: House) -> None:
    case = await house.case()
    days = [mastodon(n, user=f"u{n}", created_at=f"2026-10-{n:02d}T00:00:00Z") for n in range(1, 31)]
    await bring(house, case, json.dumps(days))
    async with house.browser() as browser:
        page = await browser.get("/leads")
        following = re.search(r'href="([^"]+)" rel="next"', page.text)
        assert following
        rest = await browser.get(following[1].replace("&amp;", "&").removeprefix("/discovery"))
        cut = await browser.get("/leads?after=xx")
    assert page.text.index("@u30@") < page.text.index("@u6@")
    assert cut.status_code == 400
    assert "This part of the list cannot be found" in cut.text
    assert all("30 leads to review" in shown.text for shown in (page, rest))
    assert 'href="/discovery/leads?case=' in rest.text.split('rel="first"')[0].rsplit("<a", 1)[1]
    assert "@u5@" in rest.text
    assert "@u6@" not in rest.text


@pytest.mark.parametrize("language", ["en", "ar", "es"])
async def test_every_page_is_there_in_every_language(house: House, language: str) -> None:
    contact = await house.contact()
    case = (await house.call("GET", f"/leads/{contact['lead_id']}"))["case_id"]
    async with house.browser("coordinator-1", "coordinator") as browser:
        paths = ("/cases", "/cases/new", f"/cases/{case}", f"/cases/{case}/edit", f"/cases/{case}/close", "/leads")
        for path in (*paths, f"/leads/{contact['lead_id']}", f"/contacts/{contact['contact_id']}", "/nominate"):
            page = await browser.get(path, params={"lang": language})
            assert page.status_code == 200, path
            assert f'lang="{language}"' in page.text
