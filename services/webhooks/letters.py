"""The mails about an endpoint: to the person who looks after it, and to its institution."""

from dataclasses import dataclass
from datetime import datetime

from firsthand.services.webhooks.model import Endpoint
from firsthand.services.webhooks.words import PAGES
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.texts import N_

_DISABLED = {
    "failing": N_("Your system accepted nothing for five days, so Firsthand sends it nothing more."),
    "gone": N_("Your system answered that it no longer exists (410), so Firsthand sends it nothing more."),
}


@dataclass(frozen=True)
class Mail:
    """A mail for the mailer."""

    subject: str
    text: str


def disabled(endpoint: Endpoint, institution: InstitutionState | None, address: str) -> Mail:
    """Say that nothing is sent to an endpoint any more. `address`: of its page."""
    words = PAGES.in_language(_language(institution))
    return Mail(
        words.gettext(N_("Webhooks to %(name)s are disabled")) % {"name": endpoint.name},
        "\n\n".join(
            (
                words.gettext(_DISABLED[endpoint.disabled_because or "failing"]),
                words.gettext(N_("A coordinator at %(institution)s can resume it here, and send failed events again:"))
                % {"institution": institution.name if institution else endpoint.institution},
                address,
            )
        ),
    )


def owed(name: str, since: datetime, institution: InstitutionState | None, address: str) -> Mail:
    """Remind of an answer that a consumer owes. `name`: the consumer's. `address`: of the page of answers owed."""
    words = PAGES.in_language(_language(institution))
    told = {"name": name, "day": words.date(since, "long")}
    return Mail(
        words.gettext(N_("%(name)s owes an answer about deletion")) % told,
        "\n\n".join(
            (
                words.gettext(
                    N_(
                        "On %(day)s a family took something back, and Firsthand asked %(name)s what it did with what "
                        "it had been sent. No answer has come."
                    )
                )
                % told,
                words.gettext(
                    N_(
                        "Your system answers to the address in the header firsthand-answer-to of that event. A "
                        "coordinator can record the answer here:"
                    )
                ),
                address,
            )
        ),
    )


def _language(institution: InstitutionState | None) -> str:
    return institution.languages[0] if institution and institution.languages else "en"


__all__ = ["Mail", "disabled", "owed"]
