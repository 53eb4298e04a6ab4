"""How endpoints and deliveries stand, in plain words (English, translated where shown)."""

from collections.abc import Mapping
from typing import Final

from firsthand.services.webhooks.model import Attempt, Endpoint
from firsthand.services.webhooks.model.delivery import DeliveryState, Failure
from firsthand.services.webhooks.model.endpoint import types_for
from firsthand.shared.events.webhooks import DisabledBecause, OwedAnswer, OwedBecause
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.texts import N_

# Text and tone of a badge.
STATES: Final[Mapping[str, tuple[str, str]]] = {
    "healthy": (N_("working"), "good"),
    "new": (N_("nothing sent yet"), "wait"),
    "failing": (N_("failing"), "stop"),
    "paused": (N_("paused"), "wait"),
    "disabled": (N_("disabled"), "stop"),
}
DISABLED: Final[Mapping[DisabledBecause, str]] = {
    "failing": N_("We disabled it, because it accepted nothing for five days."),
    "gone": N_("We disabled it, because it answered that it no longer exists (410)."),
}
DELIVERIES: Final[Mapping[DeliveryState, tuple[str, str]]] = {
    "waiting": (N_("waiting"), "wait"),
    "delivered": (N_("delivered"), "good"),
    "failed": (N_("failed"), "stop"),
    "aborted": (N_("ended by the receiver"), "off"),
}
FAILURES: Final[Mapping[Failure, str]] = {
    "": "",
    "status": N_("The receiver did not accept it."),
    "refused-address": N_("The address leads to a private network, so nothing was sent."),
    "dns": N_("The name of the server was not found."),
    "connect": N_("The server did not answer."),
    "tls": N_("The server's certificate is not valid for this address."),
    "timeout": N_("There was no answer within 15 seconds."),
    "protocol": N_("The answer was not valid HTTP."),
    "closed": N_("The connection was closed before an answer came."),
    "internal": N_("We could not send it, because of a fault on our side. We try again."),
}
# What can be chosen, in groups: the entities of each, whose whole can be chosen as `<entity>.*`.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    N_("Consent"): ("consent",),
    N_("Deletion"): ("erasure", "discovery", "scheduling", "archive", "webhooks"),
    N_("Invitations"): ("invitation",),
    N_("Meetings"): ("meeting",),
    N_("Recordings"): ("recording",),
    N_("Contacts and cases"): ("contact", "case"),
    N_("Services"): ("service",),
    N_("Institution and endpoints"): ("institution", "endpoint", "obligation"),
}
BECAUSE: Final[Mapping[OwedBecause, str]] = {
    "narrowed": N_("The family allows less than before"),
    "withdrawn": N_("The family withdrew"),
    "erased": N_("The family's data is deleted"),
}
ANSWERS: Final[Mapping[OwedAnswer, str]] = {
    "deleted": N_("deleted"),
    "restricted": N_("locked: kept, but not used"),
    "not-held": N_("nothing was kept"),
}


def state_of(endpoint: Endpoint) -> tuple[str, str]:
    """Give the text and the tone of an endpoint's state."""
    if endpoint.state in {"paused", "disabled"}:
        return STATES[endpoint.state]
    if endpoint.failing_since:
        return STATES["failing"]
    return STATES["healthy" if endpoint.taken_at else "new"]


def failure_of(attempt: Attempt) -> str:
    return FAILURES.get(attempt.error, FAILURES["status"])  # type: ignore[call-overload,no-any-return]  # a newer word


def types_in_groups(institution: InstitutionId) -> dict[str, list[str]]:
    """Give the types that can be chosen, by group; first the prefixes of those entities that have several."""
    possible = types_for(institution)
    found: dict[str, list[str]] = {}
    for group, entities in GROUPS.items():
        types = [type_ for entity in entities for type_ in possible if type_.startswith(f"{entity}.")]
        wholes = [f"{entity}.*" for entity in entities if sum(one.startswith(f"{entity}.") for one in types) > 1]
        if types:
            found[group] = [*wholes, *types]
    return found


__all__ = [
    "ANSWERS",
    "BECAUSE",
    "DELIVERIES",
    "DISABLED",
    "FAILURES",
    "GROUPS",
    "STATES",
    "failure_of",
    "state_of",
    "types_in_groups",
]
