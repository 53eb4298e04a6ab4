"""What a family does: see the times, say how to reach it, choose, move, cancel."""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from firsthand.services.scheduling.handlers.calendars import Times, reserve_slot, reserved, times_for
from firsthand.services.scheduling.handlers.personal import Personal, open_personal, seal
from firsthand.services.scheduling.handlers.rooms import join_url
from firsthand.services.scheduling.letters import entry_of, identity_of
from firsthand.services.scheduling.model import Meeting, ReachBy
from firsthand.services.scheduling.model.calendar_file import calendar_file
from firsthand.services.scheduling.model.slots import Slot
from firsthand.services.scheduling.model.zones import is_zone
from firsthand.services.scheduling.repository import UNKNOWN_CONTACT, Scheduling
from firsthand.shared.copies import institution_of
from firsthand.shared.mail import MailUnavailable
from firsthand.shared.mail_address import NotMailAddress, mail_address
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Family
from firsthand.shared.texts import N_

NOT_AN_ADDRESS = N_("Enter your email address, for example name@example.org.")
NO_SUCH_LETTERS = N_(
    "We cannot send email to an address with letters such as é before the @. Enter another address, or choose “Only on "
    "this page”."
)

FamilySees = Literal["not-open", "offered", "scheduled", "finished", "cancelled"]


@dataclass(frozen=True)
class Wish:
    """What a family chooses: a time, the zone in which it reads times, how it wants to be reached."""

    starts_at: datetime
    zone: str
    reach_by: ReachBy
    address: str = ""


@dataclass(frozen=True)
class FamilyView:
    """What a family sees. `planned` is the reservation in the calendar: the meeting follows a moment later."""

    state: FamilySees
    meeting: Meeting | None
    planned: Slot | None
    personal: Personal
    times: Times
    join_url: str = ""

    @property
    def may_choose(self) -> bool:
        return self.meeting is not None and self.meeting.is_open

    @property
    def zone(self) -> str:
        """The family's zone, or the tutor's while the family has chosen none."""
        return self.personal.zone or self.times.tutor_zone


async def see(context: Context, family: Family) -> FamilyView:
    """Show how things stand for a family."""
    scheduling = Scheduling(context, family.institution)
    meeting = await scheduling.meeting(family.contact_id)
    if meeting is None or meeting.state == "none" or meeting.state == "erased":  # noqa: PLR1714 - so mypy narrows
        return FamilyView("not-open", None, None, Personal(), Times(None, []))
    calendar = await scheduling.calendar(meeting.tutor_id)
    reservation = reserved(meeting, calendar)
    planned = reservation.slot if reservation else None
    if meeting.state == "scheduled" and meeting.starts_at and meeting.ends_at and planned is None:
        planned = Slot(meeting.starts_at, meeting.ends_at)  # it has passed, and left the calendar
    return FamilyView(
        state="scheduled" if planned else meeting.state,
        meeting=meeting,
        planned=planned,
        personal=await open_personal(context, meeting),
        times=await times_for(context, meeting, calendar),
        join_url=await join_url(context, meeting) if planned else "",
    )


@use_case
async def choose_zone(context: Context, family: Family, zone: str) -> None:
    """Keep the zone in which the family reads times. Raises Refused, NotFound; Conflict."""
    _check_zone(zone)
    scheduling = Scheduling(context, family.institution)
    meeting = await scheduling.known_meeting(family.contact_id)
    meeting.check_open()
    if (await open_personal(context, meeting)).zone != zone:
        meeting.zone = await seal(context, meeting, "zone", zone)
        await scheduling.put_meeting(meeting)


async def book(context: Context, family: Family, wish: Wish) -> Slot:
    """Take a time; the former one, if any, is set free in the same write. Raises SlotTaken, Refused, NotFound."""
    _check_zone(wish.zone)
    await _check_letters(context, _address_of(wish))
    await _prefer(context, family, wish)
    return await reserve_slot(context, family.institution, family.contact_id, wish.starts_at)


@use_case
async def cancel(context: Context, family: Family) -> None:
    """Cancel the planned meeting and free its time. Raises Refused, NotFound; Conflict."""
    scheduling = Scheduling(context, family.institution)
    meeting = await scheduling.known_meeting(family.contact_id)
    calendar = await scheduling.calendar(meeting.tutor_id)
    now = context.clock.now()
    event = meeting.cancel("family", reserved=reserved(meeting, calendar) is not None, now=now)
    await scheduling.put_meeting(
        meeting,
        event.of(
            meeting,
            meeting.as_state(),
            at=now,
            actor="family",
        ),
    )


async def calendar_file_of(context: Context, family: Family, language: str) -> bytes:
    """The calendar file of the planned meeting. Raises NotFound."""
    view = await see(context, family)
    if view.meeting is None or view.planned is None:
        raise NotFound(UNKNOWN_CONTACT)
    institution, meeting = await institution_of(context, family.institution), view.meeting
    entry = entry_of(
        view.planned,
        identity=identity_of(context, meeting, institution),
        join_url=view.join_url,
        institution=institution,
        language=language,
        sequence=meeting.file_sequence,
        stamped_at=meeting.changed_at or context.clock.now(),
    )
    return calendar_file(entry, "PUBLISH")


@use_case
async def _prefer(context: Context, family: Family, wish: Wish) -> None:
    """Keep how the family wants to be reached, before the time is taken: it stays also if the time is gone."""
    scheduling = Scheduling(context, family.institution)
    meeting = await scheduling.known_meeting(family.contact_id)
    meeting.check_open()
    known = await open_personal(context, meeting)
    address = _address_of(wish)
    if (known.zone, known.address, meeting.reach_by) == (
        wish.zone,
        address,
        wish.reach_by,
    ) and not meeting.mail_refused:
        return
    meeting.prefer(
        zone=await context.vault.seal(meeting.institution, meeting.id, "zone", wish.zone),
        reach_by=wish.reach_by,
        address=await seal(context, meeting, "address", address),
        confirm=meeting.starts_at == wish.starts_at,
        now=context.clock.now(),
        leaves=bool(known.address) and known.address != address,
    )
    await scheduling.put_meeting(meeting)


def _address_of(wish: Wish) -> str:
    """Raises Refused."""
    if wish.reach_by != "email":
        return ""
    try:
        return mail_address(wish.address)
    except NotMailAddress:
        raise Refused.of_field("address", NOT_AN_ADDRESS) from None


async def _check_letters(context: Context, address: str) -> None:
    """Raises Refused where our mail server cannot write to what stands before the @. If it is away, time will tell."""
    with contextlib.suppress(MailUnavailable):
        if not address.isascii() and not await context.mail.takes_utf8():
            raise Refused.of_field("address", NO_SUCH_LETTERS)


def _check_zone(zone: str) -> None:
    if not is_zone(zone):
        raise Refused("unknown-zone", N_("Choose your place from the list to see the right times."), kind="invalid")


__all__ = ["FamilyView", "Wish", "book", "calendar_file_of", "cancel", "choose_zone", "see"]
