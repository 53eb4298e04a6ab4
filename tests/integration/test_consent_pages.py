"""Consent's pages, as a browser without scripts meets them."""

import html
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from firsthand.shared.events.archive import RecordingPublishedV1, RecordingState
from firsthand.shared.events.discovery import CaseChangedV1
from tests.consent_house import NAME, SAME_SITE, SLUG, VIDEO, House, begin, case, event, meet_institution, running


@pytest.fixture
async def bare(tmp_path: Path, nats_url: str) -> AsyncIterator[House]:
    """The institution is known, the case is not."""
    async with running(tmp_path, nats_url) as house:
        await meet_institution(house)
        yield house


@pytest.fixture
async def house(tmp_path: Path, nats_url: str) -> AsyncIterator[House]:
    async with running(tmp_path, nats_url) as house:
        await begin(house)
        yield house


PAGE = {"Accept": "text/html", **SAME_SITE}


async def page(
    house: House, method: str, path: str, form: dict[str, str] | None = None, **headers: str
) -> httpx.Response:
    return await house.site.request(method, f"/consent{path}", data=form, headers={**PAGE, **headers})


async def enter(house: House, token: str) -> None:
    """Open the link as a browser does; the client keeps the cookies."""
    opened = await page(house, "POST", f"/i/{SLUG}/{token}")
    assert (opened.status_code, opened.headers["location"]) == (303, "/consent/family")


async def give(house: House, **answers: str) -> str:
    """Answer one question after the other as they come; the place where that leads."""
    where = "/family/questions"
    for _ in range(30):
        asked = await page(house, "GET", where)
        if asked.status_code == 200:
            return where
        where = asked.headers["location"].removeprefix("/consent")
        name = where.rsplit("/", 1)[1]
        if where.startswith("/family/questions/"):
            kept = await page(house, "POST", where, {name: answers.get(name, "no")})
            assert kept.status_code == 303, kept.text
            where = kept.headers["location"].removeprefix("/consent")
            where = where if where == "/family/review" else "/family/questions"
    raise AssertionError(where)


ANSWERS = {
    "signer": "parent",
    "about_child": "yes",
    "child_assent": "agrees",
    "decides_alone": "yes",
    "name": NAME,
    "meet": "yes",
    "record-audio": "yes",
    "share-cohort": "yes",
}


async def test_a_get_of_the_link_changes_nothing_and_says_nothing(house: House) -> None:
    token, _ = await house.linked()
    before = (await house.journey()).version
    real, guess = await page(house, "GET", f"/i/{SLUG}/{token}"), await page(house, "GET", f"/i/{SLUG}/{'x' * 43}")
    assert real.text.replace(token, "") == guess.text.replace("x" * 43, "")
    assert "set-cookie" not in real.headers
    assert "cleft" not in real.text.lower()
    assert "og:" not in real.text
    assert (await house.journey()).version == before
    assert (await page(house, "POST", f"/i/{SLUG}/{'x' * 43}")).status_code == 404


async def test_a_personal_link_opens_with_what_a_message_put_behind_it(house: House) -> None:
    token, _ = await house.linked()
    for behind in ("/", ".", ").", "%E2%80%8B", "/)", "%20%E2%81%A9", "_"):
        shown = await page(house, "GET", f"/i/{SLUG}/{token}{behind}")
        assert (shown.status_code, f'"/consent/i/{SLUG}/{token}"' in shown.text) == (200, True), behind
        await enter(house, token + behind)
    house.site.cookies.clear()
    opened = await house.site.post(
        "/consent/api/v1/links/open", json={"institution": SLUG, "token": f" \u2068{token}\u2069. "}
    )
    assert opened.status_code == 200


async def test_the_familys_way_works_without_scripts_one_question_a_page(house: House) -> None:
    token, _ = await house.linked()
    await enter(house, token)
    assert await give(house, **ANSWERS) == "/family/review"
    review = await page(house, "GET", "/family/review")
    assert NAME in review.text
    text = (await house.api("GET", "/family", who=await house.family(token)))["text"]
    form = {"text_version": text["text_version"], "text_language": text["language"]}
    done = await page(house, "POST", "/family/review", form)
    assert done.headers["location"] == "/consent/family/receipt?done=granted"
    journey = await house.journey()
    assert journey.consent.in_force == ["meet", "record-audio", "share-cohort"]
    assert journey.draft is None
    assert NAME in (await page(house, "GET", "/family/receipt")).text
    assert "/scheduling/family" in (await page(house, "GET", "/family")).text


