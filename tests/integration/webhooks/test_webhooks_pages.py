"""The pages of webhooks as coordinators meet them, without JavaScript; and the mails."""

import email
import email.policy
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.integration.webhooks.house import AKL, House
from tests.receiver import Receiver, Reply

FORM = {
    "url": "https://lms.example.org/hook",
    "name": "Learning platform",
    "types": ["consent.*"],
    "parallel": "4",
    "contact": "lms@example.org",
    "headers": "Authorization: Bearer canary",
}


async def visit(house: House, path: str, role: Any = "coordinator", **more: Any) -> httpx.Response:
    token = house.issuer.staff(more.pop("institution", "qu-cdm"), "coord1", roles=frozenset({role}))
    headers = {"Cookie": f"fh_staff={token}", "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    method = "POST" if "data" in more else "GET"
    return await house.http.request(method, f"/webhooks{path}", headers=headers, **more)


async def added(house: House, **more: Any) -> tuple[str, str]:
    """Add an endpoint by its form; give its id and its secret."""
    page = await visit(house, "/endpoints/new", data=FORM | more)
    assert page.status_code == 200, page.text
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", page.text)
    (endpoint_id,) = set(re.findall(r"/webhooks/endpoints/([0-9a-f]{24})", page.text))
    return endpoint_id, secret


async def test_the_empty_page_says_what_webhooks_are_for(house: House) -> None:
    page = await visit(house, "/endpoints")
    assert "No system is connected yet" in page.text
    assert "/webhooks/endpoints/new" in page.text


async def test_an_endpoint_is_added_changed_and_removed_and_its_secret_is_seen_once(house: House) -> None:
    endpoint_id, secret = await added(house)
    where = f"/endpoints/{endpoint_id}"
    for path in ("/endpoints", where, f"{where}/edit", f"{where}/remove"):
        page = await visit(house, path)
        assert page.status_code == 200
        assert "Learning platform" in page.text
        assert secret not in page.text
        assert "canary" not in page.text
    changed = FORM | {"name": "Register", "headers": "Authorization\nX-New: 1", "a_second": "7", "ordered": "yes"}
    assert (await visit(house, f"{where}/edit", data=changed)).headers["location"].endswith("?shown=changed")
    one = (await house.call("GET", where)).json()
    assert (one["name"], one["a_second"], one["ordered"]) == ("Register", 7, True)
    assert one["header_names"] == ["Authorization", "X-New"]
    assert (await visit(house, f"{where}/remove", data={})).headers["location"] == "/webhooks/endpoints?shown=removed"
    assert (await visit(house, where)).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"url": "http://lms.example.org"}, "must start with https://"),
        ({"url": "https://10.1.2.3/"}, "private network"),
        ({"types": []}, "Choose at least one event type"),
        ({"types": ["nonsense"]}, "Choose event types from the list"),
        ({"contact": "nobody"}, "valid email address"),
        ({"headers": "no colon"}, "Name: value"),
        ({"headers": "Host: x"}, "set by Firsthand"),
        ({"parallel": "many"}, "whole number"),
        ({"parallel": "99"}, "1 to 32"),
        ({"a_second": "5000"}, "1 to 1000"),
        ({"cases": ["another"]}, "Choose cases from the list"),
        ({"name": "\u200b\u202e"}, None),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_that_was_typed_is_lost(
    house: House, wrong: dict[str, Any], says: str | None
) -> None:
    page = await visit(house, "/endpoints/new", data=FORM | {"description": "kept note"} | wrong)
    if says is None:  # what cannot be seen is left out, and the host takes the name's place
        assert page.status_code == 200
        assert "lms.example.org" in page.text
        return
    assert page.status_code == 422, page.text
    assert says in page.text
    assert "kept note" in page.text
    assert "There is a problem" in page.text


async def test_a_delivery_shows_every_attempt_the_event_and_a_command_to_try_it(
    house: House, receiver: Receiver
) -> None:
    endpoint_id, _ = await added(house, url=receiver.url)
    receiver.replies = [Reply(500, body="<script>canary</script> ـ".encode())]
    body = await house.grant()
    await receiver.got(1)

    async def noted() -> bool:
        return bool((await house.deliveries(endpoint_id))[0]["attempts"])

    await house.eventually(noted)
    (one,) = await house.deliveries(endpoint_id)
    page = await visit(house, f"/endpoints/{endpoint_id}/deliveries/{one['delivery_id']}")
    assert "&lt;script&gt;canary" in page.text
    assert "HTTP 500" in page.text
    assert "curl http://localhost:8000/webhooks" in page.text
    assert "canary" not in (await visit(house, f"/endpoints/{endpoint_id}")).text
    assert house.clock.now().strftime("%Y") in page.text
    await visit(house, f"/endpoints/{endpoint_id}/deliveries/{one['delivery_id']}/resend", data={})
    assert [received.body for received in await receiver.got(2)] == [body, body]


