"""The second look counts: what a later answer says of a waiting post or its author."""

import json
from datetime import timedelta
from typing import Any

import pytest

from firsthand.services.discovery.posts import Ignored, bluesky
from firsthand.services.discovery.repository import Repository
from tests.integration.discovery.house import NOW, OAK, House, bring, mastodon, state_of, until

DID = "did:plc:c6i3r3p5d2ojott2oqkarsu6"


async def waiting(house: House) -> list[Any]:
    return list((await house.call("GET", "/leads"))["items"])


def account(**fields: Any) -> dict[str, Any]:
    return {"account": {"acct": "noor", "url": "https://social.example/@noor", "display_name": "Noor"} | fields}


def line(rkey: str, operation: str = "create", text: str = "Our scan #CleftLip", at: int = 1) -> str:
    record = {"$type": "app.bsky.feed.post", "createdAt": "2026-11-12T09:00:00.000Z", "langs": ["en"], "text": text}
    commit: dict[str, Any] = {"operation": operation, "collection": "app.bsky.feed.post", "rkey": rkey}
    commit |= {} if operation == "delete" else {"record": record}
    return json.dumps({"did": DID, "time_us": 1794474000000000 + at, "kind": "commit", "commit": commit})


def ended(status: str) -> str:
    return json.dumps(
        {"did": DID, "time_us": 1, "kind": "account", "account": {"active": False, "did": DID, "status": status}}
    )


async def test_an_edited_text_replaces_the_first_and_the_lead_says_who_looked_when(house: House) -> None:
    case = await house.case()
    await bring(house, case, json.dumps([mastodon(1)]))
    assert (await waiting(house))[0]["looked_at"] is None
    house.clock.advance(timedelta(days=10))  # another week, whose key is another
    edited = mastodon(1, content="<p>Three years! #CleftStrong</p>", tags=[], edited_at="2026-11-29T08:00:00.000Z")
    report = await bring(house, case, json.dumps([edited]))
    assert (report["imported"], report["merged"], report["changed"]) == (0, 1, 1)
    (lead,) = await waiting(house)
    assert (lead["text"], lead["tags"]) == ("Three years! #CleftStrong", ["CleftStrong"])
    assert lead["looked_at"].startswith((NOW + timedelta(days=10)).date().isoformat())
    assert lead["looked_by"] == "mastodon"


async def test_an_older_file_takes_no_edit_back(house: House) -> None:
    case = await house.case()
    edited = mastodon(1, content="<p>Better now. #CleftLip</p>", edited_at="2026-11-12T08:00:00.000Z")
    await bring(house, case, json.dumps([edited]))
    old = mastodon(1, content="<p>about bread</p>", tags=[])
    assert (await bring(house, case, json.dumps([mastodon(1), old])))["lapsed"] == 0
    assert (await waiting(house))[0]["text"] == "Better now. #CleftLip"


async def test_the_last_of_several_words_about_a_post_in_one_file_counts(house: House) -> None:
    case = await house.case()
    lines = [line("3a"), line("3a", "update", "Edited #CleftLip", at=2), line("3b"), line("3b", "delete")]
    await bring(house, case, "\n".join(lines), "jetstream")
    assert [lead["text"] for lead in await waiting(house)] == ["Edited #CleftLip"]


@pytest.mark.parametrize(
    ("later", "because"),
    [
        (mastodon(1, tags=[], content="<p>about bread</p>"), "no-hashtag"),
        (mastodon(1, visibility="private"), "not-public"),
        (mastodon(1, **account(noindex=True)), "opted-out"),
        (mastodon(1, **account(display_name="Noor #nobot")), "opted-out"),
        (mastodon(1, **account(fields=[{"name": "Robots", "value": "<p>#<b>noindex</b></p>"}])), "opted-out"),
        (mastodon(1, **account(suspended=True)), "not-public"),
        (mastodon(1, **account(memorial=True)), "memorial"),
        (mastodon(1, **account(group=True)), "group"),
        (mastodon(9, **account(noindex=True)), "opted-out"),  # by another post of the same author
        (mastodon(9, **account(memorial=True)), "memorial"),
    ],
)
async def test_a_later_answer_about_the_post_or_its_author_lets_the_lead_lapse(
    house: House, later: dict[str, Any], because: str
) -> None:
    case = await house.case()
    await bring(house, case, json.dumps([mastodon(1), mastodon(2, user="omar")]))
    (lead,) = [lead for lead in await waiting(house) if lead["handle"].startswith("@noor")]
    report = await bring(house, case, json.dumps([later]))
    assert (report["lapsed"], report["ignored_because"]) == (1, {because: 1})
    lapsed = await house.call("GET", f"/leads/{lead['lead_id']}")
    assert (lapsed["state"], lapsed["lapsed_because"], lapsed["text"]) == ("lapsed", because, "")
    assert len(await waiting(house)) == 1


