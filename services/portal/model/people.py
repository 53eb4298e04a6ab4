"""A person of an institution, or a machine. Pure: times are passed in, names come sealed."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, Final, get_args

from pydantic import AwareDatetime, BaseModel

from firsthand.shared.events.portal import PersonState, Role
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.mail_address import NotMailAddress, mail_address
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed

ROLES: Final[tuple[Role, ...]] = get_args(Role)
# What a coordinator may give. Operators are made by operators; a machine is made with its token.
GIVEN_BY_COORDINATORS: Final[frozenset[Role]] = frozenset({"student", "tutor", "coordinator"})
# A register of students may add them; a token that leaked makes nobody who may do more, or who outlives it.
GIVEN_BY_MACHINES: Final[frozenset[Role]] = frozenset({"student"})


LINKS_REMEMBERED: Final = 20
LINK_SHOWN_FOR: Final = timedelta(days=14)  # on the person's own first page


class LinkMade(BaseModel):
    """A sign-in link that somebody else created for a person."""

    by: str  # person id
    at: AwareDatetime
    by_operator: bool = False  # of the deployment, whose name this institution does not know


class Person(Document):
    """A person, or a machine. The id is a keyed mark of the address: one address is one person, also under a race."""

    kind: ClassVar[str] = "person"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("active"),)

    name: Sealed
    email: Sealed | None  # None: a machine
    roles: list[Role]
    cohorts: list[str]
    active: bool = True
    added_at: AwareDatetime
    expires_at: AwareDatetime | None = None  # of a machine's token
    signed_out_before: int = 0  # session tokens issued before this second are void
    sign_ins_end: AwareDatetime | None = None  # sign-ins begun up to this instant are over
    links_made: list[LinkMade] = []  # the latest, oldest first

    @property
    def is_machine(self) -> bool:
        return self.email is None

    def told(self) -> PersonState:
        return PersonState(
            person_id=self.id,
            roles=self.roles,
            cohorts=self.cohorts,
            active=self.active,
            signed_out_before=self.signed_out_before,
        )

    def change(self, *, roles: list[Role] | None, cohorts: list[str] | None, active: bool | None, at: datetime) -> bool:
        """Change what a person may do; False if nothing is different. Sessions that say otherwise are void at once."""
        before = (self.roles, self.cohorts, self.active)
        was_active = self.active
        self.roles = self.roles if roles is None else _ordered(roles)
        self.cohorts = self.cohorts if cohorts is None else sorted(set(cohorts))
        self.active = self.active if active is None else active
        if before == (self.roles, self.cohorts, self.active):
            return False
        self.void_sessions(at)
        if was_active and not self.active:
            self.sign_ins_end = at
        return True

    def sign_out_everywhere(self, at: datetime) -> None:
        self.void_sessions(at)
        self.sign_ins_end = at

    def note_link(self, made: LinkMade) -> None:
        self.links_made = [*self.links_made, made][-LINKS_REMEMBERED:]

    def links_to_tell(self, now: datetime) -> list[LinkMade]:
        """The links that colleagues created lately: whoever holds one can sign in as this person."""
        return [one for one in self.links_made if not one.by_operator and now - one.at < LINK_SHOWN_FOR]

    def check_access_may_change(self, by: frozenset[Role]) -> None:
        """Raises Refused unless one with these roles may let this person in or keep them out: operators may only be by
        operators, or a coordinator could become one.
        """
        if "operator" in self.roles and "operator" not in by:
            raise Refused(
                "an-operators",
                N_("Ask the people who run this system."),
                title=N_("Only an operator can change an operator's access"),
                kind="forbidden",
            )

    def void_sessions(self, at: datetime) -> None:
        """Tokens tell their second of issue only: void are those of the current one, too."""
        self.signed_out_before = max(self.signed_out_before, int(at.timestamp()) + 1)

    def may_renew(self, began_at: datetime) -> bool:
        """Tell whether a sign-in that began then still gives sessions."""
        return self.active and not self.is_machine and not (self.sign_ins_end and began_at <= self.sign_ins_end)


def check_roles(
    institution: InstitutionId, roles: Iterable[Role], *, by: frozenset[Role], held: Iterable[Role] = ()
) -> list[Role]:
    """Give the roles in their usual order. Raises Refused for what may not be given here, or by this person; what is
    `held` already need not be given.
    """
    given = _ordered(roles)
    if not given:
        raise Refused.of_field("roles", N_("Choose at least one role."))
    if institution == DEPLOYMENT and given != ["operator"]:
        raise Refused.of_field("roles", N_("Only operators can belong to the system itself."))
    if "machine" in given:
        raise Refused.of_field("roles", N_("To add an external system, create a token for it."))
    may_give = GIVEN_BY_MACHINES if "machine" in by else GIVEN_BY_COORDINATORS
    if "operator" not in by and not may_give.issuperset(set(given) - set(held)):
        raise Refused(
            "not-yours-to-give",
            N_("Ask the people who run this system."),
            title=N_("Only an operator can give this role"),
            kind="forbidden",
        )
    return given


def _ordered(roles: Iterable[Role]) -> list[Role]:
    wanted = set(roles)
    return [role for role in ROLES if role in wanted]


def one_spelling(email: str) -> str:
    """Write an address in the one way by which its person is known; what is no address stays what it is."""
    try:
        return mail_address(email).lower()
    except NotMailAddress:
        return email.strip().lower()
