"""One person is asked once, however the address is spelled, whoever asks, and whichever release made the mark."""

import json
from typing import Any

import pytest

from firsthand.services.discovery.handlers import people
from firsthand.services.discovery.handlers.renaming import name_again
from firsthand.services.discovery.model.accounts import Account
from firsthand.services.discovery.model.leads import KEPT_FOR, Content, Lead, Week, week_ends, week_of
from firsthand.services.discovery.model.people import Asked, Mark, Person
from firsthand.services.discovery.repository import Ledger, Repository
from firsthand.shared.events.consent import ConsentDeclinedV1, ErasureRequestedV1
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from tests.integration.discovery.house import ELM, NOW, OAK, YES, House, bring, mastodon, state_of, told
from tests.releases.addresses_0_1_0 import read_address as read_by_0_1_0

CLEARING = {"checks": YES, "language": "en"}
SPELLINGS = [
    ("https://x.com/RosaPrueba", "https://twitter.com/rosaprueba"),
    ("https://mobile.twitter.com/rosaprueba/status/1", "https://x.com/ROSAPRUEBA"),
    ("https://www.facebook.com/Rosa.Prueba", "https://m.facebook.com/rosaprueba"),
    ("https://www.youtube.com/@RosaPrueba", "https://m.youtube.com/@rosaprueba/videos"),
    ("https://www.tiktok.com/@RosaPrueba/video/71", "https://m.tiktok.com/@rosaprueba"),
    ("https://www.threads.net/@rosaprueba", "https://threads.com/@RosaPrueba/post/C1"),
    ("https://www.threads.net/@rosaprueba", "https://www.instagram.com/_u/rosaprueba"),
    ("https://old.reddit.com/user/RosaPrueba", "https://www.reddit.com/u/rosaprueba/"),
    ("rosa.example.com", "@rosa.example.com"),
    ("https://a.example/@rosa.example.com@bsky.brid.gy", "https://bsky.app/profile/rosa.example.com"),
    ("https://tube.example/a/RosaPrueba", "@rosaprueba@tube.example"),
    ("https://gts.example/users/RosaPrueba", "https://gts.example/@rosaprueba"),
]


async def refused(house: House, case: str, address: str, at: InstitutionId = OAK) -> str:
    return str((await house.refused("POST", f"/cases/{case}/nominations", {"address": address}, at=at))["title"])


@pytest.mark.parametrize(("first", "second"), SPELLINGS)
async def test_one_person_under_two_spellings_is_asked_once_here_and_elsewhere(
    house: House, first: str, second: str
) -> None:
    case, other = await house.case(), await house.case(ELM)
    waiting = await house.nominate(other, second, ELM)
    twin = await house.nominate(case, second)
    contact = await house.clear(await house.nominate(case, first))
    assert await state_of(house, twin) == ("cleared" if twin == contact["lead_id"] else "asked-before")
    assert await refused(house, case, second) == "Not available now"
    answer = await house.refused("POST", f"/leads/{waiting}/clear", CLEARING, at=ELM)
    assert answer["title"] == "Not available now"
    await people.follow_consent(house.context, told(contact, ConsentDeclinedV1, 4, "declined"))
    assert await refused(house, case, second) == "Not available now"
    await people.follow_consent(house.context, told(contact, ErasureRequestedV1, 9, "withdrawn", erasure_id="e"))
    assert await refused(house, case, second) == "Not available now"


async def test_who_was_refused_as_a_person_is_not_shown_again_under_another_spelling(house: House) -> None:
    case = await house.case()
    lead = await house.nominate(case, "https://twitter.com/RosaPrueba/status/1")
    await house.call("POST", f"/leads/{lead}/refuse", {"reason": "vulnerable"})
    assert await refused(house, case, "x.com/rosaprueba") == "Not available now"
    assert await house.nominate(case, "x.com/rosaprueba2")


