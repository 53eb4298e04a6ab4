"""An endpoint of a webhook consumer: which events it hears and whether anything is delivered to it. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime

from firsthand.services.webhooks.model.schedule import DISABLED_AFTER
from firsthand.shared.events.webhooks import DisabledBecause, EndpointState, EndpointStateName
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.inputs import is_name
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_
from firsthand.shared.topology import DELIVERED, OPERATIONAL
from firsthand.shared.vault import Sealed

# `consent.granted`, as people write it, for each type that is delivered to institutions, and to operators.
TYPES: Final = tuple(sorted(f"{event.entity}.{event.name}" for event in DELIVERED))
OPERATORS_TYPES: Final = tuple(sorted(f"{event.entity}.{event.name}" for event in OPERATIONAL))
_FULL: Final = re.compile(r"firsthand\.([a-z-]+\.[a-z-]+)\.v[0-9]+")

MOST_ENDPOINTS: Final = 200  # of one institution
MOST_HEADERS: Final = 20
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # a token of RFC 9110
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?")
# What is ours, or decides where the request goes and how long it is.
_OURS: Final = re.compile(
    r"(webhook-.*|firsthand-.*|host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect"
    r"|user-agent|proxy-.*|accept-encoding)",
    re.IGNORECASE,
)
LONGEST_ROTATION: Final = timedelta(days=7)

Ended = Literal["paused", "disabled", "removed"]


class Endpoint(Document):
    """Where the events of one institution are delivered. Its name is what families read on a certificate."""

    kind: ClassVar[str] = "endpoint"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("listed"), Index.on("state"))
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("listed",),)
    steady: ClassVar[bool] = True

    name: str
    description: str = ""
    url: Sealed  # it may hold a token
    host: str  # of the address, for lists
    contact: Sealed | None = None  # the mail address of who looks after it
    headers: Sealed | None = None  # as JSON
    secret: Sealed
    secret_before: Sealed | None = None  # holds until `before_until`
    key: Sealed  # of ed25519
    key_before: Sealed | None = None
    public_key: str
    before_until: AwareDatetime | None = None

    event_types: list[str]
    cases: list[str] = []
    state: EndpointStateName = "active"
    disabled_because: DisabledBecause | None = None
    disabled_at: AwareDatetime | None = None
    told_disabled: bool = False  # its contact was written to
    a_second: int | None = None  # deliveries; None: no limit
    parallel: int = 4
    ordered: bool = False  # of one journey, the next event waits until the one before is done
    added_at: AwareDatetime
    failing_since: AwareDatetime | None = None  # the first failure since anything was taken
    taken_at: AwareDatetime | None = None  # when something was taken after the last failure, or at all
    listed: bool = True

    def hears(self, type_: str, case_id: str, at: datetime) -> bool:
        """Tell whether an event goes to it: not what happened before it was added, nor while it was disabled."""
        return self.state in {"active", "paused"} and at >= self.added_at and self.wants(type_, case_id)

    def wants(self, type_: str, case_id: str) -> bool:
        """Tell whether such events are meant for it, whenever they happen."""
        if (self.cases and case_id not in self.cases) or type_ not in _whole(self.institution):
            return False
        return any(_fits(pattern, type_) for pattern in self.event_types)

    @property
    def is_failing(self) -> bool:
        return self.state == "active" and self.failing_since is not None

    def told(self) -> EndpointState:
        return EndpointState(
            endpoint_id=self.id,
            state=self.state,
            event_types=self.event_types,
            cases=self.cases,
            disabled_because=self.disabled_because,
            failing_since=self.failing_since,
        )

    def pause(self) -> bool:
        """What is meant for it is kept. False if it is paused already. Raises Refused."""
        if self.state == "disabled":
            raise Refused(
                "disabled",
                N_("Resume it first. Events that happen while it is disabled are not kept."),
                title=N_("This endpoint is disabled"),
            )
        changed, self.state = self.state != "paused", "paused"
        return changed

    def resume(self) -> bool:
        changed = self.state != "active"
        self.state, self.disabled_because, self.disabled_at = "active", None, None
        self.failing_since, self.told_disabled = None, False
        return changed

    def remove(self) -> None:
        self.state, self.listed = "removed", False

    def note_taken(self, at: datetime) -> bool:
        """Note that a delivery was taken; False when nothing of note changed."""
        if self.failing_since is None and self.taken_at is not None:
            return False
        self.failing_since, self.taken_at = None, at
        return True

    def note_failed(self, at: datetime) -> bool:
        """Note that an attempt failed; after five days of that it is disabled. False when nothing changed."""
        if self.failing_since is None:
            self.failing_since = at
            return True
        if self.state == "active" and at - self.failing_since >= DISABLED_AFTER:
            self.disable("failing", at)
            return True
        return False

    def note_gone(self, at: datetime) -> bool:
        """Note that it answered 410: it wants nothing any more. False when it was disabled before."""
        return self.disable("gone", at)

    def disable(self, because: DisabledBecause, at: datetime) -> bool:
        if self.state in {"disabled", "removed"}:
            return False
        self.state, self.disabled_because, self.disabled_at = "disabled", because, at
        self.due_at = at  # its contact is written to
        return True

    def previous_holds(self, now: datetime) -> bool:
        """Tell whether what was rotated away still signs."""
        return self.before_until is not None and now < self.before_until


def types_for(institution: InstitutionId) -> tuple[str, ...]:
    """The types that an institution's endpoints can hear, or the deployment's."""
    return OPERATORS_TYPES if institution == DEPLOYMENT else TYPES


def checked_types(given: Iterable[str], institution: InstitutionId) -> list[str]:
    """Give event types in one spelling, without repeats: `consent.granted`, `consent.*`, `*`. Raises Refused."""
    found: list[str] = []
    possible = _whole(institution)
    for one in given:
        whole = _FULL.fullmatch(one)
        plain = whole[1] if whole else one.removeprefix("firsthand.")
        if not any(_fits(plain, type_) for type_ in possible):
            raise Refused.of_field(
                "event_types", N_("Choose event types from the list, for example consent.granted or consent.*.")
            )
        if plain not in found:
            found.append(plain)
    if not found:
        raise Refused.of_field("event_types", N_("Choose at least one event type."))
    return found


def types_of(pattern: str, institution: InstitutionId) -> tuple[str, ...]:
    """Give the whole types that a pattern means. Raises Refused where it means none."""
    (plain,) = checked_types([pattern], institution)
    return tuple(type_ for type_ in _whole(institution) if _fits(plain, type_))


def checked_name(name: str, host: str) -> str:
    """Give a name, which is the host's where none was given. Raises Refused."""
    if not (name := name or host) or not is_name(name) or len(name) > _LONGEST_NAME:
        raise Refused.of_field("name", N_("Enter a name that families can recognize, for example Learning platform."))
    return name


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Raises Refused for what is no header, or one of ours."""
    if len(headers) > MOST_HEADERS:
        raise Refused.of_field("headers", N_("Add at most 20 headers."))
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Refused.of_field(
                "headers", N_("Write one header per line, for example Authorization: Bearer 123, in ASCII characters.")
            )
        if _OURS.fullmatch(name):
            raise Refused.of_field("headers", N_("This header is set by Firsthand. Choose another name."))
    return dict(headers)


_LONGEST_NAME: Final = 80


@lru_cache(maxsize=1024)
def _whole(institution: InstitutionId) -> tuple[str, ...]:
    return tuple(f"firsthand.{type_}.v1" for type_ in types_for(institution))


def _fits(pattern: str, type_: str) -> bool:
    """Tell whether a full type (`firsthand.consent.granted.v1`) is meant by an endpoint's pattern."""
    plain = type_.removeprefix("firsthand.").rpartition(".v")[0]
    return plain.startswith(pattern[:-1]) if pattern.endswith("*") else plain == pattern


__all__ = [
    "LONGEST_ROTATION",
    "MOST_ENDPOINTS",
    "OPERATORS_TYPES",
    "TYPES",
    "Endpoint",
    "checked_headers",
    "checked_name",
    "checked_types",
    "types_for",
    "types_of",
]
