"""Discovery over HTTP: what is promised of cases, posts, leads, contacts and their erasure."""

import asyncio
import json
from datetime import timedelta

from firsthand.services.discovery.handlers import people
from firsthand.services.discovery.model.people import NAMES
from firsthand.services.discovery.repository import Repository
from firsthand.shared.events.consent import ConsentChangedV1, ConsentDeclinedV1, ConsentWithdrawnV1, ErasureRequestedV1
from tests.integration.discovery.house import (
    CASE,
    ELM,
    NOW,
    OAK,
    YES,
    House,
    bring,
    mastodon,
    state_of,
    told,
    until,
    weeks_of,
)


async def test_a_cleared_lead_is_a_contact_with_a_reference_and_its_event(house: House) -> None:
    contact = await house.contact()
    assert contact["reference"] == "CLP-001"
    assert contact["tutor_id"] == "tutor-1"
    label = await house.call("GET", f"/contacts/{contact['contact_id']}/label")
    assert label == {
        "label": "@lina.example",
        "profile_url": "https://www.instagram.com/lina.example/",
        "platform": "instagram",
    }
    lead = await house.call("GET", f"/leads/{contact['lead_id']}")
    assert lead["state"] == "cleared"
    assert lead["text"] == lead["permalink"] == ""


async def test_clearing_the_same_lead_again_gives_the_same_contact(house: House) -> None:
    contact = await house.contact()
    assert await house.clear(contact["lead_id"]) == contact


async def test_one_person_never_becomes_two_contacts_even_when_twenty_leads_are_cleared_at_once(house: House) -> None:
    case, other = await house.case(), await house.case(prefix="CLQ")
    await bring(house, case, json.dumps([mastodon(n) for n in range(10)]))
    await bring(house, other, json.dumps([mastodon(n) for n in range(10)]))
    leads = (await house.call("GET", "/leads"))["items"]
    assert len(leads) == 20
    async with house.client() as client:
        answers = await asyncio.gather(
            *(client.post(f"/leads/{lead['lead_id']}/clear", json={"checks": YES}) for lead in leads)
        )
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 19]
    assert {a.json()["type"] for a in answers if a.status_code == 409} <= {
        "urn:firsthand:discovery:not-available",
        "urn:firsthand:discovery:decided",
    }
    assert len([person async for person in Repository(house.context, OAK).people.all()]) == 1
    assert (await house.call("GET", "/leads"))["items"] == []


async def test_another_institution_hears_only_that_somebody_is_not_available_now(house: House) -> None:
    contact = await house.contact()
    case = await house.case(ELM)
    lead = await house.nominate(case, "https://www.instagram.com/lina.example/", ELM)
    refused = await house.refused("POST", f"/leads/{lead}/clear", {"checks": YES, "language": "en"}, at=ELM)
    assert refused["title"] == "Not available now"
    assert "oak" not in json.dumps(refused).lower()
    for path in (f"/contacts/{contact['contact_id']}/label", f"/leads/{contact['lead_id']}"):
        async with house.client(at=ELM) as client:
            assert (await client.get(path)).status_code == 404


async def test_a_person_may_be_asked_elsewhere_when_the_cooling_off_time_is_over(house: House) -> None:
    await house.contact()
    house.clock.advance(timedelta(days=366))
    assert (await house.contact(at=ELM))["reference"] == "CLP-001"


async def test_nothing_is_cleared_without_both_approvals_in_force(house: House) -> None:
    boss = {"person": "coordinator-1", "role": "coordinator"}
    case = (await house.call("POST", "/cases", CASE, **boss))["case_id"]
    lead = await house.nominate(case, "https://www.instagram.com/lina.example/")
    clearing = {"checks": YES, "language": "en"}
    refused = await house.refused("POST", f"/leads/{lead}/clear", clearing)
    assert refused["title"] == "This case has no ethics approval"
    for kind in ("ethics", "data-protection"):
        approval = {"number": "A-1", "expires_at": (NOW + timedelta(days=10)).isoformat()}
        await house.call("PUT", f"/cases/{case}/approvals/{kind}", approval, **boss)
    house.clock.advance(timedelta(days=11))
    refused = await house.refused("POST", f"/leads/{lead}/clear", clearing)
    assert refused["title"] == "The ethics approval of this case has expired"


async def test_every_check_needs_a_yes(house: House) -> None:
    lead = await house.nominate(await house.case(), "https://www.instagram.com/lina.example/")
    refused = await house.refused("POST", f"/leads/{lead}/clear", {"checks": YES | {"adult": False}, "language": "en"})
    assert [error["field"] for error in refused["errors"]] == ["checks.adult"]


