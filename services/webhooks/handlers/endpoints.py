"""Endpoints: add, change, pause, resume, rotate, test, remove."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from firsthand.services.webhooks.attempts import guard_of
from firsthand.services.webhooks.guard import RefusedAddress
from firsthand.services.webhooks.lanes import dispatch_of
from firsthand.services.webhooks.model import Endpoint
from firsthand.services.webhooks.model.endpoint import (
    LONGEST_ROTATION,
    MOST_ENDPOINTS,
    checked_headers,
    checked_name,
    checked_types,
)
from firsthand.services.webhooks.model.signatures import new_key, new_secret, public_key
from firsthand.services.webhooks.repository import Deliveries, Endpoints, Replays
from firsthand.shared.copies import cases_of
from firsthand.shared.events.webhooks import EndpointChangedV1, EndpointTestedV1
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.mail_address import NotMailAddress, mail_address
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Conflict
from firsthand.shared.texts import N_

_ID_DIGITS: Final = 24  # 96 random bits; with an event's id it makes a delivery's
_MOST_PARALLEL: Final = 32
_MOST_A_SECOND: Final = 1000


@dataclass(frozen=True)
class Wanted:
    """What somebody wants of an endpoint; what is None stays as it is, or takes its default."""

    url: str | None = None
    name: str | None = None
    description: str | None = None
    event_types: Sequence[str] | None = None
    cases: Sequence[str] | None = None
    contact: str | None = None
    headers: Mapping[str, str] | None = None
    a_second: int | None = None
    parallel: int | None = None
    ordered: bool | None = None


@dataclass(frozen=True)
class Opened:
    """An endpoint with what is sealed in it, for those who look after it."""

    endpoint: Endpoint
    url: str
    contact: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Added:
    """A new endpoint, or a new secret, which is shown once."""

    endpoint: Endpoint
    secret: str


async def add_endpoint(context: Context, staff: Staff, wanted: Wanted) -> Added:
    """Raises Refused."""
    endpoints = Endpoints(context, staff.institution)
    if await endpoints.count() >= MOST_ENDPOINTS:
        raise Refused(
            "too-many",
            N_("Remove one that is no longer needed, then add another."),
            title=N_("Your institution has 200 endpoints already"),
        )
    url = _checked_url(context, wanted.url or "")
    host = urlsplit(url).hostname or ""
    endpoint_id, secret, key = new_id()[:_ID_DIGITS], new_secret(), new_key()
    sealed = await context.vault.seal_many(staff.institution, endpoint_id, {"url": url, "secret": secret, "key": key})
    endpoint = Endpoint(
        id=endpoint_id,
        institution=staff.institution,
        name=checked_name(wanted.name or "", host),
        url=sealed["url"],
        host=host,
        secret=sealed["secret"],
        key=sealed["key"],
        public_key=public_key(key),
        event_types=checked_types(wanted.event_types or (), staff.institution),
        added_at=context.clock.now(),
    )
    await _take(context, endpoint, wanted)
    return Added(await endpoints.save(endpoint, EndpointChangedV1, actor=staff.person_id), secret)


@use_case
async def change_endpoint(context: Context, staff: Staff, endpoint_id: str, wanted: Wanted) -> Endpoint:
    """Raises Refused, NotFound."""
    endpoints = Endpoints(context, staff.institution)
    endpoint = await endpoints.demand(endpoint_id)
    if wanted.url is not None:
        url = _checked_url(context, wanted.url)
        endpoint.url = await context.vault.seal(staff.institution, endpoint_id, "url", url)
        endpoint.host = urlsplit(url).hostname or ""
    if wanted.name is not None:
        endpoint.name = checked_name(wanted.name, endpoint.host)
    if wanted.event_types is not None:
        endpoint.event_types = checked_types(wanted.event_types, staff.institution)
    await _take(context, endpoint, wanted)
    return await endpoints.save(endpoint, EndpointChangedV1, actor=staff.person_id)


@use_case
async def pause(context: Context, staff: Staff, endpoint_id: str) -> Endpoint:
    """Raises Refused, NotFound."""
    endpoints = Endpoints(context, staff.institution)
    endpoint = await endpoints.demand(endpoint_id)
    if endpoint.pause():
        endpoint = await endpoints.save(endpoint, EndpointChangedV1, actor=staff.person_id)
    return endpoint


async def resume(context: Context, staff: Staff, endpoint_id: str) -> Endpoint:
    """Deliver again, at once what waits. Raises NotFound."""

    @use_case
    async def begin_again() -> Endpoint:
        endpoints = Endpoints(context, staff.institution)
        endpoint = await endpoints.demand(endpoint_id)
        if endpoint.resume():
            endpoint = await endpoints.save(endpoint, EndpointChangedV1, actor=staff.person_id)
        return endpoint

    endpoint = await begin_again()
    await dispatch_of(context).wake(staff.institution, endpoint_id)
    return endpoint


@use_case
async def rotate(context: Context, staff: Staff, endpoint_id: str, *, both_for: timedelta) -> Added:
    """Make a new secret and a new key; for a while the former ones sign as well. Raises Refused, NotFound."""
    if not timedelta() <= both_for <= LONGEST_ROTATION:
        raise Refused.of_field("hours", N_("The previous secret can stay valid for 0 to 168 hours."))
    endpoints = Endpoints(context, staff.institution)
    endpoint = await endpoints.demand(endpoint_id)
    secret, key = new_secret(), new_key()
    former = await context.vault.open_many(
        staff.institution, endpoint_id, {"secret": endpoint.secret, "key": endpoint.key}
    )
    sealed = await context.vault.seal_many(
        staff.institution,
        endpoint_id,
        {"secret": secret, "key": key, "secret_before": former["secret"], "key_before": former["key"]},
    )
    endpoint.secret, endpoint.key, endpoint.public_key = sealed["secret"], sealed["key"], public_key(key)
    endpoint.secret_before, endpoint.key_before = sealed["secret_before"], sealed["key_before"]
    endpoint.before_until = context.clock.now() + both_for
    return Added(await endpoints.save(endpoint, actor=staff.person_id), secret)


@use_case
async def send_test(context: Context, staff: Staff, endpoint_id: str) -> Endpoint:
    """Publish a test event, which goes the way of every event, to this endpoint only. Raises Refused, NotFound."""
    endpoints = Endpoints(context, staff.institution)
    endpoint = await endpoints.demand(endpoint_id)
    if endpoint.state != "active":
        raise Refused(
            "not-active", N_("Resume it first, then send a test event."), title=N_("This endpoint is not active")
        )
    return await endpoints.save(endpoint, EndpointTestedV1, actor=staff.person_id)


async def remove_endpoint(context: Context, staff: Staff, endpoint_id: str) -> None:
    """Deliver nothing more, destroy its secrets and forget what was sent. Raises NotFound."""

    @use_case
    async def remove() -> None:
        endpoints = Endpoints(context, staff.institution)
        endpoint = await endpoints.demand(endpoint_id)
        endpoint.remove()
        await endpoints.save(endpoint, EndpointChangedV1, actor=staff.person_id)

    await remove()
    await forget_endpoint(context, staff.institution, endpoint_id)


async def forget_endpoint(context: Context, institution: InstitutionId, endpoint_id: str) -> None:
    """Destroy a removed endpoint's secrets and deliveries. Done again it changes nothing."""
    await context.vault.erase(institution, endpoint_id)
    await context.mail.erase(institution, endpoint_id)
    await Replays(context, institution).forget(endpoint_id)
    deliveries = Deliveries(context, institution)
    while found := await deliveries.of_endpoint(endpoint_id, 100):
        for one in found:
            try:
                await deliveries.forget(one)
            except Conflict:  # an attempt ended at this moment
                continue


