"""The portal as it is run."""

from services.portal.handlers.sign_in import forget_link, forget_sign_in
from services.portal.http import router
from services.portal.model.institutions import Cohort, Institution
from services.portal.model.journey import Journey
from services.portal.model.people import Person
from services.portal.model.sign_in import LINK_LIFE, SIGN_IN_LIFE, SignIn, SignInLink
from services.portal.subscribers import SUBSCRIBERS
from shared.copies import CaseCopy
from shared.identifiers import InstitutionId
from shared.service import Context, Service, Timer


async def restore_erasure(context: Context, institution: InstitutionId, owner: str) -> None:
    """Of contacts the portal holds nothing personal; of a person, an erased key leaves nothing readable."""
    await context.mail.erase(institution, owner)


SERVICE = Service(
    name="portal",
    documents=(Institution, Cohort, Person, SignInLink, SignIn, Journey, CaseCopy),
    handlers=SUBSCRIBERS,
    timers={
        SignInLink: Timer(forget_link, destroys=True, longest=LINK_LIFE),
        SignIn: Timer(forget_sign_in, destroys=True, longest=SIGN_IN_LIFE),
    },
    router=router,
    restore_erasure=restore_erasure,
)
