"""Our own lint over the doors: who may use a route, where documents are asked for, what templates may hold."""

import ast
import importlib
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from fastapi import Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter, iter_route_contexts
from jinja2 import Environment

from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import CHECKS, AnyStaff, Coordinator, FamilySession, Public, Student, Tutor, acting_on
from firsthand.shared.web.health import health_routes
from firsthand.shared.web.security import STREAMS
from firsthand.shared.web.shedding import SHEDS

ROOT = Path(__file__).parents[2]
CODE = sorted([*ROOT.glob("shared/**/*.py"), *ROOT.glob("services/**/*.py")])
TEMPLATES = sorted(
    [
        *ROOT.glob("shared/web/templates/*.html"),
        *(path for path in ROOT.glob("services/*/pages/**/*") if path.is_file()),
    ]
)
FAMILY, PUBLIC = (get_args(access)[1].dependency for access in (FamilySession, Public))
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/app.py"))

# Only a repository asks the store, always for one institution; the frame does for what every service keeps.
MAY_ASK_THE_STORE = (
    "services/*/repository.py",
    "shared/copies.py",
    "shared/migration.py",
    "shared/renewals.py",
    "shared/timers.py",
    "shared/trusted_clock.py",
    "shared/vault.py",
)

# Where an institution may be made from text, and why there.
MAY_NAME_AN_INSTITUTION = {
    "shared/identifiers.py": "the deployment's own name, a constant",
    "shared/sessions.py": "from a token that was verified",
    "shared/settings.py": "from the operator's own settings",
    "shared/ledger.py": "from the operator's own file, and only to destroy keys",
    "shared/store/*.py": "from what the store holds",
    "shared/events/*.py": "from an event",
    "services/portal/http/pages_public_sign_in.py": "nobody is signed in yet; the secret of the link decides",
    "services/portal/commands.py": "from the operator's own command",
    "services/consent/http/pages_family_link.py": "a family has no session yet; the secret of its link decides",
    "services/__main__.py": "from the operator's own command",
}


# What the places of a path name. Who acts on something of a case needs the gate of `acting_on`: nobody forgets it.
OF_A_CASE = {"case_id", "contact_id", "lead_id", "upload_id"}
OF_AN_INSTITUTION = {"_action", "cohort_id", "kind", "language", "name", "number", "person_id", "slug"}
IN_ANOTHER_PLACE = {"clip_id", "form", "wish_id"}  # of what the place before them names
ASKS_BY_ITSELF = {
    "archive/media/{contact_id}": "the consent gate: the audience that the family allowed",
    "archive/captions/{contact_id}/{language}/{form}": "the consent gate: the audience that the family allowed",
    "archive/api/v1/watch/{contact_id}/transcripts/{language}": "the consent gate: the audience, and the scope",
    "archive/api/v1/watch/{contact_id}/clips": "the consent gate: the audience that the family allowed",
    "archive/watch/{contact_id}": "the consent gate: the audience that the family allowed",
    "archive/api/v1/recordings/{contact_id}/place": "the consent gate: the audience that the family allowed",
    "archive/api/v1/recordings/{contact_id}/plays": "the consent gate: the audience that the family allowed",
    "discovery/cases/{case_id}/nominations": "students name people too, for the cases that they learn from",
    "discovery/api/v1/cases/{case_id}/nominations": "students name people too, for the cases that they learn from",
}


class Anything:
    """A context for making routes, not for calling them: whatever is asked of it is there."""

    def __getattr__(self, name: str) -> "Anything":
        return self

    def __call__(self, *_: Any, **__: Any) -> "Anything":
        return self


def routes_without_one_check(router: APIRouter) -> list[str]:
    """Routes that have no access parameter, or several."""
    return [
        f"{sorted(context.methods or ())} {context.path}"
        for context in iter_route_contexts(router.routes)
        if not isinstance(context.original_route, APIRoute) or len(list(checks_of(context.dependant))) != 1
    ]