@pytest.mark.parametrize(
    "link",
    [
        "https://www.instagram.com/share/p/BAJ7qGpQ",
        "https://www.instagram.com/popular/cleft/",
        "https://www.instagram.com/reels/audio/1/",
        "https://vm.tiktok.com/ZMabc/",
        "https://t.co/abc",
        "https://fb.me/abc",
    ],
)
async def test_a_link_that_names_nobody_makes_no_person_and_no_lead(house: House, link: str) -> None:
    case = await house.case()
    answer = await house.refused("POST", f"/cases/{case}/nominations", {"address": link})
    assert answer["type"] == "urn:firsthand:discovery:names-nobody"
    assert answer["detail"] == "Open it and copy the address that your browser then shows."
    assert [error["field"] for error in answer["errors"]] == ["address"]
    media = {"data": [{"id": "1", "permalink": "https://www.instagram.com/p/AbC/", "caption": "#cleftstrong"}]}
    await bring(house, case, json.dumps(media), "instagram")
    (lead,) = (await house.call("GET", "/leads"))["items"]
    answer = await house.refused("POST", f"/leads/{lead['lead_id']}/clear", CLEARING | {"profile": link})
    assert answer["type"] == "urn:firsthand:discovery:names-nobody"
    assert [error["field"] for error in answer["errors"]] == ["profile"]


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "copy the address that your browser then shows"), ("ar", "وانسخوا العنوان"), ("es", "copie la dirección")],
)
async def test_the_pages_say_what_to_do_with_a_link_that_names_nobody(house: House, language: str, said: str) -> None:
    case = await house.case()
    share = "https://www.instagram.com/share/p/BAJ7qGpQ"
    lead = await house.nominate(case, "https://www.instagram.com/p/AbC/")
    async with house.browser() as browser:
        page = await browser.post(f"/cases/{case}/nominations", data={"address": share}, params={"lang": language})
        assert page.status_code == 422
        assert said in page.text
        yes = {"language": "en", "public": "yes", "adult": "yes", "not_vulnerable": "yes", "profile": share}
        page = await browser.post(f"/leads/{lead}/clear", data=yes, params={"lang": language})
        assert page.status_code == 422
        assert said in page.text


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "copy the address that your browser then shows"), ("ar", "وانسخوا العنوان"), ("es", "copie la dirección")],
)
async def test_a_student_is_told_so_too(house: House, language: str, said: str) -> None:
    case = await house.case()
    async with house.browser("student-1", "student") as browser:
        address = {"address": "https://www.instagram.com/share/p/BAJ7qGpQ"}
        page = await browser.post(f"/cases/{case}/nominations", data=address, params={"lang": language})
        assert page.status_code == 422
        assert said in page.text


async def test_an_import_leaves_out_a_permalink_that_names_nobody_and_says_why(house: House) -> None:
    case = await house.case()
    media = {"data": [{"id": "1", "permalink": "https://www.instagram.com/share/p/AbC/", "caption": "#cleftstrong"}]}
    report = await bring(house, case, json.dumps(media), "instagram")
    assert (report["imported"], report["unreadable"]) == (0, 1)
    assert "copy the address that your browser then shows" in report["problems"][0]["reason"]
    for language, said in (("en", "copy the address"), ("ar", "وانسخوا العنوان"), ("es", "copie la dirección")):
        file = {"file": ("posts.json", json.dumps(media), "application/json")}
        async with house.browser() as browser:
            page = await browser.post(f"/cases/{case}/import", files=file, params={"lang": language})
            assert said in page.text


async def test_two_people_given_by_share_links_do_not_stand_in_each_others_way(house: House) -> None:
    """Both were `@_u`, so that the second was not available."""
    case = await house.case()
    await house.clear(await house.nominate(case, "https://www.instagram.com/_u/rosa"))
    contact = await house.clear(await house.nominate(case, "https://www.instagram.com/_u/ana"))
    label = await house.call("GET", f"/contacts/{contact['contact_id']}/label")
    assert label["label"] == "@ana"


async def test_two_posts_of_one_gotosocial_author_are_two_leads(house: House) -> None:
    case = await house.case()
    form = "https://gts.example/@noor/statuses/01HZ000000000000000000000{}"
    first, second = [await house.nominate(case, form.format(n)) for n in (1, 2)]
    assert first != second
    permalinks = [(await house.call("GET", f"/leads/{lead}"))["permalink"] for lead in (first, second)]
    assert permalinks == [form.format(1), form.format(2)]
    await house.clear(first)
    assert await state_of(house, second) == "asked-before"


async def test_an_author_of_a_split_domain_is_known_by_both(house: House) -> None:
    case = await house.case()
    account = {"acct": "Me@example.org", "url": "https://social.example.org/@me", "display_name": "Me"}
    status = mastodon(1, url="https://social.example.org/@me/1", account=account)
    await bring(house, case, json.dumps([status]))
    (lead,) = (await house.call("GET", "/leads"))["items"]
    assert lead["handle"] == "@Me@example.org"
    await house.clear(lead["lead_id"])
    for address in ("@me@example.org", "@me@social.example.org", "https://social.example.org/users/me"):
        assert await refused(house, case, address) == "Not available now"