async def test_actions_of_the_page_do_what_they_say(house: House, receiver: Receiver) -> None:
    endpoint_id, secret = await added(house, url=receiver.url)
    where = f"/endpoints/{endpoint_id}"
    assert (await visit(house, f"{where}/test", data={})).headers["location"].endswith("?shown=tested")
    await receiver.got(1)
    assert (await visit(house, f"{where}/pause", data={})).headers["location"].endswith("?shown=paused")
    refused = await visit(house, f"{where}/test", data={})
    assert (refused.status_code, "not active" in refused.text) == (409, True)
    assert (await visit(house, f"{where}/resume", data={})).headers["location"].endswith("?shown=resumed")
    rotated = await visit(house, f"{where}/rotate", data={"hours": "٢٤"})  # in Arabic digits
    assert re.findall(r"whsec_[A-Za-z0-9+/=]+", rotated.text) not in ([], [secret])
    assert (await visit(house, f"{where}/rotate", data={"hours": "999"})).status_code == 422
    for since, location in (("2026-11-26T00:00", "?shown=nothing"), ("yesterday", None), ("9999-12-31T00:00", None)):
        answer = await visit(house, f"{where}/recover", data={"since": since})
        if location:
            assert answer.headers["location"].endswith(location), since
        else:
            assert answer.status_code in {303, 422}, since


async def test_answers_owed_are_listed_and_recorded_by_hand(house: House, receiver: Receiver) -> None:
    endpoint_id, _ = await added(house, url=receiver.url)
    await house.grant()
    await receiver.got(1)
    await house.publish(house.consent("ConsentWithdrawnV1", "withdrawn"))
    await receiver.got(2)
    page = await visit(house, "/answers-owed")
    assert "CLP-c1" in page.text
    assert "no answer yet" in page.text
    answer = await visit(house, f"/answers-owed/c1/{endpoint_id}", data={"answer": "deleted"})
    assert answer.headers["location"] == "/webhooks/answers-owed?shown=answered"
    assert "No answers are owed" in (await visit(house, "/answers-owed")).text


async def test_only_coordinators_of_the_institution_see_any_of_it(house: House) -> None:
    endpoint_id, _ = await added(house)
    for path in ("/endpoints", f"/endpoints/{endpoint_id}", "/answers-owed", "/endpoints/new"):
        for role in ("tutor", "student"):
            assert (await visit(house, path, role)).status_code == 403, (path, role)
    assert (await visit(house, f"/endpoints/{endpoint_id}", institution=AKL)).status_code == 404
    assert "Learning platform" not in (await visit(house, "/endpoints", institution=AKL)).text


@pytest.mark.parametrize(("code", "direction"), [("ar", "rtl"), ("es", "ltr")])
async def test_every_page_speaks_the_visitors_language(house: House, code: str, direction: str) -> None:
    endpoint_id, _ = await added(house)
    for path in ("/endpoints", "/endpoints/new", f"/endpoints/{endpoint_id}", "/answers-owed"):
        page = await visit(house, path, params={"lang": code})
        assert f'<html lang="{code}" dir="{direction}">' in page.text
        assert "Deliveries" not in page.text


async def test_whoever_looks_after_a_disabled_endpoint_gets_one_mail(house: House, receiver: Receiver) -> None:
    endpoint_id, _ = await added(house, url=receiver.url)
    receiver.always = Reply(410)
    await house.grant()

    async def disabled() -> bool:
        return bool((await house.call("GET", f"/endpoints/{endpoint_id}")).json()["state"] == "disabled")

    await house.eventually(disabled)
    for _ in range(2):
        house.clock.advance(timedelta(minutes=1))
        await house.deployment.running["webhooks"].timers.look()
    (letter,) = await mails(house)
    assert letter["To"] == "lms@example.org"
    assert "Learning platform" in letter["Subject"]
    assert f"/webhooks/endpoints/{endpoint_id}" in letter.get_content()


async def test_an_answer_that_does_not_come_is_asked_for_again_twice(house: House, receiver: Receiver) -> None:
    await added(house, url=receiver.url)
    await house.grant()
    await receiver.got(1)
    await house.publish(house.consent("ConsentWithdrawnV1", "withdrawn"))
    await receiver.got(2)
    timers = house.deployment.running["webhooks"].timers
    for days, count in ((2, 0), (1, 1), (1, 1), (3, 1), (5, 1)):  # nobody told us the institution's mailbox
        house.clock.advance(timedelta(days=days, minutes=1))
        await timers.look()
        assert len(await mails(house)) == count, days
    (letter,) = await mails(house)
    assert (letter["To"], "owes an answer" in letter["Subject"]) == ("lms@example.org", True)
    assert "CLP" not in letter.as_string()


async def mails(house: House) -> list[Any]:
    folder = house.context.settings.mail
    found = sorted(folder.rglob("*.eml")) if folder.is_dir() else []
    return [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in found]
