"""Every door of every service, found in the code: a route that is added tomorrow is in the tests that use this."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from firsthand.shared.web import access
from tests.e2e.system import SERVICES

_NAMES = {
    access._any_staff: "staff",
    access._student: "student",
    access._tutor: "tutor",
    access._coordinator: "coordinator",
    access._operator: "operator",
    access._keeper: "keeper",
    access._family_session: "family",
    access._anybody: "anybody",
}


@dataclass(frozen=True)
class Door:
    """One method of one route: `path` with its places, `who` the route asks for, whether it is of the JSON API."""

    service: str
    method: str
    path: str
    places: tuple[str, ...]
    who: str

    @property
    def api(self) -> bool:
        return "/api/" in self.path

    def at(self, **places: str) -> str:
        """The address with these in its places."""
        return self.path.format_map(places)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def doors() -> list[Door]:
    """All doors of all services, pages and API."""
    found = []
    for service in SERVICES:
        router = importlib.import_module(f"firsthand.services.{service}.app").SERVICE.router
        for route in iter_route_contexts(router.routes):
            places = tuple(parameter.alias for parameter in route.dependant.path_params)
            who = next(_checks(route.dependant))
            if who == "keeper":
                who = "operator" if "/deployment/" in (route.path or "") else "coordinator"
            found += [
                Door(service, method, f"/{service}{(route.path or '').replace(':path}', '}')}", places, who)
                for method in sorted(route.methods or ())
            ]
    return found


def _checks(dependant: Dependant) -> Iterator[str]:
    for dependency in dependant.dependencies:
        if dependency.call in _NAMES:
            yield _NAMES[dependency.call]
        yield from _checks(dependency)