async def test_a_bridged_post_is_the_native_post_and_its_author_the_native_author(house: House) -> None:
    case, did = await house.case(), "did:plc:z72i7hdynmk6r22z27h6tvur"
    account = {
        "acct": "rosa.example.com@bsky.brid.gy",
        "url": "https://bsky.brid.gy/r/https://bsky.app/profile/rosa.example.com",
        "uri": f"https://bsky.brid.gy/ap/{did}",
    }
    post = f"https://bsky.app/profile/{did}/post/3kabc"
    status = mastodon(1, url=f"https://bsky.brid.gy/r/{post}", account=account)
    assert (await bring(house, case, json.dumps([status])))["imported"] == 1
    (lead,) = (await house.call("GET", "/leads"))["items"]
    assert (lead["platform"], lead["permalink"], lead["handle"]) == ("bluesky", post, "@rosa.example.com")
    record = {"$type": "app.bsky.feed.post", "text": "#cleftlip", "createdAt": "2026-11-10T08:00:00Z"}
    native = {
        "posts": [
            {
                "uri": f"at://{did}/app.bsky.feed.post/3kabc",
                "author": {"did": did, "handle": "rosa.example.com"},
                "record": record,
            }
        ]
    }
    assert (await bring(house, case, json.dumps(native), "bluesky"))["merged"] == 1
    await house.clear(lead["lead_id"])
    assert (await bring(house, case, json.dumps(native), "bluesky"))["ignored_because"] == {"asked-before": 1}
    assert await refused(house, case, "@rosa.example.com") == "Not available now"


def line(did: str, rkey: str = "3k") -> str:
    record = {"$type": "app.bsky.feed.post", "text": "#cleftlip", "createdAt": "2026-11-10T08:00:00Z"}
    commit = {"operation": "create", "collection": "app.bsky.feed.post", "rkey": rkey, "record": record}
    return json.dumps({"did": did, "kind": "commit", "commit": commit})


async def test_where_only_an_id_is_known_the_tutor_is_asked_for_the_handle(house: House) -> None:
    case, did = await house.case(), "did:plc:z72i7hdynmk6r22z27h6tvur"
    await bring(house, case, line(did), "jetstream")
    (lead,) = (await house.call("GET", "/leads"))["items"]
    path = f"/leads/{lead['lead_id']}/clear"
    for profile in ("", f"https://bsky.app/profile/{did}"):
        answer = await house.refused("POST", path, CLEARING | {"profile": profile})
        assert answer["type"] == "urn:firsthand:discovery:handle-needed"
        assert [error["field"] for error in answer["errors"]] == ["profile"]
    async with house.browser() as browser:
        assert "Name of the account" in (await browser.get(f"/leads/{lead['lead_id']}")).text
    await house.clear(lead["lead_id"], profile="@Rosa.example.com")
    assert await refused(house, case, "https://bsky.app/profile/rosa.example.com") == "Not available now"
    assert (await bring(house, case, line(did, "3l"), "jetstream"))["ignored_because"] == {"asked-before": 1}


async def test_a_handle_alone_is_read_on_the_site_of_the_post_and_no_other_is_taken(house: House) -> None:
    case = await house.case()
    lead = await house.nominate(case, "https://youtu.be/dQw4w9WgXcQ")
    answer = await house.refused("POST", f"/leads/{lead}/clear", CLEARING | {"profile": "https://x.com/rosa"})
    assert answer["type"] == "urn:firsthand:discovery:profile"
    await house.clear(lead, profile="@Rosa")
    assert await refused(house, case, "https://www.youtube.com/@rosa") == "Not available now"


async def test_a_facebook_account_without_a_username_is_cleared_when_the_tutor_gives_its_address_again(
    house: House,
) -> None:
    case, address = await house.case(), "https://www.facebook.com/profile.php?id=1000"
    lead = await house.nominate(case, address)
    answer = await house.refused("POST", f"/leads/{lead}/clear", CLEARING)
    assert answer["type"] == "urn:firsthand:discovery:handle-needed"
    await house.clear(lead, profile=address)
    assert await refused(house, case, "https://m.facebook.com/people/Rosa/1000/") == "Not available now"


# What release 0.1.0 left, made of the names that its own code gives.


def named_by_0_1_0(address: str) -> list[Account]:
    found = read_by_0_1_0(address)
    return [(found.platform, account) for account in found.accounts]


