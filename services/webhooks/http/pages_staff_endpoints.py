"""The pages of endpoints, for coordinators."""

from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from firsthand.services.webhooks.handlers import deliveries, endpoints, replays
from firsthand.services.webhooks.handlers.endpoints import Opened, Wanted
from firsthand.services.webhooks.http import words
from firsthand.services.webhooks.http.doors import root_of
from firsthand.services.webhooks.http.pages import pages
from firsthand.services.webhooks.http.shapes import Shown
from firsthand.services.webhooks.model.endpoint import types_of
from firsthand.services.webhooks.repository import Search
from firsthand.shared.copies import cases_of, institution_of
from firsthand.shared.identifiers import Id, InstitutionId
from firsthand.shared.inputs import Cursor, Line, Word, day_of, moment_of, number_of, tidy
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Keeper
from firsthand.shared.web.problems import status_of

_A_PAGE: Final = 25
_LONGEST_LINES: Final = 25_000  # characters of all headers
_NOTHING_ASKED: Final = {"state": "", "id": "", "event_type": "", "from_day": "", "to_day": ""}

router = APIRouter(include_in_schema=False)


@router.get("/endpoints")
async def listed(request: Request, context: ContextDep, staff: Keeper, shown: Word = "") -> Response:
    found = [
        await deliveries.health_of(context, one) for one in await endpoints.list_endpoints(context, staff.institution)
    ]
    return pages.render(
        request,
        "endpoints.html",
        root=root_of(staff.institution),
        found=found,
        said=words,
        shown=shown,
        zone=await _zone(context, staff.institution),
    )


@router.get("/endpoints/new")
async def new(request: Request, context: ContextDep, staff: Keeper) -> Response:
    return pages.render(request, "endpoint_form.html", **await _form(context, staff, _EMPTY), known=None, errors={})


@router.post("/endpoints/new")
async def add(request: Request, context: ContextDep, staff: Keeper) -> Response:
    given = _entered(await request.form())
    try:
        added = await endpoints.add_endpoint(context, staff, _wanted(given))
    except Refused as refused:
        return await _refused(request, context, staff, refused, given, None)
    opened = await endpoints.opened(context, added.endpoint)
    return await _one(request, context, staff, opened, secret=added.secret)


@router.get("/endpoints/{endpoint_id}")
async def one(
    request: Request,
    context: ContextDep,
    endpoint_id: Id,
    staff: Keeper,
    state: Shown | None = None,
    id: Word = "",  # noqa: A002 - the word of the form
    event_type: Word = "",
    from_day: Word = "",
    to_day: Word = "",
    after: Cursor | None = None,
    shown: Word = "",
) -> Response:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    asked = {"state": state or "", "id": id, "event_type": event_type, "from_day": from_day, "to_day": to_day}
    return await _one(request, context, staff, opened, asked=asked, after=after, shown=shown)


