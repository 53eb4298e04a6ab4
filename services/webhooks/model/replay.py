"""Sending an endpoint what happened before it was added, or while it was disabled. Pure."""

from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime

from firsthand.shared.refused import Refused
from firsthand.shared.store import Document
from firsthand.shared.texts import N_

ReplayState = Literal["reading", "done", "stopped"]
# The replica that reads says so more often; when it does not, another one begins again.
LEASE: Final = timedelta(seconds=30)


class Replay(Document):
    """The last replay of one endpoint; id = the endpoint's. `due_at`: when somebody is to read on."""

    kind: ClassVar[str] = "replay"

    since: AwareDatetime
    until: AwareDatetime  # when it was asked for; what happens later is delivered as it happens
    state: ReplayState = "reading"
    found: int = 0  # deliveries made, since it was last begun to be read
    ended_at: AwareDatetime | None = None

    def begin(self, since: datetime, now: datetime) -> None:
        """Raises Refused."""
        if self.version and self.state == "reading":
            raise Refused("reading", N_("Past events are being sent already. Stop that first."))
        if since >= now:
            raise Refused.of_field("since", N_("Enter a time that has passed."))
        self.since, self.until, self.state, self.found, self.ended_at = since, now, "reading", 0, None
        self.due_at = now

    def hold(self, now: datetime) -> None:
        self.due_at = now + LEASE

    def end(self, state: ReplayState, now: datetime) -> None:
        self.state, self.ended_at, self.due_at = state, now, None


__all__ = ["LEASE", "Replay", "ReplayState"]
