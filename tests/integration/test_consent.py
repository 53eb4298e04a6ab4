"""Consent as a whole: its rules through the API, its timers, the bus."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest

from firsthand.services.consent.app import SERVICE
from firsthand.services.consent.pulse import SUBJECT
from firsthand.services.consent.repository import Journeys
from firsthand.shared.events.archive import ArchiveErasedV1, RecordingChangedV1, RecordingState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import CaseChangedV1, ContactDiscoveredV1, ContactState, ErasedState
from firsthand.shared.events.scheduling import MeetingFinishedV1, MeetingState
from firsthand.shared.topology import ERASURE_ANSWERS
from tests.consent_house import (
    NAME,
    SLUG,
    START,
    VIDEO,
    House,
    begin,
    case,
    decision,
    event,
    meet_institution,
    running,
)
from tests.patience import PATIENCE


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


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110 - what is awaited happens behind a server
            await asyncio.sleep(0.02)


# --- texts ------------------------------------------------------------------------------------------------------------


async def test_an_edited_text_needs_approval_again_and_the_approved_one_stays_in_use(house: House) -> None:
    edited = await house.api("PUT", "/cases/case-1/texts/en", {"purpose": "Only to teach."}, who=house.boss())
    assert (edited["number"], edited["state"]) == (2, "draft")
    await house.discover()
    shown = await house.api("GET", "/invitations/c1")
    assert shown["message"]["text_version"].startswith("1:")
    await house.api("POST", "/cases/case-1/texts/en/approve", {"number": "QU-1b"}, who=house.boss())
    shown = await house.api("GET", "/invitations/c1")
    assert shown["message"]["text_version"] == edited["text_version"]


async def test_only_what_was_read_can_be_approved(house: House) -> None:
    await house.api("PUT", "/cases/case-1/texts/en", {"purpose": "One."}, who=house.boss())
    stale = await house.api("GET", "/cases/case-1/texts", who=house.boss())
    await house.api("PUT", "/cases/case-1/texts/en", {"purpose": "Two."}, who=house.boss())
    body = {"number": "QU-2", "sha256": stale["texts"]["en"]["newest"]["sha256"]}
    refused = await house.api("POST", "/cases/case-1/texts/en/approve", body, who=house.boss(), ok=False)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:firsthand:consent:edited"


@pytest.mark.parametrize(
    ("field", "words", "code"),
    [
        ("first_message", "See https://school.example", "link-in-message"),
        ("reminder", "About your Cleft Lip and Palate", "names-condition"),
        ("purpose", "For {everybody}", "unknown-place"),
        ("purpose", "", "not-right"),
    ],
)
async def test_a_text_that_breaks_a_rule_is_refused(house: House, field: str, words: str, code: str) -> None:
    refused = await house.api("PUT", "/cases/case-1/texts/en", {field: words}, who=house.boss(), ok=False)
    assert refused.status_code == 422
    assert refused.json()["type"].endswith(code)


async def test_an_earlier_signers_record_never_changes_when_a_text_is_edited(house: House) -> None:
    _, family = await house.granted()
    before = await house.api("GET", "/family/receipt", who=family)
    await house.api("PUT", "/cases/case-1/texts/en", {"purpose": "Something else."}, who=house.boss())
    await house.api("POST", "/cases/case-1/texts/en/approve", {"number": "QU-2"}, who=house.boss())
    after = await house.api("GET", "/family/receipt", who=family)
    assert {**after, "header": None} == {**before, "header": None}
    assert "only to teach" in after["processing"]["privacy_notice"]["text"]["purpose"]


# --- invitations ------------------------------------------------------------------------------------------------------


async def test_without_approvals_nothing_can_be_copied_or_sent(bare: House) -> None:
    await bare.tell(event(CaseChangedV1, "case-1", case(approvals=[])), "keep_case")
    await bare.discover()
    shown = await bare.api("GET", "/invitations/c1")
    assert shown["message"] is None
    assert [reason["code"] for reason in shown["blocked_because"]] == ["not-approved", "text-not-approved"]
    assert (await bare.api("POST", "/invitations/c1/sent", ok=False)).status_code == 409


async def test_when_an_approval_ends_nothing_more_is_sent_and_no_link_made(house: House) -> None:
    await house.discover()
    await house.api("POST", "/invitations/c1/sent")
    house.clock.advance(timedelta(days=6))
    await house.api("POST", "/invitations/c1/answer", {"answer": "yes"})
    ended = case(approvals=[a.model_copy(update={"expires_at": START}) for a in case().approvals])
    await house.tell(event(CaseChangedV1, "case-1", ended, 2), "keep_case")
    refused = await house.api("POST", "/invitations/c1/link", ok=False)
    assert refused.json()["type"].endswith("approval-ended")


async def test_a_contact_whose_language_has_no_text_is_written_to_in_english_and_the_tutor_is_told(
    house: House,
) -> None:
    await house.discover(language="ar")
    message = (await house.api("GET", "/invitations/c1"))["message"]
    assert (message["language"], message["fallback"]) == ("en", True)
    assert "QU Dental" in message["text"]


async def test_one_first_message_one_reminder_then_silence(house: House) -> None:
    await house.discover()
    await house.api("POST", "/invitations/c1/sent")
    too_soon = await house.api("POST", "/invitations/c1/sent", ok=False)
    assert too_soon.json()["type"].endswith("too-soon")
    await house.time_passes(days=5)
    shown = await house.api("GET", "/invitations/c1")
    assert (shown["reminder_due"], shown["message"]["which"]) == (True, "reminder")
    await house.api("POST", "/invitations/c1/sent")
    again = await house.api("POST", "/invitations/c1/sent", ok=False)
    assert again.json()["type"].endswith("reminded")
    await house.time_passes(days=22)
    assert (await house.api("GET", "/invitations/c1"))["state"] == "expired"
    await house.time_passes(days=8)
    assert (await house.api("GET", "/invitations/c1"))["state"] == "erasing"


async def test_what_was_copied_is_what_was_sent_also_if_a_newer_text_was_approved_meanwhile(house: House) -> None:
    await house.discover()
    message = (await house.api("GET", "/invitations/c1"))["message"]
    await house.api("PUT", "/cases/case-1/texts/en", {"reminder": "Hello again."}, who=house.boss())
    await house.api("POST", "/cases/case-1/texts/en/approve", {"number": "QU-2"}, who=house.boss())
    copied = {"language": message["language"], "text_version": message["text_version"]}
    await house.api("POST", "/invitations/c1/sent", copied)
    assert (await house.journey()).invitation.text_version == message["text_version"]


@pytest.mark.parametrize("answer", ["no", "wrong-person"])
async def test_a_no_is_final(house: House, answer: str) -> None:
    await house.discover()
    await house.api("POST", "/invitations/c1/sent")
    await house.api("POST", "/invitations/c1/answer", {"answer": answer})
    for path, body in (("sent", None), ("answer", {"answer": "yes"}), ("link", None)):
        refused = await house.api("POST", f"/invitations/c1/{path}", body, ok=False)
        assert refused.status_code == 409
    await house.time_passes(days=8)
    assert (await house.journey()).consent.erasure_id


async def test_a_tutor_sees_only_whom_it_guides(house: House) -> None:
    await house.discover()
    other = house.staff("tutor-2")
    assert (await house.api("GET", "/invitations/c1", who=other, ok=False)).status_code == 404
    assert (await house.api("GET", "/invitations", who=other))["invitations"] == []
    assert len((await house.api("GET", "/invitations?state=prepared"))["invitations"]) == 1


async def test_a_new_link_voids_the_old_one(house: House) -> None:
    token, _ = await house.linked()
    fresh = (await house.api("POST", "/invitations/c1/link"))["url"].rsplit("/", 1)[1]
    assert (await house.api("POST", "/links/open", {"institution": SLUG, "token": token}, ok=False)).status_code == 404
    await house.family(fresh)


async def test_guessing_links_is_slowed_down_and_the_right_link_opens_all_the_same(house: House) -> None:
    token, _ = await house.linked()
    body = {"institution": SLUG, "token": "x" * 43}
    answers = [(await house.api("POST", "/links/open", body, ok=False)).status_code for _ in range(31)]
    assert answers == [404] * 30 + [429]
    assert (await house.api("POST", "/links/open", {"institution": SLUG, "token": token}))["session"]
    assert (await house.api("POST", "/links/open", body, ok=False)).status_code == 429


# --- decisions --------------------------------------------------------------------------------------------------------


async def test_a_yes_keeps_exactly_what_was_shown_and_seals_the_name(house: House) -> None:
    _, family = await house.granted()
    receipt = await house.api("GET", "/family/receipt", who=family)
    assert receipt["header"]["schema_version"] == "ISO/IEC TS 27560:2023"
    assert receipt["parties"][1]["name"] == NAME
    allowed = [one["purpose"] for one in receipt["processing"]["purposes"] if one["allowed"]]
    assert allowed == ["meet", "record-video", "record-audio", "share-cohort"]  # a picture has its sound
    assert "about 25 third-year students" in json.dumps(receipt)
    for file in house.context.settings.data.rglob("*"):
        assert not file.is_file() or b"Canary" not in file.read_bytes(), file


async def test_a_dependent_yes_without_what_it_needs_is_refused_in_plain_words(house: House) -> None:
    _, family = await house.linked()
    answer = await house.api("POST", "/family/decision", decision(meet=True, share_cohort=True), who=family, ok=False)
    assert answer.status_code == 422
    assert "needs a recording" in answer.json()["detail"]


async def test_a_child_that_does_not_want_it_decides_it(house: House) -> None:
    _, family = await house.linked()
    body = decision() | {"child_assent": "objects"}
    assert (await house.api("POST", "/family/decision", body, who=family, ok=False)).status_code == 409


async def test_declining_is_final_and_what_we_know_is_erased(house: House) -> None:
    token, family = await house.linked()
    told = await house.api("POST", "/family/decline", who=family)
    assert told["consent"]["state"] == "declined"
    assert (await house.api("POST", "/family/decision", decision(), who=family, ok=False)).status_code == 409
    await house.time_passes(days=8)
    await house.erased_by("c1", *ERASURE_ANSWERS)
    assert (await house.api("GET", "/family", who=await house.family(token)))["stage"] == "erased"


async def test_pausing_leaves_nothing_in_force_and_resuming_brings_it_back(house: House) -> None:
    _, family = await house.granted()
    assert (await house.api("POST", "/family/pause", who=family))["consent"]["scopes"] == []
    told = await house.api("POST", "/family/resume", who=family)
    assert told["consent"]["scopes"] == ["meet", "record-video", "share-cohort"]


async def test_changing_takes_back_what_depends_on_it(house: House) -> None:
    _, family = await house.granted()
    told = await house.api("POST", "/family/change", {"scopes": {"record-video": False}}, who=family)
    assert told["consent"]["scopes"] == ["meet"]


async def test_a_family_chooses_when_everything_is_deleted_within_what_it_was_shown(house: House) -> None:
    token, family = await house.granted()
    told = await house.api("GET", "/family", who=family)
    latest = datetime.fromisoformat(told["latest_end"])
    assert told["consent"]["expires_at"] == told["latest_end"]
    sooner = START + timedelta(days=91)
    changed = await house.api("POST", "/family/until", {"until": sooner.isoformat()}, who=family)
    assert datetime.fromisoformat(changed["consent"]["expires_at"]) == sooner
    assert changed["consent"]["scopes"] == told["consent"]["scopes"]
    for wrong in (START + timedelta(hours=1), latest + timedelta(seconds=1), START - timedelta(days=1)):
        refused = await house.api("POST", "/family/until", {"until": wrong.isoformat()}, who=family, ok=False)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:firsthand:consent:until")
    for rubbish in ({}, {"until": "soon"}, {"until": "2027-01-01"}, {"until": 1, "x": 2}):
        assert (await house.api("POST", "/family/until", rubbish, who=family, ok=False)).status_code == 422
    back = await house.api("POST", "/family/until", {"until": latest.isoformat()}, who=family)
    assert datetime.fromisoformat(back["consent"]["expires_at"]) == latest

    await house.api("POST", "/family/until", {"until": sooner.isoformat()}, who=family)
    record = (await house.api("GET", "/family/receipt", who=family))["processing"]["retention"]
    assert datetime.fromisoformat(record["until"]) == sooner
    await house.time_passes(days=92)
    await house.erased_by("c1", *ERASURE_ANSWERS)
    ended = await house.api("GET", "/family", who=await house.family(token))
    assert ended["stage"] == "erased"


async def test_staff_can_log_less_but_never_more(house: House) -> None:
    _, family = await house.granted()
    more = {"scopes": {"share-public": True}, "how_told": "message on our account"}
    assert (await house.api("POST", "/consents/c1/change", more, ok=False)).status_code == 409
    less = {"scopes": {"share-cohort": False}, "how_told": "message on our account"}
    told = await house.api("POST", "/consents/c1/change", less)
    assert told["consent"]["scopes"] == ["meet", "record-video"]
    receipt = await house.api("GET", "/family/receipt", who=family)
    assert receipt["events"][-1]["entity"] == "staff"


async def test_only_the_recording_that_was_seen_is_released_and_none_that_is_wider_than_allowed(house: House) -> None:
    _, family = await house.granted(meet=True, record_audio=True, share_cohort=True)
    none = await house.api("POST", "/family/release", {"sha256": VIDEO}, who=family, ok=False)
    assert none.json()["type"].endswith("no-recording")
    await house.recorded(media="video")
    wider = await house.api("POST", "/family/release", {"sha256": VIDEO}, who=family, ok=False)
    assert wider.json()["type"].endswith("wider-than-allowed")
    await house.recorded(media="audio", sequence=2)
    other = await house.api("POST", "/family/release", {"sha256": "b" * 64}, who=family, ok=False)
    assert other.json()["type"].endswith("not-this-recording")
    told = await house.api("POST", "/family/release", {"sha256": VIDEO}, who=family)
    assert (told["consent"]["released"], told["consent"]["released_sha256"]) == (True, VIDEO)


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_a_withdrawal_can_be_undone_for_seven_days_with_everything_as_it_was(house: House) -> None:
    _, family = await house.granted()
    await house.recorded()
    await house.api("POST", "/family/release", {"sha256": VIDEO}, who=family)
    told = await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
    assert (told["consent"]["state"], told["consent"]["scopes"], told["consent"]["released"]) == (
        "withdrawn",
        [],
        False,
    )
    told = await house.api("POST", "/family/undo", who=family)
    assert (told["consent"]["state"], told["consent"]["released"]) == ("granted", True)


async def test_after_seven_days_deletion_begins_and_cannot_be_undone(house: House) -> None:
    token, family = await house.granted()
    await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
    await house.time_passes(days=7, seconds=1)
    assert (await house.journey()).stage == "erasing"
    answer = await house.api("POST", "/family/undo", who=await house.family(token), ok=False)
    assert answer.json()["type"].endswith("too-late")


async def test_the_certificate_says_that_copies_elsewhere_were_destroyed_in_whatever_order_it_is_told(
    house: House,
) -> None:
    token, family = await house.granted()
    await house.recorded()
    contact = (await house.journey()).contact
    await house.api("POST", "/family/withdraw", {"erase": "now"}, who=family)
    assert (await house.api("GET", "/family/certificate", who=family))["copies"] is None
    erasure_id = (await house.journey()).consent.erasure_id or ""
    gone = RecordingState(contact=contact, state="erased", copies="destroyed")
    erased = ErasedState(
        contact_id="c1", erasure_id=erasure_id, service="archive", erased=["media"], out_of_reach=["staff-copies"]
    )
    destroyed = event(RecordingChangedV1, "c1", gone, 8), "follow_recording"
    answer = event(ArchiveErasedV1, "c1", erased, 7), "note_archive_erased"
    await house.tell(*answer)
    asked = {"state": "to-destroy", "destroyed_at": None}
    assert (await house.api("GET", "/family/certificate", who=family))["copies"] == asked
    await house.tell(*destroyed)
    await house.tell(*destroyed)
    await house.tell(*answer)
    await house.erased_by("c1", *(service for service in ERASURE_ANSWERS if service != "archive"))
    proof = await house.api("GET", "/family/certificate", who=await house.family(token))
    assert proof["complete"]
    assert proof["copies"] == {"state": "destroyed", "destroyed_at": START.isoformat().replace("+00:00", "Z")}
    assert (await house.journey()).recording is None


async def test_delete_now_erases_everywhere_and_the_link_opens_a_certificate_for_three_years(house: House) -> None:
    token, family = await house.granted()
    await house.api("POST", "/consents/c1/withdraw", {"erase": "now", "how_told": "phone"})
    waiting = await house.api("GET", "/family/certificate", who=family)
    assert (waiting["complete"], waiting["waiting_for"]) == (False, ["archive", "discovery", "scheduling", "webhooks"])
    await house.erased_by("c1", *ERASURE_ANSWERS, "archive")
    family = await house.family(token)
    proof = await house.api("GET", "/family/certificate", who=family)
    assert proof["complete"] is True
    assert proof["completed_at"] == START.isoformat().replace("+00:00", "Z")
    assert [one["service"] for one in proof["services"]] == [
        "discovery",
        "consent",
        "scheduling",
        "archive",
        "webhooks",
    ]
    assert proof["receipt"]["mark"]
    assert (await house.api("GET", "/family/receipt", who=family, ok=False)).status_code == 404
    assert (await house.api("POST", "/family/decision", decision(), who=family, ok=False)).status_code == 409
    assert await house.context.vault.erased(SLUG) == ["c1"]
    await house.time_passes(days=3 * 365 + 1)
    gone = await house.api("POST", "/links/open", {"institution": SLUG, "token": token}, ok=False)
    assert gone.status_code == 404


async def test_a_consent_ends_by_itself_when_its_time_is_over(house: House) -> None:
    await house.granted()
    await house.time_passes(days=731)
    assert (await house.journey()).stage == "erasing"


async def test_data_restored_from_a_backup_is_erased_again(house: House) -> None:
    await house.granted()
    await house.context.vault.erase(SLUG, "c1")  # the ledger has it, the data does not know
    await SERVICE.restore_erasure(house.context, SLUG, "c1")
    journey = await house.journey()
    assert (journey.stage, journey.last_record, journey.token) == ("erased", None, None)


async def test_two_decisions_at_once_give_one_yes(house: House) -> None:
    _, family = await house.linked()
    answers = await asyncio.gather(
        *(house.api("POST", "/family/decision", decision(), who=family, ok=False) for _ in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


# --- over the bus -----------------------------------------------------------------------------------------------------


async def test_over_the_bus_a_discovered_contact_becomes_an_invitation_and_consent_has_a_pulse(house: House) -> None:
    client = await nats.connect(house.context.settings.nats_url)
    beats = await client.subscribe(SUBJECT)
    contact = ContactReference(
        contact_id="c9", case_id="case-1", reference="CLP-009", language="en", tutor_id="tutor-1"
    )
    discovered = event(ContactDiscoveredV1, "c9", ContactState(contact=contact, platform="other", state="discovered"))
    for _ in range(2):  # at least once
        await client.jetstream().publish(discovered.nats_subject, discovered.wire())
    await until(lambda: Journeys(house.context, SLUG).get("c9"))
    meeting = MeetingState(contact=contact, state="finished", recording="none")
    finished = event(MeetingFinishedV1, "c9", meeting, 3)
    await client.jetstream().publish(finished.nats_subject, finished.wire())

    async def followed() -> bool:
        return (await house.journey("c9")).meeting is not None

    await until(followed)
    while json.loads((await beats.next_msg(timeout=5)).data)["sequence"] < 1:
        pass
    assert (await house.context.bus.last_sequence("FH_CONSENT")) == 1
    await client.close()