async def test_a_case_takes_no_more_contacts_at_once_than_the_institution_allows(house: House) -> None:
    await house.policies(OAK, 2, active_contacts_a_case=1)
    contact = await house.contact()
    lead = await house.nominate(contact["reference"][:3], "https://www.instagram.com/omar.example/")
    refused = await house.refused("POST", f"/leads/{lead}/clear", {"checks": YES, "language": "en"})
    assert refused["type"] == "urn:firsthand:discovery:case-full"
    await people.follow_consent(house.context, told(contact, ConsentDeclinedV1, 4, "declined"))
    assert (await house.clear(lead))["reference"] == "CLP-002"


async def test_an_instagram_post_is_cleared_only_with_its_authors_profile(house: House) -> None:
    case = await house.case()
    media = {"data": [{"id": "1", "permalink": "https://www.instagram.com/p/AbC/", "caption": "#cleftstrong"}]}
    assert (await bring(house, case, json.dumps(media), "instagram"))["imported"] == 1
    (lead,) = (await house.call("GET", "/leads"))["items"]
    refused = await house.refused("POST", f"/leads/{lead['lead_id']}/clear", {"checks": YES, "language": "en"})
    assert refused["type"] == "urn:firsthand:discovery:profile-needed"
    contact = await house.clear(lead["lead_id"], profile="instagram.com/Lina.Example?igsh=xyz")
    label = await house.call("GET", f"/contacts/{contact['contact_id']}/label")
    assert label["label"] == "@lina.example"


async def test_posts_merge_are_ignored_for_a_reason_and_reported_when_unreadable(house: House) -> None:
    case = await house.case()
    statuses = [
        mastodon(1),
        mastodon(1),
        mastodon(2, tags=[], content="<p>about bread</p>"),
        mastodon(3, user="robot", account={"acct": "robot", "url": "https://social.example/@robot", "bot": True}),
        {"id": "4"},
        mastodon(5, user="amal", tags=[], content="<p>#شَقّ_الشِّفـة</p>", language="ar"),
    ]
    report = await bring(house, case, json.dumps(statuses[:4]) + "\n" + json.dumps(statuses[4:]), "")
    assert report == {
        "imported": 2,
        "merged": 1,
        "ignored": 2,
        "removed": 0,
        "unreadable": 1,
        "problems": [{"entry": 5, "reason": "`account` is missing"}],
        "ignored_because": {"no-hashtag": 1, "bot": 1},
        "format": "mastodon",
        "entries": 6,
        "changed": 0,
        "lapsed": 0,
    }
    assert (await bring(house, case, json.dumps(statuses)))["merged"] == 3
    newest = (await house.call("GET", "/leads?case=CLP&language=ar"))["items"]
    assert [lead["handle"] for lead in newest] == ["@amal@social.example"]


async def test_posts_of_a_person_who_was_asked_or_refused_are_not_shown(house: House) -> None:
    case = await house.case()
    await bring(house, case, json.dumps([mastodon(1), mastodon(2, user="omar"), mastodon(3, user="omar")]))
    noor, *omar = sorted((await house.call("GET", "/leads"))["items"], key=lambda lead: lead["handle"])
    await house.clear(noor["lead_id"])
    await house.call("POST", f"/leads/{omar[0]['lead_id']}/refuse", {"reason": "vulnerable"})
    assert (await house.call("GET", "/leads"))["items"] == []
    report = await bring(house, case, json.dumps([mastodon(7), mastodon(8, user="omar")]))
    assert report["ignored_because"] == {"asked-before": 2}


async def test_a_lead_waits_thirty_days_and_then_its_text_is_gone(house: House) -> None:
    case = await house.case()
    await bring(house, case, json.dumps([mastodon(1)]))
    (lead,) = (await house.call("GET", "/leads"))["items"]
    assert "operation" in lead["text"]
    house.clock.advance(timedelta(days=30, hours=1))
    await until(lambda: state_of(house, lead["lead_id"]), "lapsed")
    gone = await house.call("GET", f"/leads/{lead['lead_id']}")
    assert gone["text"] == gone["handle"] == gone["permalink"] == ""
    house.clock.advance(timedelta(days=8))
    await until(lambda: weeks_of(house), 0)


async def test_a_no_is_kept_for_all_and_an_undone_withdrawal_takes_it_back(house: House) -> None:
    contact = await house.contact()
    repository = Repository(house.context, OAK)

    async def standing() -> str:
        person = await repository.people.get(contact["contact_id"])
        assert person
        return person.standing

    await people.follow_consent(house.context, told(contact, ConsentWithdrawnV1, 5, "withdrawn"))
    assert await standing() == "withdrawn"
    await people.follow_consent(house.context, told(contact, ConsentChangedV1, 6, "granted"))
    assert await standing() == "active"
    await people.follow_consent(house.context, told(contact, ConsentWithdrawnV1, 5, "withdrawn"))
    assert await standing() == "active"  # a late event changes nothing