@router.get("/endpoints/{endpoint_id}/edit")
async def edit(request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    shown = await _form(context, staff, _entered_before(opened))
    return pages.render(request, "endpoint_form.html", **shown, known=opened, errors={})


@router.post("/endpoints/{endpoint_id}/edit")
async def change(request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    given = _entered(await request.form())
    try:
        await endpoints.change_endpoint(context, staff, endpoint_id, _wanted(given, opened.headers))
    except Refused as refused:
        return await _refused(request, context, staff, refused, given, opened)
    return RedirectResponse(f"{root_of(staff.institution)}/{endpoint_id}?shown=changed", 303)


@router.post("/endpoints/{endpoint_id}/pause")
async def pause(request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    return await _acted(request, context, staff, endpoint_id, endpoints.pause(context, staff, endpoint_id), "paused")


@router.post("/endpoints/{endpoint_id}/resume")
async def resume(request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    return await _acted(request, context, staff, endpoint_id, endpoints.resume(context, staff, endpoint_id), "resumed")


@router.post("/endpoints/{endpoint_id}/test")
async def send_test(request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    sent = endpoints.send_test(context, staff, endpoint_id)
    return await _acted(request, context, staff, endpoint_id, sent, "tested")


@router.post("/endpoints/{endpoint_id}/rotate")
async def rotate(
    request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper, hours: Annotated[Word, Form()] = ""
) -> Response:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    both_for = timedelta(hours=number) if (number := number_of(hours)) is not None else timedelta(-1)
    try:
        added = await endpoints.rotate(context, staff, endpoint_id, both_for=both_for)
    except Refused as refused:
        return await _one(request, context, staff, opened, refused=refused)
    opened = await endpoints.opened(context, added.endpoint)
    return await _one(request, context, staff, opened, secret=added.secret)


@router.post("/endpoints/{endpoint_id}/recover")
async def recover(
    request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper, since: Annotated[Word, Form()] = ""
) -> Response:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    try:
        begin = await _moment(context, staff, since)
        count = await deliveries.recover(context, staff, endpoint_id, begin)
    except Refused as refused:
        return await _one(request, context, staff, opened, refused=refused)
    return RedirectResponse(
        f"{root_of(staff.institution)}/{endpoint_id}?shown={'recovered' if count else 'nothing'}", 303
    )


@router.post("/endpoints/{endpoint_id}/replay")
async def replay(
    request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper, past_since: Annotated[Word, Form()] = ""
) -> Response:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    try:
        await replays.begin_replay(context, staff, endpoint_id, await _moment(context, staff, past_since))
    except Refused as refused:
        fields = {"past_since": refused.fields["since"]} if "since" in refused.fields else {}
        return await _one(request, context, staff, opened, refused=refused, fields=fields)
    return RedirectResponse(f"{root_of(staff.institution)}/{endpoint_id}", 303)


@router.post("/endpoints/{endpoint_id}/replay/stop")
async def stop_replay(context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    await replays.stop_replay(context, staff, endpoint_id)
    return RedirectResponse(f"{root_of(staff.institution)}/{endpoint_id}", 303)


@router.get("/endpoints/{endpoint_id}/remove")
async def ask_to_remove(request: Request, context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    return pages.render(request, "endpoint_remove.html", root=root_of(staff.institution), one=opened.endpoint)


@router.post("/endpoints/{endpoint_id}/remove")
async def remove(context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    await endpoints.remove_endpoint(context, staff, endpoint_id)
    return RedirectResponse(f"{root_of(staff.institution)}?shown=removed", 303)


async def _moment(context: Context, staff: Staff, text: str) -> datetime:
    """Read a time of the institution's zone. Raises Refused."""
    try:
        return moment_of(text, await _zone(context, staff.institution))
    except ValueError:
        raise Refused.of_field("since", N_("Enter a day and a time.")) from None


async def _acted(
    request: Request, context: Context, staff: Staff, endpoint_id: str, act: Awaitable[object], shown: str
) -> Response:
    try:
        await act
    except Refused as refused:
        opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
        return await _one(request, context, staff, opened, refused=refused)
    return RedirectResponse(f"{root_of(staff.institution)}/{endpoint_id}?shown={shown}", 303)


async def _one(
    request: Request,
    context: Context,
    staff: Staff,
    opened: Opened,
    *,
    asked: Mapping[str, str] = _NOTHING_ASKED,
    after: str | None = None,
    shown: str = "",
    secret: str = "",
    refused: Refused | None = None,
    fields: Mapping[str, str] | None = None,
) -> Response:
    """`fields`: what was refused by the fields of the page, where they have other names."""
    endpoint = opened.endpoint
    zone = await _zone(context, staff.institution)
    try:
        search = _searched(asked, staff.institution, zone)
    except Refused as wrong:
        search, refused = Search(), refused or wrong
    page = await deliveries.list_deliveries(context, staff.institution, endpoint.id, search, after=after, limit=_A_PAGE)
    here = f"{root_of(staff.institution)}/{endpoint.id}"
    given = {name: value for name, value in asked.items() if value}
    return pages.render(
        request,
        "endpoint.html",
        status=status_of(refused) if refused else 200,
        opened=opened,
        one=endpoint,
        health=await deliveries.health_of(context, endpoint),
        page=page,
        root=root_of(staff.institution),
        here=here,
        asked=asked,
        query=urlencode(given),
        query_without_state=urlencode({name: value for name, value in given.items() if name != "state"}),
        types=words.types_in_groups(staff.institution),
        after=after,
        shown=shown,
        secret=secret,
        errors=_errors(request, refused, fields),
        replay=await replays.see_replay(context, staff.institution, endpoint.id),
        cases=await _cases(context, staff.institution),
        zone=zone,
        now=context.clock.now(),
        said=words,
    )


def _searched(asked: Mapping[str, str], institution: InstitutionId, zone: str) -> Search:
    """Read what is looked for; days are the institution's. Raises Refused."""

    def midnight(field: str, *, after: int = 0) -> datetime | None:
        if not (text := asked[field]):
            return None
        try:
            day = day_of(text) + timedelta(days=after)
        except ValueError:
            raise Refused.of_field(field, N_("Enter a day.")) from None
        return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)

    types = types_of(asked["event_type"], institution) if asked["event_type"] else ()
    state = asked["state"] or None
    return Search(asked["id"], state, types, midnight("from_day"), midnight("to_day", after=1))  # type: ignore[arg-type]  # a `Shown`


async def _refused(
    request: Request, context: Context, staff: Staff, refused: Refused, given: Mapping[str, Any], known: Opened | None
) -> Response:
    shown = await _form(context, staff, given)
    errors = _errors(request, refused)
    return pages.render(request, "endpoint_form.html", status=status_of(refused), **shown, known=known, errors=errors)


def _errors(request: Request, refused: Refused | None, fields: Mapping[str, str] | None = None) -> dict[str, str]:
    """The reasons in the visitor's words, by field."""
    if refused is None:
        return {}
    say = pages.language(request).gettext
    if found := fields or refused.fields:
        return {field: say(text) for field, text in found.items()}
    return {"main": " ".join(say(text) for text in (refused.title, refused.text) if text)}


async def _form(context: Context, staff: Staff, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "given": given,
        "root": root_of(staff.institution),
        "cases": await _cases(context, staff.institution),
        "types": words.types_in_groups(staff.institution),
        "said": words,
    }


async def _cases(context: Context, institution: InstitutionId) -> dict[str, str]:
    found = sorted(await cases_of(context, institution), key=lambda case: case.title)
    return {case.case_id: f"{case.prefix} · {case.title}" for case in found}


async def _zone(context: Context, institution: InstitutionId) -> str:
    policy = await institution_of(context, institution)
    return policy.zone if policy else "UTC"


_EMPTY: Final[Mapping[str, Any]] = {
    "url": "", "name": "", "description": "", "types": [], "cases": [], "contact": "", "headers": "",
    "a_second": "", "parallel": "4", "ordered": False,
}  # fmt: skip


def _entered(form: FormData) -> dict[str, Any]:
    """What was typed, cleaned and cut, so that it can be shown again."""

    def text(name: str, most: int) -> str:
        return tidy(str(form.get(name, ""))[:most])

    return {
        "url": text("url", 2000),
        "name": text("name", 200),
        "description": tidy(str(form.get("description", ""))[:2000], lines=True),
        "types": [tidy(str(one)[:100]) for one in form.getlist("types")[:200]],
        "cases": [tidy(str(one)[:64]) for one in form.getlist("cases")[:500]],
        "contact": text("contact", 254),
        "headers": tidy(str(form.get("headers", ""))[:_LONGEST_LINES], lines=True),
        "a_second": text("a_second", 20),
        "parallel": text("parallel", 20),
        "ordered": form.get("ordered") == "yes",
    }


def _entered_before(opened: Opened) -> dict[str, Any]:
    """An endpoint as it stands in its form; of its headers only the names, whose values then stay."""
    one = opened.endpoint
    return {
        "url": opened.url,
        "name": one.name,
        "description": one.description,
        "types": one.event_types,
        "cases": one.cases,
        "contact": opened.contact,
        "headers": "\n".join(opened.headers),
        "a_second": str(one.a_second or ""),
        "parallel": str(one.parallel),
        "ordered": one.ordered,
    }


def _wanted(given: Mapping[str, Any], kept: Mapping[str, str] | None = None) -> Wanted:
    """Read what was entered. Raises Refused."""
    return Wanted(
        url=given["url"],
        name=given["name"],
        description=given["description"],
        event_types=given["types"],
        cases=given["cases"],
        contact=given["contact"],
        headers=_headers(given["headers"], kept or {}),
        a_second=_number("a_second", given["a_second"] or "0"),
        parallel=_number("parallel", given["parallel"]),
        ordered=given["ordered"],
    )


def _headers(lines: str, kept: Mapping[str, str]) -> dict[str, str]:
    """Read headers, one a line; a name alone keeps the value that it has. Raises Refused."""
    found: dict[str, str] = {}
    for line in lines.splitlines():
        name, colon, value = line.partition(":")
        if not name.strip():
            continue
        if not colon and name.strip() not in kept:
            raise Refused.of_field("headers", N_("Write each header as Name: value."))
        found[name.strip()] = value.strip() if colon else kept[name.strip()]
    return found


def _number(field: str, text: Line) -> int:
    number = number_of(text)
    if number is None:
        raise Refused.of_field(field, N_("Enter a whole number."))
    return number
