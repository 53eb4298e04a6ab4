"""Our own lint over the doors: who may use a route, where documents are asked for, what templates may hold."""

import ast
import importlib
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter, iter_route_contexts
from jinja2 import Environment

from firsthand.shared.web.access import CHECKS, FamilySession, Public
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