async def mark_as_0_1_0(house: House, address: str, contact_id: str = "") -> list[str]:
    repository = Repository(house.context, OAK)
    marks = repository.marks_of(named_by_0_1_0(address))
    for mark in marks:
        await repository.marks.insert(Mark(id=mark, institution=OAK, contact_id=contact_id, since=NOW))
    return marks


EARLIER = [
    ("https://x.com/RosaPrueba", "https://twitter.com/rosaprueba"),
    ("https://twitter.com/rosaprueba", "https://x.com/RosaPrueba/status/1"),
    ("https://www.facebook.com/Rosa.Prueba", "https://m.facebook.com/rosaprueba"),
    ("https://www.tiktok.com/@RosaPrueba", "https://m.tiktok.com/@rosaprueba/video/71"),
    ("https://www.youtube.com/@rosaprueba", "https://youtube.com/@RosaPrueba"),
    ("https://www.threads.net/@rosaprueba", "https://www.threads.com/@rosaprueba"),
    ("https://www.reddit.com/user/RosaPrueba/", "https://old.reddit.com/u/rosaprueba"),
    ("rosa.example.com", "@rosa.example.com"),
    ("@rosa.example.com", "rosa.example.com"),
    ("https://a.example/@rosa.example.com@bsky.brid.gy", "@rosa.example.com"),
    ("https://tube.example/a/rosaprueba", "@rosaprueba@tube.example"),
    ("https://www.instagram.com/RosaPrueba/", "https://instagram.com/_u/rosaprueba"),
    ("https://a.example/@noor", "@Noor@a.example"),
]


@pytest.mark.parametrize(("marked", "given_"), EARLIER)
async def test_whom_an_earlier_release_refused_or_erased_is_spared_under_another_spelling(
    house: House, marked: str, given_: str
) -> None:
    case = await house.case()
    lead = await house.nominate(case, given_)  # it waited already, from before the mark came
    await mark_as_0_1_0(house, marked)
    assert await refused(house, case, given_) == "Not available now"
    answer = await house.refused("POST", f"/leads/{lead}/clear", CLEARING)
    assert answer["title"] == "Not available now"
    async with house.browser() as browser:
        assert "Not available now" in (await browser.get(f"/leads/{lead}")).text


@pytest.mark.parametrize(("marked", "given_"), EARLIER)
async def test_whom_an_earlier_release_asked_elsewhere_cools_off_under_another_spelling(
    house: House, marked: str, given_: str
) -> None:
    ledger = Ledger(house.context)
    for mark in ledger.marks_of(named_by_0_1_0(marked)):
        await ledger.keep(Asked(id=mark, institution=DEPLOYMENT, times=[NOW]))
    case = await house.case()
    answer = await house.refused("POST", f"/leads/{await house.nominate(case, given_)}/clear", CLEARING)
    assert answer["title"] == "Not available now"


async def test_a_mark_of_today_spares_no_other_account_that_was_once_named_so(house: House) -> None:
    """`rosa.example.com` was the website, for 0.1.0, and is a handle on Bluesky today."""
    case = await house.case()
    await house.clear(await house.nominate(case, "https://rosa.example.com"))
    assert await house.clear(await house.nominate(case, "rosa.example.com"))


async def test_a_bridged_handle_is_taken_for_a_post_on_bluesky_and_a_foreign_one_is_not(house: House) -> None:
    case, did = await house.case(), "did:plc:z72i7hdynmk6r22z27h6tvur"
    await bring(house, case, line(did), "jetstream")
    (lead,) = (await house.call("GET", "/leads"))["items"]
    foreign = CLEARING | {"profile": "@noor@social.example"}
    answer = await house.refused("POST", f"/leads/{lead['lead_id']}/clear", foreign)
    assert answer["type"] == "urn:firsthand:discovery:profile"
    await house.clear(lead["lead_id"], profile="@noor.social.example.ap.brid.gy")
    assert await refused(house, case, "@noor@social.example") == "Not available now"


async def test_an_import_leaves_out_whom_an_earlier_release_marked_by_another_name(house: House) -> None:
    case = await house.case()
    await mark_as_0_1_0(house, "https://social.example/u/noor")
    assert (await bring(house, case, json.dumps([mastodon(1)])))["ignored_because"] == {"asked-before": 1}


