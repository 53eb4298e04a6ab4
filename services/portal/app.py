"""The portal as it is run."""

from firsthand.services.portal.handlers.journeys import note_todo
from firsthand.services.portal.handlers.mailing import watch_mail
from firsthand.services.portal.handlers.sign_in import forget_link, forget_sign_in
from firsthand.services.portal.http import router
from firsthand.services.portal.live import listen_for_pages
from firsthand.services.portal.menu import MENU
from firsthand.services.portal.model.institutions import Cohort, Institution
from firsthand.services.portal.model.journey import Journey
from firsthand.services.portal.model.people import Person
from firsthand.services.portal.model.sign_in import LINK_LIFE, SIGN_IN_LIFE, SignIn, SignInLink
from firsthand.services.portal.model.today import OPEN
from firsthand.services.portal.subscribers import SUBSCRIBERS
from firsthand.shared.copies import CaseCopy
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, Renewal, Service, Timer
from firsthand.shared.sessions import STAFF_LIFE


async def restore_erasure(context: Context, institution: InstitutionId, owner: str) -> None:
    """Of contacts the portal holds nothing personal; of a person, an erased key leaves nothing readable."""
    await context.mail.erase(institution, owner)


SERVICE = Service(
    name="portal",
    documents=(Institution, Cohort, Person, SignInLink, SignIn, Journey, CaseCopy),
    handlers=SUBSCRIBERS,
    timers={
        SignInLink: Timer(forget_link, destroys=True, longest=LINK_LIFE),
        SignIn: Timer(forget_sign_in, destroys=True, longest=SIGN_IN_LIFE + STAFF_LIFE),
    },
    router=router,
    # Open ones first: the others ask nothing of anybody.
    renewals={Journey: Renewal("todo", note_todo, first=tuple({"stage": stage} for stage in OPEN), sort="moved_at")},
    background=(watch_mail, listen_for_pages),
    menu=MENU,
    restore_erasure=restore_erasure,
)
