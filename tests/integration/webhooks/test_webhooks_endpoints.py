"""Endpoints over the API: what is shown, what is refused and why, and whose they are."""

from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest

from tests.integration.webhooks.house import AKL, House
from tests.receiver import Receiver

URL = "https://lms.example.org/hook"


async def test_the_secret_is_shown_once_and_header_values_never(house: House) -> None:
    added = await house.add(URL, headers={"Authorization": "Bearer canary"}, contact="lms@example.org")
    assert added["secret"].startswith("whsec_")
    assert added["public_key"].startswith("whpk_")
    shown = await house.call("GET", f"/endpoints/{added['endpoint_id']}")
    assert added["secret"] not in shown.text
    assert "canary" not in shown.text
    assert (shown.json()["url"], shown.json()["contact"], shown.json()["header_names"]) == (
        URL,
        "lms@example.org",
        ["Authorization"],
    )
    for path in house.context.settings.databases.glob("webhooks.db*"):
        kept = path.read_bytes()
        assert not any(one.encode() in kept for one in (URL, "canary", added["secret"], "lms@example.org"))


async def test_headers_of_the_institution_go_along_and_never_in_place_of_ours(house: House, receiver: Receiver) -> None:
    await house.add(receiver.url, headers={"X-Key": "7", "Authorization": "Bearer 1"})
    await house.grant()
    (received,) = await receiver.got(1)
    assert (received.headers["x-key"], received.headers["authorization"]) == ("7", "Bearer 1")
    for name in ("webhook-id", "Content-Length", "Host", "firsthand-answer-to", "Transfer-Encoding"):
        body = {"url": URL, "event_types": ["*"], "headers": {name: "1"}}
        assert (await house.call("POST", "/endpoints", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://lms.example.org/hook", "https://"),
        ("ftp://lms.example.org/", "web address"),
        ("https://10.0.0.1/hook", "private network"),
        ("https://169.254.169.254/latest/meta-data", "private network"),
        ("https://[::ffff:10.0.0.1]/", "private network"),
        ("https://[64:ff9b::7f00:1]/", "private network"),
        ("https://[2002:0a00:0001::]/", "private network"),
        ("https://user:pass@lms.example.org/", "user name"),
        ("https:///hook", "web address"),
        ("https://lms.example.org:99999/", "web address"),
        ("nonsense", "web address"),
        ("https://exa mple.org/", "web address"),
        ("", "web address"),
    ],
)
async def test_an_address_is_refused_with_the_reason(house: House, url: str, says: str) -> None:
    answer = await house.call("POST", "/endpoints", json={"url": url, "event_types": ["*"]})
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert (error["field"], says in error["text"]) == ("url", True), error


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"event_types": []}, "event_types"),
        ({"event_types": ["consent.eaten"]}, "event_types"),
        ({"event_types": ["session.ended"]}, "event_types"),
        ({"event_types": ["person.*"]}, "event_types"),
        ({"cases": ["nobody-knows"]}, "cases"),
        ({"contact": "not an address"}, "contact"),
        ({"headers": {"a b": "1"}}, "headers"),
        ({"headers": {"a": "é"}}, "headers"),
        ({"name": "***"}, "name"),
    ],
)
async def test_what_cannot_be_is_refused_by_field(house: House, given: dict[str, Any], field: str) -> None:
    answer = await house.call("POST", "/endpoints", json={"url": URL, "event_types": ["*"]} | given)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_event_types_are_given_as_people_write_them_or_whole(house: House) -> None:
    types = ["firsthand.consent.granted.v1", "meeting.*", "consent.granted"]
    added = await house.add(URL, event_types=types)
    shown = (await house.call("GET", f"/endpoints/{added['endpoint_id']}")).json()
    assert shown["event_types"] == ["consent.granted", "meeting.*"]
    known = (await house.call("GET", "/event-types")).json()["items"]
    assert "consent.withdrawn" in known
    assert not any(one.startswith(("session.", "person.", "page.", "calendar.")) for one in known)


async def test_what_is_left_out_of_a_change_stays(house: House) -> None:
    added = await house.add(URL, headers={"X-Key": "1"}, description="The platform", parallel=7)
    where = f"/endpoints/{added['endpoint_id']}"
    changed = await house.call("PATCH", where, json={"name": "Register", "a_second": 5})
    one = changed.json()
    assert (one["name"], one["a_second"], one["parallel"], one["description"]) == ("Register", 5, 7, "The platform")
    assert (one["url"], one["header_names"]) == (URL, ["X-Key"])
    assert (await house.call("PATCH", where, json={"a_second": 0, "headers": {}})).json()["header_names"] == []


async def test_another_institution_and_whoever_is_no_coordinator_find_nothing(house: House) -> None:
    added = await house.add(URL)
    where = f"/endpoints/{added['endpoint_id']}"
    paths = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/rotate")]
    paths += [("POST", "/test"), ("POST", "/recover"), ("GET", "/deliveries"), ("GET", "/deliveries/x-y")]
    for method, path in paths:
        body = {"since": "2026-01-01T00:00:00Z"} if path == "/recover" else {} if method != "GET" else None
        foreign = await house.call(method, where + path, institution=AKL, json=body)
        assert foreign.status_code == 404, (method, path)
        tutor = house.staff("tutor1", "tutor")
        refused = await house.http.request(method, f"/webhooks/api/v1{where}{path}", headers=tutor, json=body)
        assert refused.status_code == 403, (method, path)
    assert (await house.call("GET", "/endpoints", institution=AKL)).json() == {"items": []}
    assert (await house.call("GET", where)).status_code == 200


async def test_a_removed_endpoint_is_gone_with_its_secrets_and_deliveries(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    where = f"/endpoints/{added['endpoint_id']}"
    await house.grant()
    await house.until(added["endpoint_id"], "delivered")
    assert (await house.call("DELETE", where)).status_code == 204
    assert (await house.call("GET", where)).status_code == 404
    assert (await house.call("GET", where + "/deliveries")).status_code == 404
    await house.grant(contact="c2")
    house.clock.advance(timedelta(seconds=1))
    assert added["endpoint_id"] in await house.context.vault.erased(house.issuer and "qu-cdm")  # type: ignore[arg-type]


async def test_each_event_type_is_described_with_its_schema_and_a_valid_example(house: House) -> None:
    types = (await house.call("GET", "/event-types")).json()["items"]
    assert "consent.withdrawn" in types
    for type_ in types:
        told = (await house.call("GET", f"/event-types/{type_}")).json()
        assert told["description"]
        jsonschema_rs.validator_for(told["json_schema"], validate_formats=True).validate(told["example"])
    assert (await house.call("GET", "/event-types/session.ended")).status_code == 404
