"""Evidence: all journeys that somebody may see as a table, and an institution's figures by year."""

import csv
import io
from datetime import UTC, datetime

from firsthand.services.portal.model.journey import Entry, Journey
from firsthand.shared.copies import CaseCopy
from firsthand.shared.identifiers import InstitutionId
from tests.integration.portal.running import Portal
from tests.integration.portal.test_today import SCHOOL, tutors

__all__ = ["tutors"]  # fixture


def entry(number: int, name: str, at: datetime) -> Entry:
    return Entry(
        id=f"e{number}", type=f"firsthand.{name}.v1", service="x", sequence=number, time=at, journey="c", actor="system"
    )


async def keep(college: Portal, contact_id: str, case: str, *happened: tuple[str, datetime], **fields: str) -> None:
    timeline = [entry(number, name, at) for number, (name, at) in enumerate(happened)]
    made = Journey(
        id=contact_id, institution=SCHOOL, reference=contact_id.upper(), case_id=case, language="ar", stage="released",
        moved_at=happened[-1][1], timeline=timeline, **fields,
    )  # fmt: skip
    await college.context.store.collection(Journey, SCHOOL).insert(made)


async def rows(college: Portal, person: str, path: str) -> list[dict[str, str]]:
    async with college.signed_in(person) as browser:
        answer = await browser.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    text = answer.content.decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


ASKED = datetime(2026, 12, 31, 20, 59, tzinfo=UTC)  # 23:59 in Doha
REMINDED = datetime(2027, 1, 6, 9, tzinfo=UTC)
AGREED = datetime(2026, 12, 31, 21, 0, tzinfo=UTC)  # the next year in Doha


async def test_a_row_for_each_journey_that_a_person_may_see_with_the_first_day_of_each_step(
    college: Portal, tutors: list[str]
) -> None:
    await keep(college, "c1", "k0", ("invitation.sent", ASKED), ("invitation.sent", REMINDED))
    await keep(college, "c2", "k1", ("consent.granted", AGREED))
    await keep(college, "c3", "k1", ("consent.granted", AGREED), tutor_id=tutors[0])
    copies = college.context.store.collection(CaseCopy, SCHOOL)
    case = await copies.get("k0")
    assert case
    case.state = case.state.model_copy(update={"title": "=HYPERLINK(1)"})
    await copies.put(case)
    found = await rows(college, "c@school.example", "/portal/journeys.csv")
    assert [row["contact_id"] for row in found] == ["c1", "c2", "c3"]
    assert found[0] | {"reference": ""} == {
        "reference": "", "contact_id": "c1", "case": "K0", "title": "'=HYPERLINK(1)", "language": "ar",
        "stage": "released", "cleared": "", "asked": ASKED.isoformat(), "answered": "", "link": "", "agreed": "",
        "declined": "", "met": "", "recorded": "", "released": "", "withdrawn": "", "deleted": "",
    }  # fmt: skip
    assert [row["contact_id"] for row in await rows(college, "t@school.example", "/portal/journeys.csv")] == [
        "c1",
        "c3",
    ]
    async with college.signed_in("c@school.example") as browser:
        assert "/portal/figures.csv" in (await browser.get("/portal/journeys", headers={"Accept": "text/html"})).text


async def test_figures_count_journeys_by_the_years_of_the_institutions_clock(
    college: Portal, tutors: list[str]
) -> None:
    assert await rows(college, "c@school.example", "/portal/figures.csv") == []
    await keep(
        college, "c1", "k0", ("invitation.sent", ASKED), ("consent.granted", AGREED), ("invitation.sent", REMINDED)
    )
    await keep(college, "c2", "k1", ("invitation.sent", ASKED))
    other = InstitutionId("other")
    await college.context.store.collection(Journey, other).insert(
        Journey(id="x", institution=other, moved_at=ASKED, timeline=[entry(1, "invitation.sent", ASKED)])
    )
    found = await rows(college, "c@school.example", "/portal/figures.csv")
    assert [(row["year"], row["asked"], row["agreed"]) for row in found] == [("2027", "0", "1"), ("2026", "2", "0")]
    async with college.signed_in("t@school.example") as tutor:
        assert (await tutor.get("/portal/figures.csv")).status_code == 403
        assert "/portal/figures.csv" not in (await tutor.get("/portal/journeys", headers={"Accept": "text/html"})).text