async def open_endpoint(context: Context, institution: InstitutionId, endpoint_id: str) -> Opened:
    """Raises NotFound."""
    return await opened(context, await Endpoints(context, institution).demand(endpoint_id))


async def list_endpoints(context: Context, institution: InstitutionId) -> list[Endpoint]:
    """Those that need somebody first: disabled, failing, paused, then the others by name."""

    def place(one: Endpoint) -> tuple[int, str]:
        order = {"disabled": 0, "active": 3 if one.failing_since is None else 1, "paused": 2}
        return order.get(one.state, 4), one.name.casefold()

    return sorted(await Endpoints(context, institution).listed(), key=place)


async def opened(context: Context, endpoint: Endpoint) -> Opened:
    sealed = {"url": endpoint.url}
    sealed |= {"contact": endpoint.contact} if endpoint.contact else {}
    sealed |= {"headers": endpoint.headers} if endpoint.headers else {}
    found = await context.vault.open_many(endpoint.institution, endpoint.id, sealed)
    headers = json.loads(found["headers"]) if "headers" in found else {}
    return Opened(endpoint, found["url"], found.get("contact", ""), headers)


def _checked_url(context: Context, url: str) -> str:
    """Raises Refused with the reason why this deployment sends nothing there."""
    try:
        guard_of(context).refuse(url)
    except RefusedAddress as refused:
        raise Refused.of_field("url", refused.text) from None
    return url