def checks_of(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        if dependency.call in CHECKS:
            yield dependency.call
        yield from checks_of(dependency)


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_says_who_may_use_it(service: str) -> None:
    module = importlib.import_module(f"firsthand.services.{service}.app")
    assert routes_without_one_check(module.SERVICE.router) == []


def gates_of(dependant: Dependant) -> Iterator[str]:
    """The places of the path that are looked at by who may act on them."""
    for dependency in dependant.dependencies:
        if place := getattr(dependency.call, "place", None):
            yield place
        yield from gates_of(dependency)


def routes_without_gate(router: APIRouter) -> list[str]:
    """Routes for tutors or students about something of a case that do not look whose it is, or not only once."""
    open_to_all = {get_args(access)[1].dependency for access in (AnyStaff, Student, Tutor)}
    found = []
    for context in iter_route_contexts(router.routes):
        places = {parameter.alias for parameter in context.dependant.path_params}
        unknown = places - OF_A_CASE - OF_AN_INSTITUTION - IN_ANOTHER_PLACE
        if open_to_all.isdisjoint(checks_of(context.dependant)):
            continue
        if unknown or (places & OF_A_CASE and list(gates_of(context.dependant)) != sorted(places & OF_A_CASE)):
            found.append(context.path or "")
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_route_about_a_contact_opens_only_to_who_may_act_on_it(service: str) -> None:
    module = importlib.import_module(f"firsthand.services.{service}.app")
    found = {f"{service}{path}" for path in routes_without_gate(module.SERVICE.router)}
    assert found == {path for path in ASKS_BY_ITSELF if path.startswith(f"{service}/")}


def test_a_route_that_forgets_whose_a_contact_is_is_found_and_one_with_an_unknown_place() -> None:
    router = APIRouter()

    async def nobodys(*_: object) -> None: ...

    gated = Annotated[Staff, Depends(acting_on("contact_id", nobodys))]

    @router.get("/forgets/{contact_id}")
    async def forgets(_: Tutor, contact_id: str) -> None: ...

    @router.get("/unknown/{thing_id}")
    async def unknown(_: AnyStaff, thing_id: str) -> None: ...

    @router.get("/asks/{contact_id}")
    async def asks(_: gated, contact_id: str) -> None: ...  # type: ignore[valid-type]

    @router.get("/leads/{contact_id}")
    async def leads(_: Coordinator, contact_id: str) -> None: ...

    assert routes_without_gate(router) == ["/forgets/{contact_id}", "/unknown/{thing_id}"]


def test_the_health_routes_say_who_may_use_them() -> None:
    assert routes_without_one_check(health_routes(Anything(), Anything())) == []


def test_a_route_without_a_check_is_found_and_one_with_two() -> None:
    router, inner = APIRouter(), APIRouter(prefix="/inner")

    @inner.get("/none")
    async def none() -> None: ...

    @inner.get("/two")
    async def two(_: Public, __: Public) -> None: ...

    @inner.get("/one")
    async def one(_: Public) -> None: ...

    router.include_router(inner)
    assert routes_without_one_check(router) == ["['GET'] /inner/none", "['GET'] /inner/two"]


# What a busy system puts off. A new one is named here, so that somebody has thought of who then waits.
BULK = {
    "archive": {
        "/recordings/{contact_id}/upload",
        "/recordings/{contact_id}/words",
        "/api/v1/recordings/{contact_id}/transcripts/{language}",
        "/api/v1/recordings/{contact_id}/uploads",
        "/api/v1/uploads/{upload_id}",
    },
    "discovery": {"/cases/{case_id}/import", "/api/v1/cases/{case_id}/posts"},
}


def bulk_routes(router: APIRouter) -> Iterator[tuple[str, bool]]:
    """The path of every route that a busy system puts off, and whether it may be a family's or anybody's."""
    for context in iter_route_contexts(router.routes):
        if any(dependency.call in {SHEDS, STREAMS} for dependency in context.dependant.dependencies):
            yield context.path or "", any(check in {FAMILY, PUBLIC} for check in checks_of(context.dependant))


@pytest.mark.parametrize("service", SERVICES)
def test_a_busy_system_puts_off_what_can_wait_and_nothing_that_a_family_does(service: str) -> None:
    module = importlib.import_module(f"firsthand.services.{service}.app")
    found = list(bulk_routes(module.SERVICE.router))
    assert {path for path, _ in found} == BULK.get(service, set())
    assert not any(of_a_family for _, of_a_family in found)


def calls(tree: ast.AST) -> Iterator[tuple[str, bool, int]]:
    """Every call's name, whether it is a method, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr, True, node.lineno
            elif isinstance(node.func, ast.Name):
                yield node.func.id, False, node.lineno


def found_outside(allowed: Any, name: str, *, method: bool) -> list[str]:
    found = []
    for path in CODE:
        place = path.relative_to(ROOT).as_posix()
        if any(fnmatch(place, pattern) for pattern in allowed):
            continue
        tree = ast.parse(path.read_bytes())
        found += [f"{place}:{line}" for called, is_method, line in calls(tree) if (called, is_method) == (name, method)]
    return found


def test_only_repositories_ask_the_store_for_documents() -> None:
    assert found_outside(MAY_ASK_THE_STORE, "collection", method=True) == []


def test_an_institution_comes_from_a_session_a_token_or_an_event_never_from_a_request() -> None:
    assert found_outside(MAY_NAME_AN_INSTITUTION, "InstitutionId", method=False) == []


def test_no_address_is_made_of_the_request_that_reached_us() -> None:
    """Behind a proxy its scheme and its Host header are not the visitor's."""
    assert found_outside((), "url_for", method=True) == []
    named = [
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        for path in CODE
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and node.attr == "base_url" and path.name != "client.py"
    ]
    assert named == []


def test_strangers_text_is_brought_to_a_normal_form_in_one_place() -> None:
    """Python's own takes the square of the number of marks on one letter."""
    assert found_outside(("shared/texts.py",), "normalize", method=True) == []


def test_no_code_declares_text_to_be_safe_markup() -> None:
    assert found_outside((), "Markup", method=False) == []


FORBIDDEN = {
    "an inline style": re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style", re.IGNORECASE),
    "an inline script": re.compile(r"<script(?![^>]*\bsrc=)", re.IGNORECASE),
    "an event attribute": re.compile(r"<[^>]*\son[a-z]+\s*=\s*[\"']", re.IGNORECASE),
    "text declared safe": re.compile(r"\|\s*safe\b|autoescape\s+false", re.IGNORECASE),
    "something of a third party": re.compile(
        r"<(?:script|link|img|iframe|video|audio|source)[^>]*\b(?:src|href)=[\"'](?:https?:)?//"
    ),
}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_template_holds_no_inline_style_or_script_and_trusts_no_text(path: Path) -> None:
    text = path.read_text()
    assert [name for name, pattern in FORBIDDEN.items() if pattern.search(text)] == []
    Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do"], autoescape=True).parse(text)
