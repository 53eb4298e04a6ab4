"""How a service of the deployment is, as webhooks saw it, and when that is told to operators. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import AwareDatetime

from firsthand.shared.events.webhooks import ServiceImpairedV1, ServiceRecoveredV1, ServiceState
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.status import Status
from firsthand.shared.store import Document

NO_ANSWER = "No replica answers."


class Condition(Document):
    """What was told last of one service; id = its name. It belongs to the deployment."""

    kind: ClassVar[str] = "condition"

    problems: list[str] = []
    impaired: list[str] = []
    versions: list[str] = []
    since: AwareDatetime
    # Seen once: told when it is seen a second time, so that a restart is no alarm.
    seen: list[list[str]] | None = None

    def see(self, statuses: Sequence[Status], now: datetime) -> type[ServiceImpairedV1 | ServiceRecoveredV1] | None:
        """Take what all replicas say. Returns the event that tells of a change, the second time that it is seen."""
        problems = sorted({text for one in statuses for text in one.problems}) if statuses else [NO_ANSWER]
        impaired = sorted({text for one in statuses for text in one.impaired})
        versions = sorted({one.version for one in statuses if one.version}) or self.versions
        if (problems, impaired) == (self.problems, self.impaired):
            self.seen = None
            return None
        if self.seen != [problems, impaired]:
            self.seen = [problems, impaired]
            return None
        self.problems, self.impaired, self.versions, self.since, self.seen = problems, impaired, versions, now, None
        return ServiceImpairedV1 if problems or impaired else ServiceRecoveredV1

    @classmethod
    def well(cls, service: str, now: datetime) -> "Condition":
        """One of which nothing was told yet."""
        return cls(id=service, institution=DEPLOYMENT, since=now)

    def told(self) -> ServiceState:
        return ServiceState(
            service=self.id,
            problems=self.problems,
            impaired=self.impaired,
            versions=self.versions,
            since=self.since,
        )


__all__ = ["NO_ANSWER", "Condition"]
