"""One invented example of every event, as it is on the wire: the story of contact CLP-014, and what surrounds it."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from firsthand.shared.events import AnyEvent
from firsthand.shared.identifiers import DEPLOYMENT

INSTITUTION: Final = "example-dental"
_DAY_ONE: Final = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def _id(what: str) -> str:
    return hashlib.sha256(f"example {what}".encode()).hexdigest()[:32]


def _at(days: int, hour: int = 9) -> str:
    return (_DAY_ONE + timedelta(days=days)).replace(hour=hour).isoformat().replace("+00:00", "Z")


CONTACT: Final = _id("contact")
TUTOR: Final = _id("tutor")
STUDENT: Final = _id("student")
_ENDPOINT: Final = _id("endpoint")[:24]
_SHA256: Final = hashlib.sha256(b"example recording").hexdigest()
_TEXT: Final = f"3:{hashlib.sha256(b'example text').hexdigest()}"
_CASE_ID: Final = "clp-7071e1fac5ff"
_REFERENCE: Final = {
    "contact_id": CONTACT,
    "case_id": _CASE_ID,
    "reference": "CLP-014",
    "language": "en",
    "tutor_id": TUTOR,
}

_PREPARED: Final = {"state": "prepared"}
_SENT: Final = {"state": "sent", "sent_at": _at(1)}
_ANSWERED: Final = {"state": "answered", "answer": "yes", "sent_at": _at(1), "answered_at": _at(3)}
_LINKED: Final = {**_ANSWERED, "state": "linked"}
_NOTHING: Final[dict[str, Any]] = {"state": "none"}
_GRANTED: Final[dict[str, Any]] = {
    "state": "granted",
    "scopes": ["meet", "record-video", "share-cohort"],
    "text_version": _TEXT,
    "signer": "parent",
    "about_child": True,
    "granted_at": _at(4),
    "changed_at": _at(4),
    "expires_at": _at(4 + 730),
}
_RELEASED: Final = {**_GRANTED, "changed_at": _at(16), "released": True, "released_sha256": _SHA256}
_ENDED: Final = {"state": "withdrawn", "text_version": _TEXT, "signer": "parent", "about_child": True}
_WITHDRAWN: Final = {**_ENDED, "changed_at": _at(30), "withdrawn_at": _at(30), "erase_at": _at(33)}
_ERASURE: Final = _id("erasure")


def _consent(invitation: dict[str, Any], consent: dict[str, Any]) -> dict[str, Any]:
    return {"contact": _REFERENCE, "invitation": invitation, "consent": consent}


def _meeting(state: str, **more: Any) -> dict[str, Any]:
    return {"contact": _REFERENCE, "state": state, **more}


def _recording(state: str, **more: Any) -> dict[str, Any]:
    return {"contact": _REFERENCE, "state": state, **more}


def _erased(service: str, erased: list[str], *, kept: tuple[str, ...] = (), left: tuple[str, ...] = ()) -> Any:
    return {
        "contact_id": CONTACT,
        "erasure_id": _ERASURE,
        "service": service,
        "erased": erased,
        "kept": list(kept),
        "out_of_reach": list(left),
    }


def _endpoint(state: str, **more: Any) -> dict[str, Any]:
    return {"endpoint_id": _ENDPOINT, "state": state, "event_types": ["consent.*", "erasure.requested"], **more}


def _owed(**more: Any) -> dict[str, Any]:
    asked = {"endpoint_id": _ENDPOINT, "consumer": "Learning platform", "because": "withdrawn", "asked_at": _at(30)}
    return {"contact": _REFERENCE, "obligations": [{**asked, **more}]}


_TIMES: Final = {"starts_at": _at(10, 15), "ends_at": _at(10, 16)}
_HELD: Final = {**_TIMES, "held_from": _at(10, 15), "held_until": _at(10, 16)}
_FILE: Final = {"media": "video", "duration_seconds": 1742.5, "bytes": 209_715_200, "sha256": _SHA256}
_KEPT: Final = {**_FILE, "held_at": _at(12)}
_OPEN: Final = {**_KEPT, "released_at": _at(16), "expires_at": _at(16 + 730), "audience": ["share-cohort"]}

# By type: the day of the story, who did it, what it is about, its sequence, and the data.
_STORY: Final[dict[str, tuple[int, str, str, int, dict[str, Any]]]] = {
    "institution.changed": (
        0,
        TUTOR,
        INSTITUTION,
        7,
        {
            "slug": INSTITUTION,
            "name": "Example School of Dentistry",
            "country": "QA",
            "zone": "Asia/Qatar",
            "languages": ["en", "ar"],
            "website": "https://dental.example.edu",
            "account": "@learn.dental.example.edu",
            "verify_address": "https://dental.example.edu/firsthand",
            "reply_address": "firsthand@dental.example.edu",
        },
    ),
    "person.changed": (
        0,
        "system",
        STUDENT,
        2,
        {"person_id": STUDENT, "roles": ["student"], "cohorts": ["dent-2028"], "active": True},
    ),
    "session.ended": (0, "system", _id("session"), 1, {"session_id": _id("session")}),
    "case.changed": (
        0,
        TUTOR,
        _CASE_ID,
        4,
        {
            "case_id": _CASE_ID,
            "prefix": "CLP",
            "title": "Feeding with a cleft lip and palate",
            "condition": {"en": "cleft lip and palate"},
            "languages": ["en", "ar"],
            "cohorts": ["dent-2028"],
            "tutors": [TUTOR],
            "approvals": [
                {"kind": "ethics", "number": "EX-2026-114", "expires_at": _at(300)},
                {"kind": "data-protection", "number": "DP-2026-031", "expires_at": _at(300)},
            ],
            "safeguarding_contact": TUTOR,
            "state": "open",
        },
    ),
    "contact.discovered": (
        0, TUTOR, CONTACT, 1, {"contact": _REFERENCE, "platform": "bluesky", "state": "discovered"},
    ),
    "invitation.prepared": (0, "system", CONTACT, 1, _consent(_PREPARED, _NOTHING)),
    "invitation.sent": (1, TUTOR, CONTACT, 2, _consent(_SENT, _NOTHING)),
    "invitation.answered": (3, TUTOR, CONTACT, 3, _consent(_ANSWERED, _NOTHING)),
    "invitation.linked": (3, TUTOR, CONTACT, 4, _consent(_LINKED, _NOTHING)),
    "invitation.expired": (22, "system", CONTACT, 3, _consent({"state": "expired", "sent_at": _at(1)}, _NOTHING)),
    "consent.granted": (4, "family", CONTACT, 5, _consent(_LINKED, _GRANTED)),
    "consent.declined": (
        4,
        "family",
        CONTACT,
        5,
        _consent({**_LINKED, "state": "closed", "closed_because": "declined"}, {"state": "declined"}),
    ),
    "consent.changed": (
        6,
        "family",
        CONTACT,
        6,
        _consent(_LINKED, {**_GRANTED, "scopes": ["meet"], "changed_at": _at(6)}),
    ),
    "consent.released": (16, "family", CONTACT, 7, _consent(_LINKED, _RELEASED)),
    "consent.withdrawn": (30, "family", CONTACT, 8, _consent(_LINKED, _WITHDRAWN)),
    "erasure.requested": (33, "system", CONTACT, 9, _consent(_LINKED, {**_WITHDRAWN, "erasure_id": _ERASURE})),
    "erasure.completed": (
        33,
        "system",
        CONTACT,
        10,
        _consent(
            {"state": "closed", "closed_because": "withdrawn"},
            {
                "state": "erased",
                "erasure_id": _ERASURE,
                "erased_by": ["archive", "discovery", "scheduling", "webhooks"],
            },
        ),
    ),
    "page.locked": (4, "family", _id("page"), 1, {"session_id": _id("page")}),
    "calendar.changed": (
        8,
        "family",
        TUTOR,
        12,
        {"tutor_id": TUTOR, "reservations": [{"contact_id": CONTACT, **_TIMES}]},
    ),
    "meeting.offered": (4, "system", CONTACT, 1, _meeting("offered")),
    "meeting.scheduled": (8, "family", CONTACT, 2, _meeting("scheduled", **_TIMES)),
    "meeting.finished": (
        10,
        TUTOR,
        CONTACT,
        3,
        _meeting("finished", **_HELD, recording="expected", participants=[TUTOR, STUDENT]),
    ),
    "meeting.told": (
        12,
        "system",
        CONTACT,
        4,
        _meeting("finished", **_HELD, recording="expected", telling={"of": "recording", "how": "by-hand"}),
    ),
    "meeting.cancelled": (9, "family", CONTACT, 3, _meeting("cancelled", **_TIMES, cancelled_by="family")),
    "scheduling.erased": (33, "system", CONTACT, 5, _erased("scheduling", ["mail", "meeting"])),
    "recording.awaited": (10, "system", CONTACT, 1, _recording("awaited")),
    "recording.archived": (12, TUTOR, CONTACT, 2, _recording("held", **_KEPT)),
    "recording.published": (16, "system", CONTACT, 3, _recording("released", **_OPEN)),
    "recording.changed": (
        20,
        "system",
        CONTACT,
        4,
        _recording("released", **{**_OPEN, "audience": ["share-cohort", "share-institution"]}),
    ),
    "recording.withdrawn": (30, "system", CONTACT, 5, _recording("withdrawn", **_KEPT)),
    "discovery.erased": (
        33, "system", CONTACT, 2, _erased("discovery", ["handle", "post"], kept=("suppression-mark",)),
    ),
    "archive.erased": (33, "system", CONTACT, 6, _erased("archive", ["media"])),
    "endpoint.changed": (0, TUTOR, _ENDPOINT, 1, _endpoint("active")),
    "endpoint.disabled": (
        25,
        "system",
        _ENDPOINT,
        3,
        _endpoint("disabled", disabled_because="failing", failing_since=_at(20)),
    ),
    "endpoint.tested": (0, TUTOR, _ENDPOINT, 2, _endpoint("active")),
    "obligation.opened": (30, "system", CONTACT, 3, _owed()),
    "obligation.answered": (31, "system", CONTACT, 4, _owed(answer="deleted", answered_at=_at(31))),
    "service.impaired": (
        5,
        "system",
        "scheduling",
        1,
        {
            "service": "scheduling",
            "problems": [],
            "impaired": ["Mail cannot be sent: the mail server refuses the password."],
            "versions": ["0.2.0"],
            "since": _at(5),
        },
    ),
    "service.recovered": (
        5,
        "system",
        "scheduling",
        2,
        {"service": "scheduling", "problems": [], "impaired": [], "versions": ["0.2.0"], "since": _at(5, 10)},
    ),
    "webhooks.erased": (
        33,
        "system",
        CONTACT,
        5,
        _erased("webhooks", ["deliveries"], kept=("obligations",), left=("delivered-events",)),
    ),
}  # fmt: skip


def example_of(event: type[AnyEvent]) -> AnyEvent:
    """Give the example of an event. Raises KeyError for one that has none."""
    day, actor, subject, sequence, data = _STORY[f"{event.entity}.{event.name}"]
    institution = DEPLOYMENT if event.entity == "service" else INSTITUTION
    return event.model_validate(
        {
            "id": _id(event.event_type()),
            "type": event.event_type(),
            "source": f"/institutions/{institution}/{event.service}",
            "subject": subject,
            "time": _at(day),
            "institution": institution,
            "correlationid": subject,
            "actor": actor,
            "sequence": f"{sequence:010}",
            "data": data,
        }
    )


__all__ = ["example_of"]