async def test_nothing_is_lost_when_an_answer_is_missing(house: House) -> None:
    token, _ = await house.linked()
    await enter(house, token)
    again = await page(house, "POST", "/family/questions/decides_alone", {"decides_alone": "no"})
    assert again.status_code == 422
    assert 'value="no" checked' in again.text
    await page(house, "POST", "/family/questions/name", {"name": NAME})
    house.site.cookies.clear()  # another day, another device
    await enter(house, token)
    assert NAME in (await page(house, "GET", "/family/questions/name")).text


async def test_who_read_an_older_text_reads_the_new_one_before_saying_yes(house: House) -> None:
    token, _ = await house.linked()
    await enter(house, token)
    await give(house, **ANSWERS)
    old = (await house.api("GET", "/family", who=await house.family(token)))["text"]
    await house.api("PUT", "/cases/case-1/texts/en", {"purpose": "Renewed words."}, who=house.boss())
    await house.api("POST", "/cases/case-1/texts/en/approve", {"number": "QU-2"}, who=house.boss())
    form = {"text_version": old["text_version"], "text_language": "en"}
    refused = await page(house, "POST", "/family/review", form)
    assert refused.status_code == 409
    assert "changed this text while you were reading" in refused.text
    assert (await house.journey()).consent.state == "none"


async def test_a_session_is_renewed_by_the_link_while_it_opens_and_leads_only_to_our_own_pages(house: House) -> None:
    token, _ = await house.linked()
    await enter(house, token)
    house.clock.advance(timedelta(minutes=20))
    away = await page(house, "GET", "/family/about")
    assert away.headers["location"] == "/consent/family/renew?next=%2Fconsent%2Ffamily%2Fabout"
    back = await page(house, "GET", "/family/renew?next=/archive/family")
    assert (back.status_code, back.headers["location"]) == (303, "/archive/family")
    elsewhere = await page(house, "GET", "/family/renew?next=//evil.example")
    assert elsewhere.headers["location"] == "/consent/family"
    form = await page(house, "POST", "/family/renew?next=/consent/family/no")
    assert form.status_code == 307
    await house.api("POST", "/invitations/c1/link")  # voids the one in the cookie
    assert (await page(house, "GET", "/family/renew?next=/consent/family")).status_code == 401


@pytest.mark.parametrize("language", ["en", "ar", "es"])
async def test_every_page_of_a_family_opens_in_every_language(house: House, language: str) -> None:
    token, _ = await house.granted()
    await house.recorded()
    await enter(house, token)
    for path in ("", "/change", "/release", "/withdraw", "/receipt", "/history"):
        shown = await page(house, "GET", f"/family{path}?lang={language}")
        assert shown.status_code == 200
        assert f'lang="{language}"' in shown.text
    await page(house, "POST", "/family/withdraw", {"erase": "in-7-days"})
    assert (await page(house, "GET", f"/family?lang={language}")).status_code == 200
    await page(house, "POST", "/family/withdraw", {"erase": "now"})
    assert (await page(house, "GET", f"/family?lang={language}")).status_code == 200
    await house.erased_by("c1", "discovery", "scheduling", "archive")
    assert (await page(house, "GET", f"/family?lang={language}")).status_code == 200


async def test_a_family_releases_its_recording_on_its_page(house: House) -> None:
    token, _ = await house.granted()
    await house.recorded()
    await enter(house, token)
    assert VIDEO in (await page(house, "GET", "/family/release")).text
    done = await page(house, "POST", "/family/release", {"sha256": VIDEO})
    assert done.headers["location"] == "/consent/family?done=released"
    assert (await house.journey()).told().consent.released


async def test_a_tutor_sends_logs_and_links_on_the_pages(house: House) -> None:
    await house.discover()
    tutor = house.staff()
    first = await page(house, "GET", "/invitations/c1", **tutor)
    assert "Hello. I am writing from QU Dental" in first.text
    assert (await page(house, "POST", "/invitations/c1/sent", **tutor)).status_code == 303
    wrong = await page(house, "POST", "/invitations/c1/answer", {"answer": "later"}, **tutor)
    assert wrong.status_code == 422
    assert (await page(house, "POST", "/invitations/c1/answer", {"answer": "yes"}, **tutor)).status_code == 303
    assert (await page(house, "POST", "/invitations/c1/link", **tutor)).status_code == 303
    shown = await page(house, "GET", "/invitations/c1", **tutor)
    assert "https://first.example/consent/i/qu-cdm/" in shown.text
    assert "CLP-001" in (await page(house, "GET", "/invitations?show=waiting", **tutor)).text
    told = {"what": "end-now", "how_told": "message on our account"}
    assert (await page(house, "POST", "/invitations/c1/told", told, **tutor)).status_code == 303
    assert (await house.journey()).stage == "erasing"


