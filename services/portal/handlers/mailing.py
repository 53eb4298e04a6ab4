"""Mailing sign-in links to who asks: how often, and those that wait until mail can be sent."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from firsthand.services.portal.handlers.sign_in import Asked, ask_for_link
from firsthand.services.portal.model.limits import Limit
from firsthand.services.portal.model.people import one_spelling
from firsthand.services.portal.model.sign_in import LINK_LIFE, hashed
from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.mail import MailUnavailable
from firsthand.shared.mail_watch import Waiting, keep_watch
from firsthand.shared.service import Context
from firsthand.shared.store import StoreError

Mail = Callable[[Asked], Awaitable[None]]  # raises MailRefused, MailUnavailable

_WITHIN: Final = timedelta(minutes=15)
_A_CLIENT: Final = 100  # links in that time: a class behind one address of its school signs in at the same time
_A_CLIENT_FOR_ONE: Final = 5  # for one person
_A_PERSON: Final = 30  # from all clients; further ones are not needed, because those that were mailed still work
_AGAIN: Final = 30.0  # seconds until a link that the mail server put off is offered again


class SignInDesk:
    """Who asked this replica for a link lately, and the links that it is mailing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_client, self._by_both = Limit(_A_CLIENT, _WITHIN), Limit(_A_CLIENT_FOR_ONE, _WITHIN)
        self._by_person = Limit(_A_PERSON, _WITHIN)
        self._mailing: set[asyncio.Task[None]] = set()
        self.waiting = 0  # links that could not be mailed so far

    def ask(self, client: str, institution: str, email: str, mail: Mail) -> int:
        """Have a link mailed beside the answer, so that neither its words nor its time tell whom we know. If the
        process ends meanwhile, the person asks again.

        Returns the seconds that a client must wait which asks too often, else 0. Nobody is refused for what other
        clients asked: a person who was sent very many links is sent no further one, and has one that works.
        """
        now, person = self._context.clock.now(), hashed(f"{institution} {one_spelling(email)}")
        if seconds := self._by_client.wait(client, now) or self._by_both.wait((client, person), now):
            return seconds
        if self._by_person.wait(person, now):
            self._context.log.warning("many links are asked for one person", extra={"institution": institution})
            return 0
        task = asyncio.create_task(self._mail_link(institution, email, mail))
        self._mailing.add(task)
        task.add_done_callback(self._mailing.discard)
        return 0

    async def _mail_link(self, institution: str, email: str, mail: Mail) -> None:
        """Mail a link, as soon as mail can be sent while the link still opens something."""
        context, waits, at = self._context, False, {"institution": institution}
        try:
            async with asyncio.timeout(LINK_LIFE.total_seconds()):
                if (found := await ask_for_link(context, institution, email)) is None:
                    return None
                while True:
                    try:
                        return await mail(found)
                    except MailUnavailable as error:
                        self.waiting, waits = self.waiting + (not waits), True
                        context.log.warning("a sign-in link waits: %s", error, extra=at)
                        await (context.mail.state.well.wait() if error.any_mail else asyncio.sleep(_AGAIN))
        except TimeoutError:
            context.log.warning("a sign-in link was never mailed", extra=at)
        except (Transient, Hopeless, StoreError) as error:
            context.log.warning("a sign-in link was not mailed: %s", error, extra=at)
        finally:
            self.waiting -= waits


async def watch_mail(context: Context) -> None:
    """Say when sign-in links cannot be mailed; runs in the background."""

    async def waiting() -> Waiting:
        return Waiting(context.own(SignInDesk).waiting)

    await keep_watch(context, waiting)
