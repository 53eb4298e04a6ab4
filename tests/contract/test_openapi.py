"""The HTTP interfaces are a contract: described whole, and only growing inside a version."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from firsthand.services.__main__ import SERVICES
from firsthand.shared.web.contract import breaks
from firsthand.shared.web.openapi import describe

FOLDER = Path(__file__).parents[2] / "docs" / "openapi"
DOCUMENTS = {name: describe(name, service.router) for name, service in SERVICES.items()}
OPERATIONS = [
    (name, path, method, operation)
    for name, document in DOCUMENTS.items()
    for path, methods in document["paths"].items()
    for method, operation in methods.items()
]

PUBLIC = {
    ("portal", "/api/v1/sign-in"),
    ("consent", "/api/v1/links/open"),
    ("webhooks", "/api/v1/answers/{institution}/{contact_id}/{endpoint_id}/{token}"),
}


def said(operation: tuple[str, str, str, Any]) -> str:
    service, path, method, _ = operation
    return f"{method.upper()} /{service}{path}"


def shape(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


@pytest.mark.parametrize("service", DOCUMENTS)
def test_what_is_committed_is_what_the_routes_say(service: str) -> None:
    """`firsthand openapi` renews it."""
    assert json.loads((FOLDER / f"{service}.json").read_text()) == json.loads(json.dumps(DOCUMENTS[service]))


def test_every_operation_says_what_it_answers() -> None:
    untyped = [
        said(one)
        for one in OPERATIONS
        for status, answer in one[3]["responses"].items()
        if status.startswith("2") and status not in {"202", "204"} and "headers" not in answer
        if not any(content.get("schema") for content in answer.get("content", {}).values())
    ]
    assert untyped == []


def test_no_json_answer_is_an_object_of_anything() -> None:
    def vague(schema: dict[str, Any]) -> bool:
        return (
            schema.get("type") == "object" and "properties" not in schema and schema.get("additionalProperties") is True
        )

    found = [
        said(one)
        for one in OPERATIONS
        for status, answer in one[3]["responses"].items()
        if status.startswith("2") and vague(answer.get("content", {}).get("application/json", {}).get("schema", {}))
    ]
    assert found == []


def test_every_operation_says_who_may_ask_and_what_it_answers_to_others() -> None:
    for one in OPERATIONS:
        service, path, method, operation = one
        public = (service, path) in PUBLIC or method == "options"
        assert bool(operation["security"]) != public, said(one)
        assert ("401" in operation["responses"]) != public, said(one)
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")) and status != "416":
                assert answer["content"].keys() == {"application/problem+json"}, (said(one), status)


def test_operation_ids_are_unique_and_no_page_is_described() -> None:
    for document in DOCUMENTS.values():
        ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
        assert len(ids) == len(set(ids))
        assert all(path.startswith(("/api/v1/", "/media/", "/family/media")) for path in document["paths"])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d["paths"].pop("/api/v1/family"), "GET /api/v1/family is gone"),
        (lambda d: d["components"]["schemas"]["FamilyMeetingOut"]["properties"].pop("join_url"), "`join_url` is gone"),
        (lambda d: shape(d, "FamilyMeetingOut")["required"].remove("zone"), "`zone` may now be absent"),
        (
            lambda d: d["components"]["schemas"]["FamilyMeetingOut"]["properties"]["confirmed"].update(type="string"),
            "has another type",
        ),
        (lambda d: d["components"]["schemas"]["BookingBody"]["properties"].pop("zone"), "`zone` of the body is gone"),
        (lambda d: d["components"]["schemas"]["CancelBody"].update(required=["reason"]), "`reason` of the body"),
        (lambda d: shape(d, "BookingBody")["required"].append("age"), "`age` of the body is newly required"),
        (
            lambda d: d["paths"]["/api/v1/family/slots"]["get"]["parameters"][0].update(required=True),
            "is newly required",
        ),
    ],
)  # fmt: skip
def test_what_would_break_a_client_is_found(change: Any, what: str) -> None:
    old = json.loads(json.dumps(DOCUMENTS["scheduling"]))
    new = copy.deepcopy(old)
    change(new)
    assert list(breaks(old, old)) == []
    assert [text for text in breaks(old, new) if what in text]
