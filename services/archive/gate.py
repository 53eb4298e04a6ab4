"""The live consent gate: nothing plays unless the consent in force is known, now, and allows it.

Archive's store is a moment behind consent's, or far behind while this service catches up. So each replica also hears
every consent event for itself, from the place up to which the durable has stored everything, and keeps what the store
does not know yet (`overrides`). Both together are complete. Consent's pulse says up to where its events go; without a
fresh pulse, or with one that names an event not yet heard, the gate is shut.

What may narrow or end a consent is also heard through a second consumer, which brings nothing else: so it waits behind
nobody, and whoever may see no more is cut off in the turn of the event loop in which it comes.

An event that only a newer release understands, and one that the durable could not take (a dead letter), closes the
contact that it names, until a later event of that contact is understood. Everything else goes on. What names nobody
closes nothing.

Several replicas of consent beat, and a beat may come late: through a connection that was held up, or because its sender
or this process was stopped for a while. So a beat is as old as the look that it tells of, by its sender's clock, and
one with a lower sequence takes nothing back. From then on it ages by the time that passes, whatever clocks are set to.

Who asks while the gate is about to know, as in the first second after a start, waits for a moment; who is being shown a
recording meanwhile is given nothing, and is cut off sooner.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import nats.errors

from firsthand.services.archive.model import Learners, Recording, Viewer, is_shown_to_nobody
from firsthand.services.archive.repository import Recordings
from firsthand.shared.bus import Listener
from firsthand.shared.copies import case_of
from firsthand.shared.events import AnyEvent, Envelope
from firsthand.shared.events.consent import ConsentRecordState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.topology import CONSENT_PULSE, STREAMS, durables_of

PULSE_LASTS: Final = timedelta(seconds=5)
# So far may a clock of consent's go ahead of ours: a dead consent is believed for that much longer. One that goes
# behind is believed for that much shorter.
_CLOCKS_DIFFER: Final = timedelta(seconds=2)

_STREAM: Final = STREAMS["consent"].name
_HANDLER: Final = "follow_consent"  # what brings consents into the store
_LETTERS: Final = "read_dead_letters"  # the listening that names the dead letters of this handler
_REPLAYS: Final = "read_replays"  # ... and what it is given once more
# What that handler is given; a consent is as it was before, whatever else is told of an invitation or an erasure.
_RULES: Final = next(durable.events for durable in durables_of("archive") if durable.handler == _HANDLER)
_LOOK_EVERY: Final = 0.25  # seconds between two looks at how far the durable has come
_PRUNE_EVERY: Final = 40  # looks
_COUNT_LETTERS_EVERY: Final = 20  # looks; a replayed or discarded dead letter opens its contact within this time
_READINGS: Final = 5  # of the dead letters, until they stay the same meanwhile
# A pulse may overtake the event that it names by a moment; within this time the event is here or something is wrong.
CATCH_UP: Final = 0.5  # seconds
# Who begins waits longer, for the first pulse after a start, or on a busy machine. Consent's pulses are a second apart.
PATIENCE: Final = 2.0  # seconds

Key = tuple[InstitutionId, str]  # institution and contact


class CannotTell(Exception):  # noqa: N818 - says what is the case
    """Whether the family allows it cannot be known at this moment. That is not the family's doing."""


class NotOpen(Exception):  # noqa: N818 - says what is the case
    """The viewer may not see it, or there is no such recording. No reason is given."""


class StreamWentBack(Exception):  # noqa: N818 - says what is the case
    """Consent's stream ends before a place that was told of, as after a restore: what was heard says nothing."""


@dataclass(frozen=True)
class Override:
    """A consent that the store may not know yet."""

    consent: ConsentRecordState
    sequence: int  # of consent's document


@dataclass(eq=False)
class Watcher:
    """Somebody to whom a recording is shown."""

    viewer: Viewer
    sequence: int  # of the consent under which it was admitted
    cut_off: Callable[[], None]
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # set whenever the consent changes

    def hear(self, consent: ConsentRecordState, sequence: int) -> None:
        if sequence > self.sequence and is_shown_to_nobody(consent, self.viewer):
            self.cut_off()
        self.changed.set()


