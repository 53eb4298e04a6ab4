"""Notices by mail: an endpoint was disabled, an answer is owed. Each is noted in its document once it is sent."""

from datetime import timedelta
from typing import Final

from firsthand.services.webhooks import letters
from firsthand.services.webhooks.handlers.endpoints import opened
from firsthand.services.webhooks.letters import Mail
from firsthand.services.webhooks.model import Endpoint, Recipients
from firsthand.services.webhooks.repository import AllRecipients, Endpoints
from firsthand.shared.copies import institution_of
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.mail import MailRefused, MailUnavailable
from firsthand.shared.mail_watch import Waiting, keep_watch
from firsthand.shared.service import Context

_AGAIN_AFTER: Final = timedelta(minutes=1)


async def tell_disabled(context: Context, endpoint: Endpoint) -> None:
    """The timer of endpoints. Raises Conflict."""
    endpoints = Endpoints(context, endpoint.institution)
    if endpoint.state == "disabled" and not endpoint.told_disabled:
        contact = (await opened(context, endpoint)).contact
        place = "deployment/endpoints" if endpoint.institution == DEPLOYMENT else "endpoints"
        page = f"{context.settings.address}/webhooks/{place}/{endpoint.id}"
        mail = letters.disabled(endpoint, await institution_of(context, endpoint.institution), page)
        if contact and not await _send(context, endpoint, f"{endpoint.id}-disabled-{endpoint.version}", contact, mail):
            endpoint.due_at = context.clock.now() + _AGAIN_AFTER
            await endpoints.save(endpoint)
            return
        endpoint.told_disabled = True
    endpoint.due_at = None
    await endpoints.save(endpoint)


async def remind(context: Context, recipients: Recipients) -> None:
    """The timer of what is owed: first the endpoint's contact, then the institution's mailbox. Raises Conflict.

    It is saved before it is sent: a reminder that a crash swallows is followed by the next, and the page shows it all.
    """
    everyone = AllRecipients(context, recipients.institution)
    due = recipients.to_remind(context.clock.now())
    recipients = await everyone.put(recipients)
    institution = await institution_of(context, recipients.institution)
    page = f"{context.settings.address}/webhooks/answers-owed"
    for endpoint_id in due:
        owed = recipients.obligations[endpoint_id]
        endpoint = await Endpoints(context, recipients.institution).get(endpoint_id)
        first = owed.reminders == 1 and endpoint is not None and endpoint.listed
        to = (await opened(context, endpoint)).contact if first and endpoint else ""
        to = to or (institution.reply_address if institution else "")
        if endpoint and to:
            key = f"{recipients.id}-{endpoint_id}-{owed.reminders}"
            await _send(context, endpoint, key, to, letters.owed(owed.consumer, owed.asked_at, institution, page))


async def watch_mail(context: Context) -> None:
    """Say when mail cannot be sent; runs in the background."""

    async def waiting() -> Waiting:
        return Waiting()

    await keep_watch(context, waiting)


async def _send(context: Context, endpoint: Endpoint, key: str, to: str, mail: Mail) -> bool:
    """Returns False when it is to be tried again."""
    try:
        await context.mail.send(endpoint.institution, endpoint.id, key, to=to, subject=mail.subject, text=mail.text)
    except MailRefused:
        context.log.warning("the contact of an endpoint takes no mail", extra={"endpoint": endpoint.id})
    except MailUnavailable as error:
        context.log.warning("a notice waits: %s", error, extra={"endpoint": endpoint.id})
        return False
    return True


__all__ = ["remind", "tell_disabled", "watch_mail"]