async def test_one_private_post_says_nothing_about_the_author_s_others(house: House) -> None:
    case = await house.case()
    await bring(house, case, json.dumps([mastodon(1), mastodon(2)]))
    await bring(house, case, json.dumps([mastodon(1, visibility="private")]))
    assert len(await waiting(house)) == 1


async def test_an_author_who_hides_from_visitors_on_bluesky_is_shown_no_more(house: House) -> None:
    case = await house.case()
    await bring(house, case, line("3a"), "jetstream")
    author = {"did": DID, "handle": "mona.example", "labels": [{"val": "!no-unauthenticated"}]}
    post = {"uri": f"at://{DID}/app.bsky.feed.post/3z", "author": author, "record": {}}
    assert (await bring(house, case, json.dumps({"posts": [post]}), "bluesky"))["lapsed"] == 1
    assert await waiting(house) == []


@pytest.mark.parametrize("status", ["deleted", "deactivated", "suspended", "takendown"])
async def test_an_account_that_ends_takes_its_leads_along_and_its_posts_come_no_more(house: House, status: str) -> None:
    case = await house.case()
    await bring(house, case, line("3a") + "\n" + line("3b"), "jetstream")
    assert (await bring(house, case, ended(status), "jetstream"))["lapsed"] == 2
    report = await bring(house, case, line("3c"), "jetstream")
    assert report["ignored_because"] == {"deleted": 1}
    assert await waiting(house) == []


async def test_an_account_that_comes_back_is_found_again_and_what_lapsed_stays_lapsed(house: House) -> None:
    case = await house.case()
    await bring(house, case, line("3a"), "jetstream")
    await bring(house, case, ended("deactivated"), "jetstream")
    back = json.dumps({"did": DID, "time_us": 2, "kind": "account", "account": {"active": True, "did": DID}})
    report = await bring(house, case, f"{back}\n{line('3b')}\n{line('3a')}", "jetstream")
    assert (report["imported"], report["ignored_because"]) == (1, {"not-a-post": 1})
    assert [lead["permalink"].rpartition("/")[2] for lead in await waiting(house)] == ["3b"]


async def test_a_deletion_that_arrives_before_its_post_is_remembered_for_thirty_days_by_mark_only(house: House) -> None:
    case, repository = await house.case(), Repository(house.context, OAK)
    await bring(house, case, line("3a", "delete"), "jetstream")
    assert (await bring(house, case, line("3a"), "jetstream"))["ignored_because"] == {"deleted": 1}
    assert await waiting(house) == []

    async def remembered() -> list[str]:
        return [gone.model_dump_json() async for gone in repository.gone.all()]

    (document,) = await remembered()
    assert DID not in document
    assert "3a" not in json.loads(document).values()
    house.clock.advance(timedelta(days=30, seconds=1))
    await until(remembered, [])


async def test_a_source_that_names_nobody_takes_no_name_and_no_label_away(house: House) -> None:
    case = await house.case()
    author = {"did": DID, "handle": "mona.example", "displayName": "Mona", "labels": [{"val": "impersonation"}]}
    record = json.loads(line("3a"))["commit"]["record"] | {"labels": {"values": [{"val": "self-harm"}]}}
    post = {
        "uri": f"at://{DID}/app.bsky.feed.post/3a",
        "author": author,
        "record": record,
        "labels": [{"val": "!hide"}],
    }
    await bring(house, case, json.dumps({"posts": [post]}), "bluesky")
    await bring(house, case, line("3a", "update", "Edited #CleftLip"), "jetstream")
    (lead,) = await waiting(house)
    assert (lead["handle"], lead["name"], lead["text"]) == ("@mona.example", "Mona", "Edited #CleftLip")
    assert lead["labels"] == ["impersonation", "!hide", "self-harm"]
    assert (lead["source"], lead["looked_by"]) == ("bluesky", "jetstream")


async def test_a_moved_account_is_known_by_both_names_and_shown_by_the_new(house: House) -> None:
    case = await house.case()
    new = {"acct": "noor@new.example", "url": "https://new.example/@noor"}
    await bring(house, case, json.dumps([mastodon(1, **account(moved=new))]))
    (lead,) = await waiting(house)
    assert (lead["handle"], lead["profile"]) == ("@noor@new.example", "https://new.example/@noor")
    await house.clear(lead["lead_id"])
    at_home = mastodon(2, user="noor", url="https://new.example/@noor/2")
    at_home["account"]["url"] = "https://new.example/@noor"
    report = await bring(house, case, json.dumps([at_home, mastodon(3)]))
    assert report["ignored_because"] == {"asked-before": 2}


