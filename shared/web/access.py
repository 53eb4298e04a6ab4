"""Who may use a route. EVERY route takes exactly one of these parameters (tests/contract/test_routes.py).

`async def cases(request: Request, staff: Tutor) -> ...` gets a verified `Staff`, with the institution to ask the
repository for; `family: FamilySession` gets a verified `Family`; `_: Public` says that anybody may come.

A tutor's route about one contact or case takes what `acting_on` makes, in place of `Tutor`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request

from firsthand.shared.acting import Responsible
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family, SessionVerifier, Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.cookies import FAMILY, STAFF, Cookie
from firsthand.shared.web.problems import ElsewhereFirst, Problem
from firsthand.shared.web.shedding import put_off_bulk

RENEW_STAFF: Final = "/portal/session/renew"
RENEW_FAMILY: Final = "/consent/family/renew"
_OF_DEPLOYMENT: Final = ("/deployment/", "/api/v1/deployment/")
_READING: Final = frozenset({"GET", "HEAD"})


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


ContextDep = Annotated[Context, Depends(_context)]  # what the service's use cases are given


def is_api(request: Request) -> bool:
    """Tell whether the route is of the JSON API (`/<service>/api/...`), not a page."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", "")).startswith("/api/")


def token_of(request: Request, cookie: Cookie) -> str:
    """The token that a request came with, as a bearer or in a cookie; empty if there is none."""
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    return bearer.strip() if kind.lower() == "bearer" else cookie.read(request)


def _verifier(request: Request) -> SessionVerifier:
    verifier: SessionVerifier = request.app.state.context.verifier
    return verifier


def served_here(request: Request, institution: InstitutionId) -> None:
    """A process of named institutions keeps nothing of another one: for it, the other's objects do not exist."""
    served = request.app.state.context.settings.institutions
    if served and institution not in (*served, DEPLOYMENT):
        raise Problem(404)


def _missing(request: Request, renew: str) -> Exception:
    """No session: the API says so, a page goes to renew it and comes back (a form with all that was entered: 307)."""
    if is_api(request):
        return Problem(401, headers={"WWW-Authenticate": "Bearer"})
    asked = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
    return ElsewhereFirst(f"{renew}?next={quote(asked, safe='')}", 303 if request.method in _READING else 307)


def _staff_with(*roles: str) -> Callable[[Request], Any]:
    """Make the check for staff with one of `roles`; with none named, any role but `machine` outside the API."""
    wanted = frozenset(roles)

    async def staff_session(request: Request) -> Staff:
        token = token_of(request, STAFF)
        staff = _verifier(request).staff(token) if token else None
        if staff is None:
            raise _missing(request, RENEW_STAFF)
        served_here(request, staff.institution)
        request.state.staff = staff
        held: frozenset[str] = staff.roles
        if "machine" in held:  # a machine acts as a coordinator, on the API only
            if request.method not in _READING:
                put_off_bulk(request)
            held = held | {"coordinator"} if is_api(request) else held - {"machine", "coordinator"}
        if not held or (wanted and not wanted & held):
            raise Problem(
                403,
                N_("You do not have access to this page"),
                N_("A coordinator at your institution can do it, or give you access."),
            )
        return staff

    return staff_session


async def _family_session(request: Request) -> Family:
    token = token_of(request, FAMILY)
    family = _verifier(request).family(token) if token else None
    if family is None:
        raise _missing(request, RENEW_FAMILY)
    served_here(request, family.institution)
    request.state.family = family
    return family


async def _anybody() -> None:
    return None


_any_staff = _staff_with()
_student = _staff_with("student", "tutor", "coordinator")  # those who learn and teach
_tutor = _staff_with("tutor", "coordinator")
_coordinator = _staff_with("coordinator")
_operator = _staff_with("operator")


async def _keeper(request: Request) -> Staff:
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    if not path.startswith(_OF_DEPLOYMENT):
        coordinator: Staff = await _coordinator(request)
        return coordinator
    operator: Staff = await _operator(request)
    if request.app.state.context.settings.institutions:  # it may tell and hear nothing of the deployment
        raise Problem(
            404,
            N_("This is not available here"),
            N_("This process serves named institutions only. Use the one that serves all."),
        )
    return replace(operator, institution=DEPLOYMENT)


AnyStaff = Annotated[Staff, Depends(_any_staff)]
Student = Annotated[Staff, Depends(_student)]
Tutor = Annotated[Staff, Depends(_tutor)]
Coordinator = Annotated[Staff, Depends(_coordinator)]
Operator = Annotated[Staff, Depends(_operator)]
# Who keeps what an institution has and the deployment has as well: coordinators theirs; on the paths of the deployment
# operators, who there act for the deployment and for no institution.
Keeper = Annotated[Staff, Depends(_keeper)]
FamilySession = Annotated[Family, Depends(_family_session)]
Public = Annotated[None, Depends(_anybody)]

Find = Callable[[Context, InstitutionId, str], Awaitable[Responsible | None]]


def acting_on(place: str, find: Find, missing: Callable[[], Exception] = NotFound) -> Callable[..., Any]:
    """Make the check for one who may act on what the path names at `place`: a contact, a case, or a part of one.

    `find` tells who is responsible for it, None if there is no such thing. To everybody else it is `missing`, exactly
    as what is not there: use it as `TheirContact = Annotated[Staff, Depends(acting_on("contact_id", find))]`.
    """

    async def acting(request: Request, staff: Tutor) -> Staff:
        responsible = await find(request.app.state.context, staff.institution, request.path_params[place])
        if responsible is None or not responsible.include(staff):
            raise missing()
        return staff

    acting.place = place  # type: ignore[attr-defined] # what the route lint looks for
    return acting


# What the route lint looks for.
CHECKS: Final[frozenset[Callable[..., Any]]] = frozenset(
    {_any_staff, _student, _tutor, _coordinator, _operator, _keeper, _family_session, _anybody}
)


def safe_next(target: str, otherwise: str) -> str:
    """Give `target` if it is a path of this site, else `otherwise`: a `next=` never leads elsewhere."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain and "\\" not in target else otherwise


__all__ = [
    "CHECKS",
    "AnyStaff",
    "ContextDep",
    "Coordinator",
    "FamilySession",
    "Keeper",
    "Operator",
    "Public",
    "Student",
    "Tutor",
    "acting_on",
    "is_api",
    "safe_next",
    "token_of",
]