async def test_after_erasure_nothing_says_who_it_was_and_nobody_asks_again(house: House) -> None:
    case = await house.case()
    canary = "canary7f3"
    post = mastodon(1, user=canary, content=f"<p>{canary} words #cleftlip</p>")
    await bring(house, case, json.dumps([post, mastodon(2, user=canary)]))
    lead = (await house.call("GET", "/leads"))["items"][0]
    contact = await house.clear(lead["lead_id"])
    request = told(contact, ErasureRequestedV1, 9, "withdrawn", erasure_id="erasure-1")
    await people.follow_consent(house.context, request)
    person = await Repository(house.context, OAK).people.get(contact["contact_id"])
    assert person
    await people.follow_consent(house.context, request)  # asked twice, it answers once
    again = await Repository(house.context, OAK).people.get(contact["contact_id"])
    assert again
    assert again.version == person.version
    assert again.standing == "erased"
    await house.refused("GET", f"/contacts/{contact['contact_id']}/label")
    assert (await bring(house, case, json.dumps([mastodon(9, user=canary)])))["ignored"] == 1
    assert not [path for path in house.data.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]


async def test_an_erasure_that_comes_after_a_later_event_is_done_all_the_same(house: House) -> None:
    contact = await house.contact()
    await people.follow_consent(house.context, told(contact, ConsentWithdrawnV1, 10, "withdrawn"))
    await people.follow_consent(house.context, told(contact, ErasureRequestedV1, 9, "withdrawn", erasure_id="e"))
    await house.refused("GET", f"/contacts/{contact['contact_id']}/label")


async def test_an_erasure_of_a_contact_that_is_not_here_is_answered_too(house: House) -> None:
    unknown = {"contact_id": "0" * 32}
    await people.follow_consent(house.context, told(unknown, ErasureRequestedV1, 3, "withdrawn", erasure_id="e"))
    person = await Repository(house.context, OAK).people.get("0" * 32)
    assert person
    assert person.standing == "erased"
    assert person.names == NAMES  # else it would be taken for an earlier release's, and saved by who names these


async def test_what_the_erasure_ledger_names_is_erased_again_after_a_restore(house: House) -> None:
    contact = await house.contact()
    await people.restore_erasure(house.context, OAK, contact["contact_id"])
    await house.refused("GET", f"/contacts/{contact['contact_id']}/label")


async def test_data_from_before_a_person_was_erased_does_not_bring_the_person_back(house: House) -> None:
    case = await house.case()
    post = json.dumps([mastodon(1)])
    await bring(house, case, post)
    (lead,) = (await house.call("GET", "/leads"))["items"]
    before = await Repository(house.context, OAK).leads.get(lead["lead_id"])
    contact = await house.clear(lead["lead_id"])
    await people.follow_consent(house.context, told(contact, ErasureRequestedV1, 9, "withdrawn", erasure_id="e"))
    # the data as it was before the clearing, with a key store that is not part of it
    repository = Repository(house.context, OAK)
    now = await repository.leads.get(lead["lead_id"])
    assert before
    assert now
    await repository.leads.save(before.model_copy(update={"version": now.version}))
    async for mark in repository.marks.all():
        await repository.marks.delete(mark)
    for owner in await house.context.vault.erased(OAK):
        await people.restore_erasure(house.context, OAK, owner)
    assert (await house.call("GET", "/leads"))["items"] == []
    assert (await bring(house, case, json.dumps([mastodon(2)])))["ignored_because"] == {"asked-before": 1}


async def test_a_prefix_belongs_to_one_case_and_two_institutions_may_have_the_same(house: House) -> None:
    first = await house.case()
    refused = await house.refused("POST", "/cases", CASE, person="coordinator-1", role="coordinator")
    assert refused["type"] == "urn:firsthand:discovery:prefix-taken"
    assert await house.case(ELM) != first


async def test_content_of_another_platform_is_refused_as_a_whole(house: House) -> None:
    case = await house.case()
    async with house.client() as client:
        for content, format_ in ((b'{"error": "x"}', "bluesky"), (b"[]", "instagram"), (b"", "mastodon")):
            answer = await client.post(f"/cases/{case}/posts?format={format_}", content=content)
            assert answer.status_code == 422, content
            assert answer.json()["type"] == "urn:firsthand:discovery:not-this-format"


async def test_students_nominate_in_their_own_cases_only(house: House) -> None:
    mine, other = await house.case(), await house.case(prefix="OTH", cohorts=["year-4"])
    address = {"address": "https://bsky.app/profile/lina.example"}
    student = {"person": "student-1", "role": "student"}
    assert (await house.call("POST", f"/cases/{mine}/nominations", address, **student))["found_by"] == "student-1"
    await house.refused("POST", f"/cases/{other}/nominations", address, **student)
    await house.refused("GET", "/leads", **student)


async def test_a_closed_case_keeps_no_leads_waiting(house: House) -> None:
    case = await house.case()
    lead = await house.nominate(case, "https://www.instagram.com/lina.example/")
    await house.call("PATCH", f"/cases/{case}", {"state": "closed"}, person="coordinator-1", role="coordinator")
    await until(lambda: state_of(house, lead), "lapsed")
