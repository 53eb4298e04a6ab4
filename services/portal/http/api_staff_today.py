"""What is to do today, over JSON."""

from typing import Annotated

from fastapi import APIRouter, Query

from firsthand.services.portal.handlers.today import tasks_of, today_of
from firsthand.services.portal.http.shapes import TaskOut, TasksOut, TodayOut
from firsthand.services.portal.model.today import TaskList
from firsthand.shared.inputs import Cursor
from firsthand.shared.web.access import ContextDep, Tutor

router = APIRouter(prefix="/api/v1", tags=["today"])


@router.get("/today")
async def today(context: ContextDep, staff: Tutor) -> TodayOut:
    day = await today_of(context, staff)
    return TodayOut(
        items=[TaskOut.of(task) for task in day.tasks],
        numbers=day.numbers,
        coming=[TaskOut.of(task) for task in day.coming],
        waiting=day.waiting,
    )


@router.get("/tasks/{kind}")
async def tasks(
    context: ContextDep,
    kind: TaskList,
    staff: Tutor,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> TasksOut:
    found = await tasks_of(context, staff, kind, after=after, limit=limit)
    return TasksOut(items=[TaskOut.of(task) for task in found.items], number=found.number, next=found.next)