async def contact_of_0_1_0(house: House, address: str, **fields: Any) -> Person:
    """A contact as 0.1.0 stored it, whose marks are of the names that it gave."""
    repository, ledger = Repository(house.context, OAK), Ledger(house.context)
    marks = await mark_as_0_1_0(house, address, contact_id="c" * 32)
    on_deployment = ledger.marks_of(named_by_0_1_0(address))
    for mark in on_deployment:
        await ledger.keep(Asked(id=mark, institution=DEPLOYMENT, times=[NOW]))
    found = read_by_0_1_0(address)
    sealed = await house.context.vault.seal_many(
        OAK, "c" * 32, {"handle": found.handle, "name": "", "profile": found.url, "post": found.url}
    )
    person = {
        "id": "c" * 32,
        "institution": OAK,
        "case_id": "clp",
        "reference": "CLP-001",
        "number": 1,
        "platform": found.platform,
        "language": "en",
        "tutor_id": "tutor-1",
        "marks": marks,
        "on_deployment": on_deployment,
        "lead_id": "lead",
        "cleared_by": "tutor-1",
        "cleared_at": NOW,
        **sealed,
    }
    return await repository.people.insert(Person.model_validate(person | fields))


async def test_a_contact_of_an_earlier_release_gets_the_marks_of_today(house: House) -> None:
    """Also where no mixture of capitals could be gone through, and it said no."""
    handle = "Una_Persona_Larga"
    contact = await contact_of_0_1_0(house, f"https://twitter.com/{handle}?s=20", said_no_at=NOW, standing="declined")
    await name_again(house.context)
    person = await Repository(house.context, OAK).people.get(contact.id)
    assert person
    assert person.marks[0] == contact.marks[0]
    assert len(person.marks) == len(person.on_deployment) == 2
    case, other = await house.case(), await house.case(ELM)
    assert await refused(house, case, f"x.com/{handle.lower()}") == "Not available now"
    waiting = await house.nominate(other, f"https://x.com/{handle.upper()}", ELM)
    assert (await house.refused("POST", f"/leads/{waiting}/clear", CLEARING, at=ELM))["title"] == "Not available now"
    entry = await Ledger(house.context).entry(person.on_deployment[1])
    assert (entry.times, entry.said_no) == ([NOW], [NOW])
    await name_again(house.context)
    again = await Repository(house.context, OAK).people.get(contact.id)
    assert again
    assert again.version == person.version


async def test_an_erased_contact_of_an_earlier_release_stays_erased_and_spared(house: House) -> None:
    contact = await contact_of_0_1_0(house, "https://x.com/RosaPrueba")
    request = told({"contact_id": contact.id}, ErasureRequestedV1, 9, "withdrawn", erasure_id="e")
    await people.follow_consent(house.context, request)
    await name_again(house.context)
    person = await Repository(house.context, OAK).people.get(contact.id)
    assert person
    assert person.standing == "erased"
    assert person.marks == contact.marks
    assert await refused(house, await house.case(), "twitter.com/rosaprueba") == "Not available now"


async def test_a_waiting_lead_of_an_earlier_release_goes_with_its_author(house: House) -> None:
    case = await house.case()
    case_id = (await house.call("GET", f"/cases/{case}"))["case_id"]
    repository, url = Repository(house.context, OAK), "https://twitter.com/RosaPrueba"
    week = week_of(case_id, NOW)
    await repository.weeks.insert(Week(id=week, institution=OAK, case_id=case_id, due_at=week_ends(NOW)))
    content = Content(permalink=url, profile=url, accounts=[url])
    lead = Lead(
        id="a" * 32,
        institution=OAK,
        due_at=NOW + KEPT_FOR,
        case_id=case_id,
        platform="other",
        source="by-hand",
        posted_at=NOW,
        found_at=NOW,
        found_by="tutor-1",
        author=repository.marks_of([("other", url)])[0],
        week=week,
        content=await house.context.vault.seal(OAK, week, "a" * 32, content.model_dump_json(exclude_defaults=True)),
    )
    await repository.leads.insert(lead)
    await name_again(house.context)
    await house.clear(await house.nominate(case, "https://x.com/rosaprueba/status/1"))
    assert await state_of(house, lead.id) == "asked-before"
    kept = await repository.weeks.get(week)
    assert kept
    assert kept.names is not None


async def test_a_share_link_that_an_earlier_release_took_for_a_person_keeps_nobody_from_being_asked(
    house: House,
) -> None:
    await mark_as_0_1_0(house, "https://www.instagram.com/share/p/AbC/")
    case = await house.case()
    assert (await house.clear(await house.nominate(case, "https://www.instagram.com/rosa/")))["reference"] == "CLP-001"