async def test_a_decided_lead_stays_as_it_was_decided(house: House) -> None:
    case = await house.case()
    await bring(house, case, json.dumps([mastodon(1)]))
    lead = (await waiting(house))[0]["lead_id"]
    await house.clear(lead)
    await bring(house, case, json.dumps([mastodon(1, **account(noindex=True)), mastodon(1, visibility="private")]))
    assert await state_of(house, lead) == "cleared"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"data": [{"id": "1", "text": "a post of another network"}]}', "could not read its only entry"),
        ('{"data": [{"id": "1"}, {"id": "2"}]}', "could not read any of its 2 entries"),
        ('{"data": []}', "it contains no posts"),
        ('{"data": {"user": {"name": "Noor"}}}', "not from a platform we know"),
        ('{"posts": {"count": 0}}', "not from a platform we know"),
    ],
)
async def test_a_file_in_which_nothing_could_be_read_never_says_nothing_new(
    house: House, content: str, said: str
) -> None:
    case = await house.case()
    async with house.browser() as tutor:
        page = (await tutor.post(f"/cases/{case}/import", files={"file": ("posts.json", content)})).text
    assert said in page
    assert "nothing new" not in page


async def test_the_page_of_a_lead_shows_labels_the_last_look_and_why_it_lapsed(house: House) -> None:
    case = await house.case()
    await bring(house, case, line("3a"), "jetstream")
    (lead,) = await waiting(house)
    async with house.browser() as tutor:
        page = (await tutor.get(f"/leads/{lead['lead_id']}")).text
        assert "Last looked at" in page
        assert "This source gives no labels" in page
        author = {"did": DID, "handle": "mona.example", "labels": [{"val": "impersonation"}]}
        record = json.loads(line("3a"))["commit"]["record"]
        post = {"uri": f"at://{DID}/app.bsky.feed.post/3a", "author": author, "record": record}
        await bring(house, case, json.dumps({"posts": [post]}), "bluesky")
        page = (await tutor.get(f"/leads/{lead['lead_id']}")).text
        assert "impersonation" in page
        assert "This source gives no labels" not in page
        await bring(house, case, line("3a", "delete"), "jetstream")
        assert "The author deleted the post." in (await tutor.get(f"/leads/{lead['lead_id']}")).text


async def test_the_report_names_every_reason_in_words(house: House) -> None:
    case = await house.case()
    await bring(house, case, line("3a", "delete"), "jetstream")
    statuses = [mastodon(1, **account(memorial=True)), mastodon(2, **account(group=True)), mastodon(3, user="omar")]
    async with house.browser() as tutor:
        page = (await tutor.post(f"/cases/{case}/import", files={"file": ("a.json", json.dumps(statuses))})).text
        assert "from a memorial account" in page
        assert "from a group" in page
        page = (await tutor.post(f"/cases/{case}/import", files={"file": ("a.jsonl", line("3a"))})).text
        assert "deleted before it was imported" in page


async def test_a_lead_that_was_added_by_hand_keeps_its_note_and_needs_no_hashtag(house: House) -> None:
    case = await house.case()
    given = {"address": mastodon(1)["url"], "note": "a friend of the clinic"}
    lead = await house.call("POST", f"/cases/{case}/nominations", given)
    await bring(house, case, json.dumps([mastodon(1)]))
    await bring(house, case, json.dumps([mastodon(1, tags=[], content="<p>about bread</p>")]))
    (found,) = await waiting(house)
    assert found["lead_id"] == lead["lead_id"]
    assert found["text"] == "a friend of the clinic"


async def test_a_server_that_falls_behind_ends_no_account(house: House) -> None:
    case = await house.case()
    await bring(house, case, line("3a"), "jetstream")
    assert (await bring(house, case, ended("desynchronized"), "jetstream"))["lapsed"] == 0
    assert len(await waiting(house)) == 1


def test_a_label_is_taken_back_by_its_own_source_only() -> None:
    labels = [{"src": "did:a", "val": "!takedown"}, {"src": "did:b", "val": "!takedown", "neg": True}]
    author = {"did": DID, "handle": "mona.example", "labels": labels}
    post = {"uri": f"at://{DID}/app.bsky.feed.post/3a", "author": author, "record": {}}
    left_out = bluesky.read_post(post)
    assert isinstance(left_out, Ignored)
    assert left_out.because == "not-public"
