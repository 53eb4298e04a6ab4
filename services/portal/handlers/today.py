"""What a person's first page shows, and the lists of tasks that it leads to."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from firsthand.services.portal.model.journey import TODOS, Journey
from firsthand.services.portal.model.today import OPEN, TASK_LISTS, TaskList, Tasks, Today, earliest, task_of, waits
from firsthand.services.portal.repository import Institutions, Journeys, all_slugs
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import OneOf, Range, StoreUnavailable, Where

SHOWN: Final = 25  # tasks on the first page; their lists have the others
_TICK: Final = timedelta(microseconds=1)  # a range is open at its end, what is due now is not
_LOOK_EVERY: Final = 60.0  # seconds between two looks for journeys that a release without todos saved
_AT_ONCE: Final = 50


async def today_of(context: Context, staff: Staff) -> Today:
    """A coordinator's day has everybody's tasks; a tutor's those of the contacts that it guides."""
    found = await asyncio.gather(*(tasks_of(context, staff, kind, limit=SHOWN) for kind in TASK_LISTS))
    lists = dict(zip(TASK_LISTS, found, strict=True))
    numbers = {kind: tasks.number for kind, tasks in lists.items()}
    journeys = Journeys(context, staff.institution)
    open_ = await journeys.count({**_guided(staff), "stage": OneOf(OPEN)})
    return Today(
        tasks=earliest(task for kind in TODOS for task in lists[kind].items)[:SHOWN],
        numbers=numbers,
        coming=lists["coming"].items,
        waiting=max(open_ - sum(numbers.values()), 0),
        all_counted=staff.institution in context.own(Noted).open or not await journeys.not_looked_at(1),
    )


async def tasks_of(
    context: Context, staff: Staff, kind: TaskList, *, after: str | None = None, limit: int = 50
) -> Tasks:
    """One list of tasks, the longest due first."""
    institution = await Institutions(context, staff.institution).demand()
    patience = timedelta(days=institution.state.reminder_after_days)
    now = context.clock.now()
    journeys = Journeys(context, staff.institution)
    where = {**_guided(staff), **_asking(kind, now - waits(kind, reminder_after=patience))}
    page = await journeys.asking(where, after=after, limit=limit)
    tasks = [task for journey in page.items if (task := task_of(journey, now, reminder_after=patience))]
    number = len(tasks) if after is None and page.next is None else await journeys.count(where)
    return Tasks(tasks, number, page.next)


def _guided(staff: Staff) -> Where:
    return {} if "coordinator" in staff.roles else {"tutor_id": staff.person_id}


def _asking(kind: TaskList, until: datetime) -> Where:
    if kind == "coming":
        return {"todo": "meeting", "todo_since": Range(from_=until + _TICK)}
    return {"todo": kind, "todo_since": Range(to=until + _TICK)}


class Noted:
    """What this replica knows of journeys that a release saved which noted nothing."""

    def __init__(self, _context: Context) -> None:
        self.open: set[InstitutionId] = set()  # whose open journeys it has gone through


async def note_todos(context: Context) -> None:
    """Note what journeys ask that a release saved which did not: one of before, or one that runs beside this one.

    Those of open journeys first: the others ask nothing.
    """
    noted = context.own(Noted)
    while True:
        for institution in await all_slugs(context):
            journeys = Journeys(context, institution)
            try:
                if institution not in noted.open:
                    await _note_open(journeys)
                    noted.open.add(institution)
                while found := await journeys.not_looked_at(_AT_ONCE):
                    await _note_each(journeys, found)
            except StoreUnavailable as error:
                context.log.warning("what journeys ask of staff is noted later: %s", error)
        await asyncio.sleep(_LOOK_EVERY)


async def _note_open(journeys: Journeys) -> None:
    if not await journeys.not_looked_at(1):
        return
    for stage in OPEN:
        after: str | None = None
        while True:
            page = await journeys.find({"stage": stage}, after=after, limit=_AT_ONCE)
            await _note_each(journeys, [one for one in page.items if one.todo is None])
            if (after := page.next) is None:
                break


async def _note_each(journeys: Journeys, found: Sequence[Journey]) -> None:
    """Note what these ask. Takes half of the time, so that what happens meanwhile is entered."""
    began = time.monotonic()
    await asyncio.gather(*(use_case(_note)(journeys, journey.id) for journey in found))
    await asyncio.sleep(time.monotonic() - began)


async def _note(journeys: Journeys, contact_id: str) -> None:
    if (journey := await journeys.get(contact_id)) and journey.todo is None:
        journey.note_todo()
        await journeys.save(journey)
