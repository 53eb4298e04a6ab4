"""What a person's first page shows, and the lists of tasks that it leads to."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from firsthand.services.portal.model.journey import TODOS, Journey
from firsthand.services.portal.model.today import OPEN, TASK_LISTS, TaskList, Tasks, Today, earliest, task_of, waits
from firsthand.services.portal.repository import Institutions, Journeys
from firsthand.shared.acting import leads
from firsthand.shared.renewals import is_complete
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import OneOf, Range, Where

SHOWN: Final = 25  # tasks on the first page; their lists have the others
_TICK: Final = timedelta(microseconds=1)  # a range is open at its end, what is due now is not


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
        all_counted=is_complete(context, Journey, staff.institution),
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
    return {} if leads(staff) else {"tutor_id": staff.person_id}


def _asking(kind: TaskList, until: datetime) -> Where:
    if kind == "coming":
        return {"todo": "meeting", "todo_since": Range(from_=until + _TICK)}
    return {"todo": kind, "todo_since": Range(to=until + _TICK)}
