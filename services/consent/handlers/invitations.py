"""The invitation: drafted by us, sent by a person, answered by the family, then linked or silent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from firsthand.services.consent.handlers.policies import Ground, ground_of
from firsthand.services.consent.model import Journey
from firsthand.services.consent.model.records import Link
from firsthand.services.consent.repository import Journeys, Links, Texts
from firsthand.shared.events.consent import (
    Answer,
    InvitationAnsweredV1,
    InvitationLinkedV1,
    InvitationPreparedV1,
    InvitationSentV1,
)
from firsthand.shared.events.discovery import ContactDiscoveredV1
from firsthand.shared.identifiers import new_secret
from firsthand.shared.inputs import number_of
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff


@dataclass(frozen=True)
class Message:
    """What a person is to copy and send now."""

    which: Literal["first", "reminder"]
    text: str
    language: str
    text_version: str
    fallback: bool  # the contact's language has no approved text: this is English


@dataclass(frozen=True)
class Copied:
    """Which text a person copied from the page."""

    language: str
    text_version: str


async def prepare_invitation(context: Context, event: ContactDiscoveredV1) -> None:
    journeys = Journeys(context, event.institution)
    journey = await journeys.get(event.subject)
    if journey is not None:
        return  # one contact is discovered once; whatever happened since stands
    contact = event.data.contact
    journey = Journey(id=event.subject, institution=event.institution, contact=contact, case_id=contact.case_id)
    journey.take(event)
    journey.invitation.prepared(context.trusted.sure())
    await journeys.save(journey, InvitationPreparedV1, cause=event)


@use_case
async def mark_sent(context: Context, staff: Staff, contact_id: str, copied: Copied | None = None) -> Journey:
    """A person sent the first message, or the one reminder, and says so. Raises Refused, NotFound.

    `copied` is the text that was on the page: it is what was sent, also if a newer one was approved meanwhile.
    """
    journeys = Journeys(context, staff.institution)
    journey = await journeys.demand(contact_id)
    ground = await _ground(context, journey)
    journey.message_sent(context.clock.now(), ground.permission, ground.pace)
    if copied and await _was_approved(context, journey, copied):
        journey.invitation.text_version = copied.text_version
    return await journeys.save(journey, InvitationSentV1, actor=staff.person_id)


@use_case
async def log_answer(
    context: Context, staff: Staff, contact_id: str, answer: Answer, later_at: datetime | None = None
) -> Journey:
    """Record the family's answer. Raises Refused, NotFound."""
    journeys = Journeys(context, staff.institution)
    journey = await journeys.demand(contact_id)
    ground = await _ground(context, journey)
    now, sure = context.trusted.latest(), context.trusted.sure()
    journey.answer_logged(now, answer, later_at=later_at, pace=ground.pace, sure=sure)
    return await journeys.save(journey, InvitationAnsweredV1, actor=staff.person_id)


@use_case
async def make_link(context: Context, staff: Staff, contact_id: str) -> str:
    """Make a new personal link, which voids the one before, and return its token. Raises Refused, NotFound."""
    journeys, links = Journeys(context, staff.institution), Links(context, staff.institution)
    journey = await journeys.demand(contact_id)
    ground = await _ground(context, journey)
    now, token, before = context.clock.now(), new_secret(), journey.link_id
    link = Link(id=links.id_of(token), institution=staff.institution, contact_id=contact_id, made_at=now)
    journey.link_made(now, link.id, ground.permission, ground.pace)
    journey.token = await context.vault.seal(staff.institution, contact_id, "token", token)
    # The link lies there before the journey names it: a crash between the two leaves one that opens nothing.
    await links.add(link)
    # It is the answer's state that changes (`linked`), so the answer's event tells it again.
    await journeys.save(journey, InvitationLinkedV1, actor=staff.person_id)
    if before:
        await links.remove(before)
        context.verifier.revoke(staff.institution, contact_id, int(now.timestamp()))  # here at once
    return token


async def link_token(context: Context, journey: Journey) -> str | None:
    """The token of the link in force, to remind the family of it; None when there is none."""
    if journey.token is None or not journey.opens:
        return None
    return await context.vault.open(journey.institution, journey.id, "token", journey.token)


async def message_of(context: Context, journey: Journey) -> tuple[Message | None, list[Refused]]:
    """The message to copy now, or every obstacle; neither when there is nothing to send."""
    now = context.clock.now()
    which = journey.invitation.to_send(now) if journey.consent.state == "none" else None
    if which is None:
        return None, []
    ground = await _ground(context, journey)
    if refusals := ground.permission.refusals(now):
        return None, refusals
    assert ground.text is not None
    body, text = ground.text.body, ground.text
    words = body.first_message if which == "first" else body.reminder
    fallback = text.language not in {journey.contact.language, journey.contact.language.split("-")[0]}
    return Message(which, words, text.language, text.text_version, fallback), []


async def link_message_of(context: Context, journey: Journey) -> str:
    """The words that go with the personal link."""
    ground = await _ground(context, journey)
    return ground.text.body.link_message if ground.text else ""


async def _was_approved(context: Context, journey: Journey, copied: Copied) -> bool:
    number = number_of(copied.text_version.split(":")[0])
    if number is None:
        return False
    text = await Texts(context, journey.institution).get(journey.case_id, copied.language, number)
    return text is not None and text.state == "approved" and text.text_version == copied.text_version


async def _ground(context: Context, journey: Journey) -> Ground:
    return await ground_of(context, journey.institution, journey.case_id, journey.contact.language)


__all__ = [
    "Copied",
    "Message",
    "link_message_of",
    "link_token",
    "log_answer",
    "make_link",
    "mark_sent",
    "message_of",
    "prepare_invitation",
]
