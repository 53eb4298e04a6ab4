"""Requests and responses of discovery: the JSON, the forms of the case pages, and the messages for invalid fields."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.datastructures import FormData

from firsthand.services.discovery.handlers.posts import Report
from firsthand.services.discovery.model.cases import Case, CaseDetails, Line
from firsthand.services.discovery.model.leads import Content, LapsedBecause, Lead, LeadState, RefusalReason
from firsthand.services.discovery.model.people import Person
from firsthand.services.discovery.posts import Unreadable
from firsthand.shared.events.discovery import ApprovalKind
from firsthand.shared.inputs import Instant, Note, day_of, tidy
from firsthand.shared.texts import N_
from firsthand.shared.web.languages import NAMES

_SEPARATORS: Final = re.compile(r"[\s,،;؛，、।]+")

WRONG: Final[Mapping[str, str]] = {
    "prefix": N_("Enter two to six letters from A to Z, for example CLP"),
    "title": N_("Enter a title of at most 120 characters"),
    "condition": N_("Enter the condition's plain name in each language you chose"),
    "goals": N_("Write at most 12 goals, each on a line of its own with at most 300 characters"),
    "hashtags": N_("Enter at least one hashtag. Use letters, digits and underscores only"),
    "languages": N_("Choose at least one language"),
    "cohorts": N_("Choose from the list"),
    "tutors": N_("Choose from the list"),
    "safeguarding_contact": N_("Choose from the list"),
    "number": N_("Enter the approval number"),
    "expires_at": N_("Choose the day the approval expires"),
}


class ApprovalOut(BaseModel):
    kind: ApprovalKind
    number: str
    expires_at: AwareDatetime


class CaseOut(CaseDetails):
    """A case as its institution's staff may know it."""

    model_config = ConfigDict(extra="ignore")

    case_id: str
    prefix: str
    state: Literal["open", "closed"]
    approvals: list[ApprovalOut]
    approved_until: Annotated[AwareDatetime | None, Field(description="null: something is missing")]
    goals: list[str] = []
    waiting: Annotated[int, Field(description="leads that wait for a tutor")]

    @classmethod
    def of(cls, case: Case, waiting: int) -> "CaseOut":
        told = case.said()
        return cls(
            **case.details.model_dump(),
            case_id=case.id,
            prefix=case.prefix,
            state=case.state,
            goals=case.goals,
            approvals=[ApprovalOut(**approval.model_dump()) for approval in told.approvals],
            approved_until=told.approved_until(),
            waiting=waiting,
        )


class CasesOut(BaseModel):
    """A page of `total`; `next` is the cursor of the following one."""

    items: list[CaseOut]
    next: str | None
    total: int


class LeadOut(BaseModel):
    """A lead. What it says of a person is there only while it waits."""

    lead_id: str
    case_id: str
    platform: str
    source: str
    posted_at: AwareDatetime
    found_at: AwareDatetime
    found_by: str
    language: str
    tags: list[str]
    state: LeadState
    reason: RefusalReason | None
    contact_id: str
    lapsed_because: LapsedBecause | None = None
    looked_at: Annotated[AwareDatetime | None, Field(description="of the last look after the first")] = None
    looked_by: str | None = None
    permalink: str = ""
    text: str = ""
    handle: str = ""
    name: str = ""
    profile: str = ""
    labels: list[str] = []

    @classmethod
    def of(cls, lead: Lead, content: Content | None) -> "LeadOut":
        opened = content.model_dump(exclude={"accounts", "elsewhere"}) if content else {}
        return cls(lead_id=lead.id, **lead.model_dump(include=set(cls.model_fields)), **opened)


class LeadsOut(BaseModel):
    """A page of `total`; `next` is the cursor of the following one."""

    items: list[LeadOut]
    next: str | None
    total: int


class ContactOut(BaseModel):
    contact_id: str
    reference: str
    lead_id: str
    language: str
    tutor_id: str

    @classmethod
    def of(cls, person: Person) -> "ContactOut":
        return cls(contact_id=person.id, **person.model_dump(include=set(cls.model_fields)))


class ProblemOut(BaseModel):
    """An entry that could not be read, by its place in the file (from 1)."""

    entry: int
    reason: str


class ReportOut(BaseModel):
    """What became of an import. `problems` names the first 1000 of `unreadable`."""

    imported: int
    merged: int
    ignored: int
    removed: int
    unreadable: int
    problems: list[ProblemOut]
    ignored_because: dict[str, int]
    format: Annotated[str, Field(description="the platform whose answer the content seems to be")]
    entries: Annotated[int, Field(description="in the content; nothing was read if all are `unreadable`")]
    changed: Annotated[int, Field(description="leads among `merged` that the posts changed")]
    lapsed: Annotated[int, Field(description="leads that a later answer closed, other than by deletion")]

    @classmethod
    def of(cls, report: Report) -> "ReportOut":
        return cls(
            imported=report.imported,
            merged=report.merged,
            ignored=report.ignored,
            removed=report.removed,
            unreadable=report.unreadable,
            problems=[ProblemOut(entry=problem.number, reason=_sentence(problem)) for problem in report.problems],
            ignored_because=dict(report.ignored_because),
            format=report.format,
            entries=report.entries,
            changed=report.changed,
            lapsed=report.lapsed,
        )


class LabelOut(BaseModel):
    label: str
    profile_url: str
    platform: str


class ApprovalGiven(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: Line
    expires_at: Instant


class Nomination(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, Field(max_length=4000, description="a profile's or post's address, or a handle")]
    note: Note = ""


class Refusal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: RefusalReason


def _sentence(problem: Unreadable) -> str:
    return f"{problem.reason}. {problem.advice}" if problem.advice else problem.reason


def case_fields(form: FormData) -> dict[str, Any]:
    """Read the form of a case into the fields of a draft or a change, not yet checked."""
    names = {code: text for code in NAMES if (text := _text(form, f"condition_{code}"))}
    return {
        "title": _text(form, "title"),
        "condition": names,
        "hashtags": _list(form, "hashtags"),
        "languages": [str(code) for code in form.getlist("languages")],
        "cohorts": _list(form, "cohorts"),
        "tutors": _list(form, "tutors"),
        "goals": _lines(form, "goals"),
        "safeguarding_contact": _text(form, "safeguarding_contact"),
    }


def filled(case: Case) -> dict[str, Any]:
    """Return the values of a case's form."""
    return {"prefix": case.prefix, "goals": case.goals, **case.details.model_dump()}


def day_ends(day: str, zone: str) -> datetime:
    """Return the end of a day (ISO date) in a zone: the first moment of the next. ValueError if it is no date."""
    start = datetime.combine(day_of(day), time(), ZoneInfo(zone))
    return start + timedelta(days=1)


def what_is_wrong(faults: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name each invalid field once, with what it should be."""
    fields = dict.fromkeys(place.partition(".")[0] or "condition" for place in faults)
    return [(field, WRONG.get(field, N_("This is not a valid value"))) for field in fields]


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return tidy(value) if isinstance(value, str) else ""


def _lines(form: FormData, name: str) -> list[str]:
    value = form.get(name, "")
    return [line for text in value.splitlines() if (line := tidy(text))] if isinstance(value, str) else []


def _list(form: FormData, name: str) -> list[str]:
    """Read several values, or one with spaces, commas or lines between."""
    texts = [value for value in form.getlist(name) if isinstance(value, str)]
    return [part for text in texts for part in _SEPARATORS.split(text) if part]


__all__ = ["WRONG", "case_fields", "day_ends", "filled", "what_is_wrong"]