async def _take(context: Context, endpoint: Endpoint, wanted: Wanted) -> None:
    """Take what needs neither address nor types. Raises Refused."""
    if wanted.description is not None:
        endpoint.description = wanted.description
    if wanted.ordered is not None:
        endpoint.ordered = wanted.ordered
    _take_limits(endpoint, wanted)
    await _take_cases(context, endpoint, wanted)
    await _take_contact(context, endpoint, wanted)
    if wanted.headers is not None:
        endpoint.headers = None
        if headers := checked_headers(wanted.headers):
            text = json.dumps(headers)
            endpoint.headers = await context.vault.seal(endpoint.institution, endpoint.id, "headers", text)


def _take_limits(endpoint: Endpoint, wanted: Wanted) -> None:
    if wanted.a_second is not None:
        if not 0 <= wanted.a_second <= _MOST_A_SECOND:
            raise Refused.of_field("a_second", N_("Enter a number from 1 to 1000, or leave it empty for no limit."))
        endpoint.a_second = wanted.a_second or None
    if wanted.parallel is not None:
        if not 1 <= wanted.parallel <= _MOST_PARALLEL:
            raise Refused.of_field("parallel", N_("Enter a number from 1 to 32."))
        endpoint.parallel = wanted.parallel


async def _take_cases(context: Context, endpoint: Endpoint, wanted: Wanted) -> None:
    if wanted.cases is None:
        return
    known = {case.case_id for case in await cases_of(context, endpoint.institution)}
    if not known.issuperset(wanted.cases):
        raise Refused.of_field("cases", N_("Choose cases from the list."))
    endpoint.cases = list(dict.fromkeys(wanted.cases))


async def _take_contact(context: Context, endpoint: Endpoint, wanted: Wanted) -> None:
    if wanted.contact is None:
        return
    endpoint.contact = None
    if wanted.contact:
        try:
            address = mail_address(wanted.contact, inside=True)
        except NotMailAddress:
            raise Refused.of_field("contact", N_("Enter a valid email address.")) from None
        endpoint.contact = await context.vault.seal(endpoint.institution, endpoint.id, "contact", address)


__all__ = [
    "Added",
    "Opened",
    "Wanted",
    "add_endpoint",
    "change_endpoint",
    "forget_endpoint",
    "list_endpoints",
    "open_endpoint",
    "opened",
    "pause",
    "remove_endpoint",
    "resume",
    "rotate",
    "send_test",
]
