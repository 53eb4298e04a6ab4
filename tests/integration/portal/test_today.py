"""Today and the journeys' list, with more journeys than a page holds: who sees which, how many, in which order."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from firsthand.services.portal.app import SERVICE
from firsthand.services.portal.model.journey import NOTHING, Journey
from firsthand.shared.copies import CaseCopy
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.scheduling import MeetingState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.renewals import renew
from tests.integration.portal.running import Portal
from tests.integration.portal.test_journeys import contact

SCHOOL = InstitutionId("qu-cdm")
TUTORS = ("t@school.example", "u@school.example")


@pytest.fixture
async def tutors(college: Portal) -> list[str]:
    """Two tutors, each of its own case; the first one guides one in five contacts of the other's case as well."""
    ids = [await college.person(email, "tutor") for email in TUTORS]
    copies = college.context.store.collection(CaseCopy, SCHOOL)
    for number, tutor in enumerate(ids):
        state = CaseState(
            case_id=f"k{number}",
            prefix=f"K{number}",
            title=f"Case {number}",
            condition={},
            languages=["en"],
            cohorts=[],
            tutors=[tutor],
            approvals=[],
            state="open",
        )
        await copies.insert(CaseCopy(id=f"k{number}", institution=SCHOOL, state=state))
    return ids


def journey(college: Portal, number: int, case: int, tutor: str, stage: str, **fields: Any) -> Journey:
    """One that moved `number` minutes ago."""
    name = f"c{number:03}"
    moved_at = college.clock.now() - timedelta(minutes=number)
    invitation = fields.pop("invitation", InvitationState(state="prepared"))
    made = Journey(
        id=name,
        institution=SCHOOL,
        reference=f"K{case}-{number}",
        case_id=f"k{case}",
        tutor_id=tutor,
        stage=stage,
        moved_at=moved_at,
        consent=ConsentState(
            contact=contact(name, f"k{case}", tutor),
            invitation=invitation,
            consent=ConsentRecordState(state="none", scopes=["meet"]),
        ),
        **fields,
    )
    made.note_todo()
    return made


async def store(college: Portal, journeys: Sequence[Journey]) -> None:
    documents = college.context.store.collection(Journey, SCHOOL)
    for one in journeys:
        await documents.insert(one)


