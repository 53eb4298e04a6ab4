"""Every page that there is: its route, who sees it, and an address where it shows something.

A route that answers GET outside the JSON interfaces and stands neither here nor in `NOT_PAGES` fails a test, so that
no new page is forgotten. Places in braces are filled from `House` (see `Places`).
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi.routing import iter_route_contexts

SERVICES = ("archive", "consent", "discovery", "portal", "scheduling", "webhooks")


@dataclass(frozen=True)
class PageAt:
    """One page. `who`: anybody, a role, or `family <stage>`; `route` is empty for what no route answers."""

    who: str
    route: str
    address: str
    status: int = 200

    def __str__(self) -> str:
        return f"{self.who}: {self.address}"


# Why a route that answers GET has no page of its own.
NOT_PAGES = {
    "/archive/media/{contact_id}": "the recording itself",
    "/archive/family/media": "the recording itself",
    "/archive/captions/{contact_id}/{language}/{form}": "its captions",
    "/archive/family/captions/{language}/{form}": "its captions",
    "/consent/family/questions": "leads to the first open question",
    "/portal/journeys.csv": "a table to download",
    "/portal/figures.csv": "a table to download",
    "/portal/": "leads to today or to signing in",
    "/portal/session/renew": "leads on, or to signing in",
    "/scheduling/family/meeting.ics": "a calendar file",
    "/scheduling/meetings/{contact_id}/{_action}": "leads back to the meeting, after a form that was refused",
}

PAGES = (
    PageAt("anybody", "/portal/sign-in", "/portal/sign-in"),
    PageAt("anybody", "/portal/sign-in/{slug}/{secret:path}", "/portal/sign-in/{slug}/nothing", 410),
    PageAt("anybody", "/portal/sign-in/{slug}/{secret:path}", "{sign_in_link}"),
    PageAt("anybody", "/portal/mail", "/portal/mail"),
    PageAt("anybody", "/consent/i/{slug}/{token:path}", "{linked_link}"),
    PageAt("anybody", "/consent/family/renew", "/consent/family/renew", 401),
    PageAt("anybody", "", "/portal/nothing", 404),
    PageAt("tutor", "/portal/today", "/portal/today"),
    PageAt("student", "/portal/today", "/portal/today"),
    PageAt("operator", "/portal/today", "/portal/today"),
    PageAt("coordinator", "/portal/today", "/portal/today"),
    PageAt("tutor", "/portal/tasks/{kind}", "/portal/tasks/remind"),
    PageAt("coordinator", "/portal/tasks/{kind}", "/portal/tasks/meeting"),
    PageAt("coordinator", "/portal/tasks/{kind}", "/portal/tasks/coming"),
    PageAt("tutor", "/portal/journeys", "/portal/journeys"),
    PageAt("tutor", "/portal/journeys", "/portal/journeys?stage=expired"),
    PageAt("tutor", "/portal/journeys/{contact_id}", "/portal/journeys/{released}"),
    PageAt("tutor", "/portal/journeys/{contact_id}", "/portal/journeys/{erased}"),
    PageAt("coordinator", "/portal/people", "/portal/people"),
    PageAt("coordinator", "/portal/people/new", "/portal/people/new"),
    PageAt("coordinator", "/portal/people/{person_id}", "/portal/people/{tutor_id}"),
    PageAt("coordinator", "/portal/cohorts", "/portal/cohorts"),
    PageAt("coordinator", "/portal/cohorts", "/portal/cohorts?edit=year-3"),
    PageAt("coordinator", "/portal/institution", "/portal/institution"),
    PageAt("coordinator", "/portal/mail", "/portal/mail"),
    PageAt("tutor", "/discovery/cases", "/discovery/cases"),
    PageAt("tutor", "/discovery/cases", "/discovery/cases?state=closed"),
    PageAt("coordinator", "/discovery/cases/new", "/discovery/cases/new"),
    PageAt("tutor", "/discovery/cases/{case_id}", "/discovery/cases/{case_id}"),
    PageAt("coordinator", "/discovery/cases/{case_id}", "/discovery/cases/{case_id}"),
    PageAt("coordinator", "/discovery/cases/{case_id}/edit", "/discovery/cases/{case_id}/edit"),
    PageAt("coordinator", "/discovery/cases/{case_id}/close", "/discovery/cases/{case_id}/close"),
    PageAt("student", "/discovery/nominate", "/discovery/nominate"),
    PageAt("tutor", "/discovery/leads", "/discovery/leads?case={case_id}"),
    PageAt("tutor", "/discovery/leads/{lead_id}", "/discovery/leads/{lead_id}"),
    PageAt("tutor", "/discovery/contacts/{contact_id}", "/discovery/contacts/{booked}"),
    PageAt("tutor", "/consent/invitations", "/consent/invitations"),
    PageAt("tutor", "/consent/invitations", "/consent/invitations?show=ended"),
    PageAt("tutor", "/consent/invitations", "/consent/invitations?after=nowhere", 400),
    PageAt("tutor", "/consent/invitations/{contact_id}", "/consent/invitations/{prepared}"),
    PageAt("tutor", "/consent/invitations/{contact_id}", "/consent/invitations/{sent}"),
    PageAt("tutor", "/consent/invitations/{contact_id}", "/consent/invitations/{linked}"),
    PageAt("tutor", "/consent/invitations/{contact_id}", "/consent/invitations/{booked}"),
    PageAt("tutor", "/consent/texts/{case_id}", "/consent/texts/{case_id}"),
    PageAt("coordinator", "/consent/texts/{case_id}", "/consent/texts/{case_id}?language=ar"),
    PageAt("coordinator", "/consent/texts/{case_id}/{language}/{number}", "/consent/texts/{case_id}/en/1"),
    PageAt("tutor", "/scheduling/meetings", "/scheduling/meetings"),
    PageAt("tutor", "/scheduling/meetings", "/scheduling/meetings?show=coming"),
    PageAt("tutor", "/scheduling/meetings", "/scheduling/meetings?show=to-close"),
    PageAt("tutor", "/scheduling/meetings/{contact_id}", "/scheduling/meetings/{booked}"),
    PageAt("tutor", "/scheduling/meetings/{contact_id}", "/scheduling/meetings/{offered}"),
    PageAt("tutor", "/scheduling/meetings/{contact_id}", "/scheduling/meetings/{uploaded}"),
    PageAt("tutor", "/scheduling/availability", "/scheduling/availability"),
    PageAt("tutor", "/scheduling/availability/{case_id}", "/scheduling/availability/{case_id}"),
    PageAt("tutor", "/archive/recordings", "/archive/recordings"),
    PageAt("student", "/archive/recordings", "/archive/recordings"),
    PageAt("tutor", "/archive/recordings/{contact_id}", "/archive/recordings/{uploaded}"),
    PageAt("tutor", "/archive/recordings/{contact_id}", "/archive/recordings/{released}"),
    PageAt("student", "/archive/watch/{contact_id}", "/archive/watch/{released}"),
    PageAt("tutor", "/archive/watch/{contact_id}", "/archive/watch/{released}"),
    PageAt("student", "/archive/search", "/archive/search"),
    PageAt("student", "/archive/search", "/archive/search?q=mother"),
    PageAt("student", "/archive/search", "/archive/search?q=nobody+says+this"),
    PageAt("coordinator", "/webhooks/endpoints", "/webhooks/endpoints"),
    PageAt("coordinator", "/webhooks/endpoints/new", "/webhooks/endpoints/new"),
    PageAt("coordinator", "/webhooks/endpoints/{endpoint_id}", "/webhooks/endpoints/{endpoint_id}"),
    PageAt("coordinator", "/webhooks/endpoints/{endpoint_id}/edit", "/webhooks/endpoints/{endpoint_id}/edit"),
    PageAt("coordinator", "/webhooks/endpoints/{endpoint_id}/remove", "/webhooks/endpoints/{endpoint_id}/remove"),
    PageAt(
        "coordinator",
        "/webhooks/endpoints/{endpoint_id}/deliveries/{delivery_id}",
        "/webhooks/endpoints/{endpoint_id}/deliveries/{delivery_id}",
    ),
    PageAt("coordinator", "/webhooks/answers-owed", "/webhooks/answers-owed"),
    *(
        PageAt(
            "operator",
            f"/webhooks/deployment/endpoints{path}",
            f"/webhooks/deployment/endpoints{path.replace('{', '{operators_')}",
        )
        for path in (
            "",
            "/new",
            "/{endpoint_id}",
            "/{endpoint_id}/edit",
            "/{endpoint_id}/remove",
            "/{endpoint_id}/deliveries/{delivery_id}",
        )
    ),
    PageAt("student", "", "/discovery/leads", 403),
    PageAt("tutor", "", "/discovery/leads/nobody", 404),
    PageAt("tutor", "", "/portal/journeys?stage=nowhere", 422),
    PageAt("family linked", "/consent/family/about", "/consent/family/about"),
    PageAt("family linked", "/consent/family/what-happens", "/consent/family/what-happens"),
    PageAt("family linked", "/consent/family/questions/{name}", "/consent/family/questions/signer"),
    PageAt("family linked", "/consent/family/questions/{name}", "/consent/family/questions/child_assent"),
    PageAt("family linked", "/consent/family/questions/{name}", "/consent/family/questions/decides_alone"),
    PageAt("family linked", "/consent/family/questions/{name}", "/consent/family/questions/name"),
    PageAt("family linked", "/consent/family/questions/{name}", "/consent/family/questions/record-video"),
    PageAt("family linked", "/consent/family/review", "/consent/family/review"),
    PageAt("family linked", "/consent/family/no", "/consent/family/no"),
    PageAt("family linked", "", "/scheduling/family/nothing", 404),
    PageAt("family offered", "/consent/family", "/consent/family"),
    PageAt("family offered", "/consent/family/change", "/consent/family/change"),
    PageAt("family offered", "/consent/family/withdraw", "/consent/family/withdraw"),
    PageAt("family offered", "/consent/family/receipt", "/consent/family/receipt"),
    PageAt("family offered", "/consent/family/history", "/consent/family/history"),
    PageAt("family offered", "/scheduling/family/place", "/scheduling/family/place"),
    PageAt("family offered", "/scheduling/family/times", "/scheduling/family/times"),
    PageAt("family offered", "/scheduling/family/confirm", "/scheduling/family/confirm?at={slot}"),
    PageAt("family booked", "/scheduling/family", "/scheduling/family?done=booked"),
    PageAt("family booked", "/scheduling/family/cancel", "/scheduling/family/cancel"),
    PageAt("family uploaded", "/consent/family", "/consent/family"),
    PageAt("family uploaded", "/archive/family", "/archive/family"),
    PageAt("family uploaded", "/archive/family/edit", "/archive/family/edit"),
    PageAt("family uploaded", "/archive/family/words", "/archive/family/words"),
    PageAt("family uploaded", "/archive/family/words", "/archive/family/words?language=en&line=1"),
    PageAt("family uploaded", "/consent/family/release", "/consent/family/release"),
    PageAt("family paused", "/consent/family", "/consent/family"),
    PageAt("family withdrawn", "/consent/family", "/consent/family"),
    PageAt("family declined", "/consent/family", "/consent/family"),
    PageAt("family erased", "/consent/family/certificate", "/consent/family/certificate"),
)


def routes_of_pages() -> Iterator[str]:
    """Every route that answers GET and is not of the JSON interfaces, with its service in front."""
    for service in SERVICES:
        module = importlib.import_module(f"firsthand.services.{service}.app")
        for context in iter_route_contexts(module.SERVICE.router.routes):
            if "GET" in (context.methods or ()) and not context.path.startswith("/api/"):
                yield f"/{service}{context.path}"