async def test_a_coordinator_edits_and_approves_texts_and_a_tutor_only_reads_them(bare: House) -> None:
    await bare.tell(event(CaseChangedV1, "case-1", case()), "keep_case")
    boss, tutor = bare.boss(), bare.staff()
    proposed = await page(bare, "GET", "/texts/case-1?language=ar", **boss)
    assert "شقّ الشفة والحنك" in proposed.text
    assert (await page(bare, "POST", "/texts/case-1/ar", {"purpose": "للتعليم فقط."}, **boss)).status_code == 303
    assert (await page(bare, "POST", "/texts/case-1/ar", {"purpose": "x"}, **tutor)).status_code == 403
    refused = await page(bare, "POST", "/texts/case-1/ar/approve", {"number": ""}, **boss)
    assert refused.status_code == 422
    assert (await page(bare, "POST", "/texts/case-1/ar/approve", {"number": "QU-1"}, **boss)).status_code == 303
    assert "للتعليم فقط." in (await page(bare, "GET", "/texts/case-1/ar/1", **tutor)).text


async def test_while_the_address_is_this_machine_no_link_can_be_copied(tmp_path: Path, nats_url: str) -> None:
    async with running(tmp_path, nats_url, address="http://127.0.0.1:8080") as house:
        await begin(house)
        await house.linked()
        link = await house.api("POST", "/invitations/c1/link")
        assert link["usable"] == "this machine only"
        shown = (await page(house, "GET", "/invitations/c1", **house.staff())).text
        assert link["url"] not in shown
        assert "Open the family's page" in shown


async def shown_to_students(house: House, sequence: int) -> None:
    """The archive says that it shows the recording."""
    contact = (await house.journey()).contact
    state = RecordingState(contact=contact, state="released", media="video", sha256=VIDEO)
    await house.tell(event(RecordingPublishedV1, "c1", state, sequence), "follow_recording")


async def test_the_familys_page_says_who_can_watch_and_takes_it_back_with_the_audience(house: House) -> None:
    audience = {"audience": "about 25 third-year students, until June 2027"}
    await house.api("PUT", "/cases/case-1/texts/en", audience, who=house.boss())
    await house.api("POST", "/cases/case-1/texts/en/approve", {"number": "QU-2"}, who=house.boss())
    token, family = await house.granted()
    await enter(house, token)
    await house.recorded()
    home = (await page(house, "GET", "/family")).text
    assert "unless you say yes again" in home
    assert "It is your turn" in home
    await house.api("POST", "/family/release", {"sha256": VIDEO}, who=family)
    await shown_to_students(house, 2)
    for path in ("/family", "/family/release", "/family/receipt", "/family/change", "/family/withdraw"):
        assert "can watch your recording now" in (await page(house, "GET", path)).text
    for path in ("/family", "/family/release"):
        assert audience["audience"] in (await page(house, "GET", path)).text
    question = (await house.api("GET", "/family", who=family))["text"]["scopes"]["share-cohort"]["question"]
    assert audience["audience"] in question
    await house.api("POST", "/family/pause", who=family)
    paused = (await page(house, "GET", "/family")).text + (await page(house, "GET", "/family/release")).text
    assert "can watch your recording now" not in paused
    assert "say yes again" not in paused
    await house.api("POST", "/family/resume", who=family)
    await house.api("POST", "/family/change", {"scopes": {"share-cohort": False}}, who=family)
    for path in ("/family", "/family/release", "/family/receipt"):
        text = (await page(house, "GET", path)).text
        assert "people named here can watch" not in text
        assert "Nobody can watch your recording now" in text
    told = await house.api("GET", "/family", who=family)
    assert (told["standing"]["point"], told["standing"]["audience"]) == ("shown-to-nobody", [])