class Gate:
    """The gate of one replica. `keep_watch` runs as long as the service."""

    def __init__(self, context: Context) -> None:
        self._context = context
        # These are readings of `Clock.elapsed`, which nobody sets.
        self._began = context.clock.elapsed()
        self._pulse_at: timedelta | None = None  # when the last known look of consent's began
        self._told_at: timedelta | None = None  # when a pulse named `_last_told` last
        self._last_told = 0  # the highest stream sequence that a pulse named
        self._clocks_agree = True
        self._listener: Listener | None = None
        self._heard = 0  # stream sequence
        self._stored = 0  # stream sequence up to which the store is complete
        self._covered = False  # everything that the store does not know is heard, and the dead letters are read
        self._overrides: dict[Key, Override] = {}
        # The highest sequence of a contact's consent that is not understood, or that the durable could not take.
        self._unclear: dict[Key, int] = {}
        self._letters: dict[Key, int] = {}
        self._letters_seen = (-1, 0, 0)  # kept, given again, given again and done with
        self._nameless_letters = 0
        self._watchers: defaultdict[Key, set[Watcher]] = defaultdict(set)
        self._moved = asyncio.Event()
        self.listening = asyncio.Event()  # set once events and beats are listened for
        self._ended = False

    # -- deciding

    async def admit(
        self,
        institution: InstitutionId,
        contact_id: str,
        viewer: Viewer,
        *,
        download: bool = False,
        words: bool = False,
        within: float = PATIENCE,
    ) -> Recording:
        """Give the recording as it stands now, if this viewer may see it now; with `words` also read it, with
        `download` also keep it. Raises NotOpen, and CannotTell after `within` seconds.
        """
        await self.be_sure(within=within)
        recording = await self.standing(institution, contact_id)
        if recording is None:
            raise NotOpen
        if self.is_unclear(recording):
            raise CannotTell
        learners = await self._learners(recording)
        allowed = recording.plays_to(viewer, learners, self._context.clock.now())
        if (
            not allowed
            or (download and not recording.downloads_to(viewer))
            or (words and not recording.reads_to(viewer))
        ):
            raise NotOpen
        return recording

    async def standing(self, institution: InstitutionId, contact_id: str) -> Recording | None:
        """The recording under the newest consent that this replica knows of, whether or not the gate is open."""
        key = (institution, contact_id)
        before = self._overrides.get(key)  # while we read, the store may come to know it and we forget it
        recording = await Recordings(self._context, institution).get(contact_id)
        override = self._overrides.get(key) or before
        if recording is None or override is None:
            return recording
        return recording.under(override.consent, override.sequence, self._context.clock.now())

    def is_unclear(self, recording: Recording) -> bool:
        """Whether consent said something later of this contact than what `recording` stands under."""
        key = (recording.institution, recording.id)
        return max(self._unclear.get(key, 0), self._letters.get(key, 0)) > recording.consent_sequence

    @property
    def sure(self) -> bool:
        """Whether every consent in force is known now, except of the contacts that are closed by themselves."""
        return not self._why_shut()

    def _why_shut(self) -> str:
        """Say what keeps everything from playing; empty while the gate is open."""
        if not self._pulse_is_fresh():
            return "Nothing plays: consent gives no sign of life. See whether consent runs and reaches NATS."
        if not self._complete:
            return "Nothing plays yet: what consent said is still being read."
        if self._applied < self._last_told:
            return "Nothing plays: an event that consent published has not been heard yet."
        return ""

    @contextlib.contextmanager
    def watch(self, recording: Recording, viewer: Viewer, cut_off: Callable[[], None]) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the consent of this contact changes. `cut_off` is called before, in the
        same turn of the event loop, when it alone rules out that this viewer may see more.
        """
        key = (recording.institution, recording.id)
        watcher = Watcher(viewer, recording.consent_sequence, cut_off)
        self._watchers[key].add(watcher)
        try:
            yield watcher.changed
        finally:
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]

    async def be_sure(self, *, within: float = PATIENCE) -> None:
        """Raises CannotTell, after having waited for `within` seconds, unless every consent in force is known now.

        At once when consent's pulse has stopped: nobody knows when it comes again.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not (self.sure or self._is_silent):
                    self._moved.clear()
                    await self._moved.wait()
        if not self.sure:
            self.report()
            raise CannotTell

    def _pulse_is_fresh(self) -> bool:
        return self._pulse_at is not None and self._context.clock.elapsed() - self._pulse_at < PULSE_LASTS

    @property
    def _is_silent(self) -> bool:
        return self._ended or (self._pulse_at is not None and not self._pulse_is_fresh())

    @property
    def _begins(self) -> bool:
        """Whether the first pulse may still be on its way."""
        young = self._context.clock.elapsed() - self._began < timedelta(seconds=PATIENCE)
        return young and self._pulse_at is None and not self._ended

    @property
    def _complete(self) -> bool:
        """Whether store and overrides together hold every consent up to `_applied`; trivially while none was told."""
        return self._covered or self._last_told == 0

    @property
    def _applied(self) -> int:
        return max(self._heard, self._stored)

    async def _learners(self, recording: Recording) -> Learners:
        case = await case_of(self._context, recording.institution, recording.contact.case_id)
        tutors = {recording.contact.tutor_id, *(case.tutors if case else ())} - {""}
        return Learners(cohorts=frozenset(case.cohorts if case else ()), tutors=frozenset(tutors))

    # -- hearing

    async def keep_watch(self) -> None:
        """Listen to consent for as long as the service runs."""
        self._stored = await self._context.bus.acknowledged(_HANDLER)
        bus = self._context.bus
        async with contextlib.AsyncExitStack() as stack:  # what was begun ends, also when the next cannot begin
            watching = await bus.listen("watch_consent", self._hear, unreadable=self._close, since=self._stored)
            self._listener = await stack.enter_async_context(watching)
            urgent = await bus.listen("watch_withdrawals", self._hear_first, unreadable=self._close_first, since="new")
            await stack.enter_async_context(urgent)
            await stack.enter_async_context(await bus.on_beat(CONSENT_PULSE, self._feel))
            self._began = self._context.clock.elapsed()
            self.listening.set()
            try:
                await self._keep_looking()
            finally:
                self._pulse_at, self._ended = None, True  # who still asks this gate is told that it cannot tell
                self._moved.set()
                self._context.impair("gate", [])

    async def _keep_looking(self) -> None:
        looks = 0
        while True:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):  # NATS is away: the pulse is too
                await self._look()
                if looks % _COUNT_LETTERS_EVERY == 0:
                    await self._read_letters()
            self.report()
            looks += 1
            if looks % _PRUNE_EVERY == 0:
                await self._prune()
            await asyncio.sleep(_LOOK_EVERY)

    async def _hear(self, event: AnyEvent, stream_sequence: int) -> None:
        self._obey(event)
        self._heard = max(self._heard, stream_sequence)
        self._moved.set()

    async def _hear_first(self, event: AnyEvent, _stream_sequence: int) -> None:
        """Hear an urgent event, perhaps before what came before it: so it says nothing of what is heard up to it."""
        self._obey(event)

    def _obey(self, event: AnyEvent) -> None:
        key = (event.institution, event.subject)
        # Any later event carries the whole state, so it also clears up what was not understood.
        if isinstance(event, _RULES) or key in self._unclear or key in self._letters:
            known = self._overrides.get(key)
            if known is None or known.sequence < event.sequence:
                self._overrides[key] = Override(event.data.consent, event.sequence)
            for unclear in (self._unclear, self._letters):
                if event.sequence > unclear.get(key, 0):
                    unclear.pop(key, None)
            for watcher in [*self._watchers.get(key, ())]:
                watcher.hear(event.data.consent, event.sequence)

    async def _close(self, envelope: Envelope, stream_sequence: int) -> None:
        """Close the contact of an event that this release does not understand."""
        await self._close_first(envelope, stream_sequence)
        self._heard = max(self._heard, stream_sequence)
        self._moved.set()

    async def _close_first(self, envelope: Envelope, _stream_sequence: int) -> None:
        key = (envelope.institution, envelope.subject)
        self._unclear[key] = max(envelope.sequence, self._unclear.get(key, 0))
        self._wake(key)
        self.report()

    def _wake(self, key: Key) -> None:
        for watcher in self._watchers.get(key, ()):
            watcher.changed.set()

    async def _feel(self, payload: bytes) -> None:
        try:
            told = json.loads(payload)
            sequence, at = int(told["sequence"]), datetime.fromisoformat(told["at"])
            age = self._context.clock.now() - at
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return  # what cannot be read is no sign of life
        elapsed = self._context.clock.elapsed()
        if sequence >= self._last_told:
            self._last_told, self._told_at = sequence, elapsed
        agree = -_CLOCKS_DIFFER <= age < PULSE_LASTS
        if agree:
            looked = elapsed - max(age, timedelta(0))
            self._pulse_at = max(self._pulse_at or looked, looked)
        elif self._clocks_agree:
            self._context.log.warning("a pulse of consent is late, or the clocks differ", extra={"by": str(age)})
        self._clocks_agree = agree
        self._moved.set()

    async def _look(self) -> None:
        """See how far the durable has stored, as long as that can matter. Raises StreamWentBack."""
        told = self._told_at
        if self._pulse_is_fresh() and told is not None and self._context.clock.elapsed() - told >= PULSE_LASTS:
            raise StreamWentBack(f"{_STREAM} ends before {self._last_told}")
        if self._covered and self._applied >= self._last_told:
            return
        assert self._listener is not None
        stored = await self._context.bus.acknowledged(_HANDLER)
        # Asked second: what became a dead letter was acknowledged before, and is not in the store.
        await self._read_letters()
        self._covered, self._stored = True, max(self._stored, stored)
        if self._applied < self._last_told:
            # Events of institutions that are served elsewhere are never heard here, and while one of ours waits for a
            # release that understands it, what is acknowledged says nothing of those after it.
            self._heard = max(self._heard, await self._listener.heard(_STREAM))
        self._moved.set()

    async def _read_letters(self) -> None:
        """Close the contacts that dead letters name, until the store knows better or the letter is discarded.

        Raises TimeoutError when they change all the time.
        """
        for _ in range(_READINGS):
            counts = await self._count_letters()
            if counts == self._letters_seen:
                return
            kept, again, done = counts
            letters = await self._context.bus.letters(_LETTERS) if kept else []
            replays = await self._context.bus.letters(_REPLAYS, since=done) if again else []
            if counts == await self._count_letters():  # else one could have gone from here to there while we read
                break
        else:
            raise TimeoutError
        named: dict[Key, int] = {}
        for letter in (*letters, *replays):
            key = (letter.institution, letter.subject)
            if not await self._is_overtaken(key, letter.sequence):
                named[key] = max(letter.sequence, named.get(key, 0))
        before, self._letters = self._letters, named
        self._letters_seen, self._nameless_letters = counts, max(0, kept - len(letters))
        for key in {*before, *named}:
            self._wake(key)

    async def _count_letters(self) -> tuple[int, int, int]:
        """Count the dead letters, those given once more, and up to where those are done with.

        In this order: one is given again before it is removed, so it is counted in one of the two.
        """
        kept = await self._context.bus.letters_kept(_HANDLER)
        return kept, *await self._context.bus.given_again()

    async def _is_overtaken(self, key: Key, sequence: int) -> bool:
        """Whether this replica or the store knows a consent of this contact that is as late, or later."""
        override = self._overrides.get(key)
        if override and override.sequence >= sequence:
            return True
        institution, contact_id = key
        stored = await Recordings(self._context, institution).get(contact_id)
        return stored is not None and stored.consent_sequence >= sequence

    def report(self) -> None:
        """Tell operators how the gate stands: readiness, log (once a change) and metrics. Nobody is named."""
        shut = self._why_shut()
        unclear, letters = len(self._unclear), len(self._letters)
        said = [shut] if shut and not self._begins else []
        if unclear:
            said.append(
                f"The recordings of {unclear} contact(s) do not play: this release does not understand what consent "
                "said of them. Upgrade archive."
            )
        if letters:
            said.append(
                f"The recordings of {letters} contact(s) do not play: archive could not take what consent said of "
                "them. See `firsthand dead-letters list`, then replay or discard."
            )
        if self._nameless_letters:
            said.append(
                f"{self._nameless_letters} dead letter(s) of archive name no contact and close nothing. See "
                "`firsthand dead-letters list`."
            )
        self._context.impair("gate", said)
        self._context.metrics.gate(shut=bool(shut), closed_contacts=len({*self._unclear, *self._letters}))

    async def _prune(self) -> None:
        """Forget what the store has come to know itself."""
        for (institution, contact_id), override in list(self._overrides.items()):
            stored = await Recordings(self._context, institution).get(contact_id)
            known = self._overrides.get((institution, contact_id))
            if stored and stored.consent_sequence >= override.sequence and known is override:
                del self._overrides[institution, contact_id]
        for unclear in (self._unclear, self._letters):
            for key, sequence in list(unclear.items()):
                if await self._is_overtaken(key, sequence) and unclear.get(key) == sequence:  # e.g. a newer replica
                    del unclear[key]


def gate_of(context: Context) -> Gate:
    """Give the gate of this replica; it is shut while it is not watched."""
    return context.own(Gate)


async def watch_consent(context: Context) -> None:
    """Keep the gate of this replica; runs in the background. Begun again, it starts with a gate that knows nothing."""
    await context.renew(Gate).keep_watch()