async def pages_of(client: httpx.AsyncClient, path: str) -> AsyncIterator[dict[str, Any]]:
    after = ""
    while True:
        answer = await client.get(f"{path}&after={after}" if after else path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page
        if (after := page["next"]) is None:
            return


async def test_each_tutors_pages_are_full_in_order_and_counted_though_colleagues_have_newer_ones(
    college: Portal, tutors: list[str]
) -> None:
    of_case = [0] * 30 + [1] * 270  # the first tutor's are the newest, and the oldest: between them are its colleague's
    of_case[200:230] = [0] * 30
    stages = ["to-send", "sent", "released"]
    guides = [tutors[0] if case == 0 or number % 5 == 0 else tutors[1] for number, case in enumerate(of_case)]
    cases = enumerate(zip(of_case, guides, strict=True))
    made = [journey(college, n, case, guide, stages[n % 3]) for n, (case, guide) in cases]
    await store(college, made)
    seen_by = {
        TUTORS[0]: [one for one in made if one.case_id == "k0" or one.tutor_id == tutors[0]],
        TUTORS[1]: [one for one in made if one.case_id == "k1"],
        "c@school.example": made,
    }
    assert len(seen_by[TUTORS[0]]) == 108
    for email, seen in seen_by.items():
        async with college.signed_in(email) as client:
            for stage in (None, "sent"):
                expected = [one for one in seen if stage in {None, one.stage}]
                path = f"/portal/api/v1/journeys?limit=40{f'&stage={stage}' if stage else ''}"
                pages = [page async for page in pages_of(client, path)]
                assert [one["contact_id"] for page in pages for one in page["items"]] == [one.id for one in expected]
                assert [len(page["items"]) for page in pages[:-1]] == [40] * (len(pages) - 1)
                for page in pages:
                    assert {stage: n for stage, n in page["counts"].items() if n} == {
                        stage: sum(one.stage == stage for one in seen) for stage in stages
                    }
            answer = await client.get("/portal/api/v1/journeys?after=nowhere")
            assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
            assert (await client.get("/portal/journeys?after=nowhere")).status_code == 400


async def test_of_a_case_its_tutor_sees_all_and_a_guide_of_single_contacts_no_list(
    college: Portal, tutors: list[str]
) -> None:
    await store(college, [journey(college, n, 1, tutors[n % 2], "sent") for n in range(5)])
    async with college.signed_in(TUTORS[0]) as guide, college.signed_in(TUTORS[1]) as tutor:
        assert (await guide.get("/portal/api/v1/journeys?case=k1")).status_code == 404
        board = (await tutor.get("/portal/api/v1/journeys?case=k1&stage=sent")).json()
        assert len(board["items"]) == board["counts"]["sent"] == 5
        assert (await guide.get("/portal/api/v1/journeys")).json()["counts"]["sent"] == 3


async def test_today_shows_the_first_and_says_how_many_there_are_and_lists_have_all(
    college: Portal, tutors: list[str]
) -> None:
    sent_at = college.clock.now() - timedelta(days=30)
    made = [journey(college, n, n % 2, tutors[n % 2], "to-send") for n in range(130)]
    for n in range(130, 170):
        at = sent_at + timedelta(minutes=n)
        sent = InvitationState(state="sent", sent_at=at, reminded_at=at if n >= 160 else None)
        made.append(journey(college, n, n % 2, tutors[n % 2], "sent", invitation=sent))
    for n, hours in enumerate((-48, -1, 23.5, 24, 24.1, 900), 170):
        starts_at = college.clock.now() + timedelta(hours=hours)
        name = contact(f"c{n}", "k0", tutors[0])
        booked = MeetingState(
            contact=name, state="scheduled", starts_at=starts_at, ends_at=starts_at + timedelta(minutes=90)
        )
        made.append(journey(college, n, 0, tutors[0], "booked", meeting=booked))
    await store(college, made)
    async with college.signed_in("c@school.example") as coordinator, college.signed_in(TUTORS[0]) as tutor:
        day = (await coordinator.get("/portal/api/v1/today")).json()
        assert {kind: n for kind, n in day["numbers"].items() if n} == {
            "send-message": 130,
            "remind": 30,
            "meeting": 4,
            "coming": 2,
        }
        assert day["waiting"] == 10
        assert [one["doing"] for one in day["items"]] == ["remind"] * 25  # due for 25 days
        assert [one["contact_id"] for one in day["coming"]] == ["c174", "c175"]
        meetings = (await coordinator.get("/portal/api/v1/tasks/meeting")).json()["items"]
        assert [(one["contact_id"], one["doing"]) for one in meetings] == [
            ("c170", "close-meeting"),
            ("c171", "hold-meeting"),
            ("c172", "hold-meeting"),
            ("c173", "hold-meeting"),
        ]
        theirs = [page async for page in pages_of(tutor, "/portal/api/v1/tasks/send-message?limit=20")]
        assert [page["number"] for page in theirs] == [65] * 4
        listed = [one["contact_id"] for page in theirs for one in page["items"]]
        assert listed == [f"c{n:03}" for n in range(128, -1, -2)]  # the longest since first
        page = (await coordinator.get("/portal/today?lang=en")).text
        assert "164 things to do" in page
        assert '<a href="/portal/tasks/send-message">First messages to send</a> <span>130</span>' in page
        assert "10 journeys are waiting" in page
        first = (await coordinator.get("/portal/tasks/send-message?lang=en")).text
        assert "130 in total" in first
        assert first.count('<p class="task-what">') == 40
        assert "/portal/tasks/send-message?after=" in first
        assert (await coordinator.get("/portal/tasks/nothing")).status_code == 422
        assert (await coordinator.get("/portal/tasks/remind?after=nowhere")).status_code == 400


async def test_the_institutions_patience_counts_as_it_is_when_one_looks(college: Portal, tutors: list[str]) -> None:
    at = college.clock.now() - timedelta(days=4)
    sent = InvitationState(state="sent", sent_at=at)
    await store(college, [journey(college, 1, 0, tutors[0], "sent", invitation=sent)])
    async with college.signed_in("c@school.example") as coordinator:
        for days, number in ((5, 0), (4, 1)):
            kept = await coordinator.put("/portal/api/v1/institution", json={"reminder_after_days": days})
            assert kept.status_code == 200, kept.text
            assert (await coordinator.get("/portal/api/v1/tasks/remind")).json()["number"] == number


async def test_what_a_release_without_todos_saved_is_found_once_it_is_renewed(
    college: Portal, tutors: list[str]
) -> None:
    before = [
        journey(college, n, 0, tutors[0], "to-send").model_copy(update={"todo": None, "todo_since": None})
        for n in range(120)
    ]
    ended = journey(college, 120, 0, tutors[0], "expired").model_copy(update={"todo": None})
    await store(college, [*before, ended])
    college.context.owned.clear()  # what a replica knows when it starts
    async with college.signed_in("c@school.example") as coordinator:
        page = (await coordinator.get("/portal/today?lang=en")).text
        assert "still updating this list" in page
        assert await renew(college.context, SERVICE.renewals) == 121
        assert (await coordinator.get("/portal/api/v1/today")).json()["numbers"]["send-message"] == 120
        assert await _is_noted(college, ended.id)
        assert "still updating this list" not in (await coordinator.get("/portal/today?lang=en")).text
        first = await college.context.store.collection(Journey, SCHOOL).get("c000")
        assert first
        assert (first.todo, first.todo_since, first.version) == ("send-message", first.moved_at, 2)


async def _is_noted(college: Portal, contact_id: str) -> bool:
    found = await college.context.store.collection(Journey, SCHOOL).get(contact_id)
    return found is not None and found.todo == NOTHING


async def test_of_many_cases_one_is_chosen_from_a_list(college: Portal, tutors: list[str]) -> None:
    copies = college.context.store.collection(CaseCopy, SCHOOL)
    one = await copies.get("k0")
    assert one
    for number in range(2, 15):
        state = one.state.model_copy(update={"case_id": f"k{number}", "prefix": f"K{number}"})
        await copies.insert(CaseCopy(id=f"k{number}", institution=SCHOOL, state=state))
    await store(college, [journey(college, n, n % 2, tutors[n % 2], "sent") for n in range(6)])
    async with college.signed_in("c@school.example") as coordinator:
        page = (await coordinator.get("/portal/journeys?lang=en&stage=sent")).text
        assert '<select id="case" name="case">' in page
        assert '<input type="hidden" name="stage" value="sent">' in page
        chosen = (await coordinator.get("/portal/journeys?stage=sent&case=k1")).text
        assert chosen.count('class="contact"') == 3
        everything = (await coordinator.get("/portal/journeys?stage=sent&case=")).text
        assert everything.count('class="contact"') == 6