async def test_the_day_on_which_everything_is_deleted_is_chosen_on_the_page(house: House) -> None:
    token, family = await house.granted()
    await enter(house, token)
    change = (await page(house, "GET", "/family/change")).text
    days = re.findall(r'<option value="([^"]+)"', change)
    assert len(days) == 5
    assert "(the latest)" in change
    done = await page(house, "POST", "/family/until", {"until": html.unescape(days[1])})
    assert done.headers["location"].endswith("done=until")
    told = await house.api("GET", "/family", who=family)
    assert datetime.fromisoformat(told["consent"]["expires_at"]) == datetime.fromisoformat(html.unescape(days[1]))
    assert "You chose when everything is deleted" in (await page(house, "GET", "/family/history")).text
    assert "Choose another day" in (await page(house, "GET", "/family")).text
    refused = await page(house, "POST", "/family/until", {"until": "2099-01-01T00:00:00Z"})
    assert refused.status_code == 422
    assert "not after the day that you were shown" in refused.text


async def test_what_was_agreed_is_shown_in_the_words_that_were_read(house: House) -> None:
    token, _ = await house.granted()
    await enter(house, token)
    scopes = {"meet": {"question": "New question?", "consequence": "New consequence."}}
    await house.api("PUT", "/cases/case-1/texts/en", {"scopes": scopes}, who=house.boss())
    await house.api("POST", "/cases/case-1/texts/en/approve", {"number": "QU-2"}, who=house.boss())
    home = (await page(house, "GET", "/family")).text
    assert "New consequence." not in home
    assert "You can keep your camera off." in home


async def test_before_it_decides_a_family_reads_who_learns_from_it(house: House) -> None:
    token, _ = await house.linked()
    await enter(house, token)
    text = (await house.api("GET", "/family", who=await house.family(token)))["text"]
    assert text["audience"] in (await page(house, "GET", "/family/what-happens")).text


async def test_a_childs_no_ends_the_questions_at_once(house: House) -> None:
    token, _ = await house.linked()
    await enter(house, token)
    assert await give(house, signer="parent", about_child="yes", child_assent="objects") == "/family/no"
    ending = (await page(house, "GET", "/family/no")).text
    assert "Your child does not want to take part" in ending
    assert (await page(house, "GET", "/family/review")).headers["location"] == "/consent/family/no"
    assert (await page(house, "POST", "/family/no")).status_code == 303
    assert (await house.journey()).consent.state == "declined"


async def test_what_a_yes_covers_is_no_no_in_the_receipt(house: House) -> None:
    _, family = await house.granted()
    receipt = await house.api("GET", "/family/receipt", who=family)
    of = {one["purpose"]: one for one in receipt["processing"]["purposes"]}
    assert (of["record-audio"]["allowed"], of["record-audio"]["included_in"]) == (True, "record-video")
    assert (of["share-institution"]["allowed"], of["share-institution"]["included_in"]) == (False, None)
    assert not of.keys() & {"share-partners", "share-public"}  # nobody was asked


async def test_approving_approves_what_the_form_shows_or_saves_it_first(bare: House) -> None:
    await bare.tell(event(CaseChangedV1, "case-1", case()), "keep_case")
    boss = bare.boss()
    fields = dict(re.findall(r'<textarea id="([^"]+)"[^>]*>([^<]*)</textarea>', await shown_texts(bare)))
    form = {name: html.unescape(value) for name, value in fields.items()}
    edited = {**form, "purpose": "Only to teach.", "number": "QU-9"}
    saved = await page(bare, "POST", "/texts/case-1/en/approve", edited, **boss)
    assert saved.status_code == 200
    assert "saved as a draft" in saved.text
    assert 'value="QU-9"' in saved.text
    draft = await bare.api("GET", "/cases/case-1/texts/en", who=boss)
    assert [(one["state"], one["text"]["purpose"]) for one in draft["versions"]] == [("draft", "Only to teach.")]
    sha = draft["versions"][0]["sha256"]
    emptied = await page(bare, "POST", "/texts/case-1/en/approve", {**edited, "purpose": "", "sha256": sha}, **boss)
    assert emptied.status_code == 422
    done = await page(bare, "POST", "/texts/case-1/en/approve", {**edited, "sha256": sha}, **boss)
    assert done.headers["location"].endswith("done=approved")
    approved = await bare.api("GET", "/cases/case-1/texts/en", who=boss)
    assert [(one["state"], one["text"]["purpose"]) for one in approved["versions"]] == [("approved", "Only to teach.")]


async def shown_texts(house: House) -> str:
    return (await page(house, "GET", "/texts/case-1?language=en", **house.boss())).text
