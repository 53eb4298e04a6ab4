"""The OpenAPI description of one service's JSON API: every answer, the problems it can be instead, and who may ask.

Problems and security follow from each route's own parameters (`shared/web/access.py`), so a route cannot forget them.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from firsthand.shared.web import access
from firsthand.shared.web.cookies import FAMILY, HOST, STAFF

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_STAFF: Final = access.CHECKS - {access._family_session, access._anybody}  # noqa: SLF001 - the checks of the one gate
_FAMILY: Final = access._family_session  # noqa: SLF001
_UNDER_HTTPS: Final = f"under https its name begins with {HOST}"
_SCHEMES: Final[Schema] = {
    "staff": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "a staff or machine token"},
    "staffCookie": {"type": "apiKey", "in": "cookie", "name": STAFF.name, "description": _UNDER_HTTPS},
    "family": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "a family session"},
    "familyCookie": {"type": "apiKey", "in": "cookie", "name": FAMILY.name, "description": _UNDER_HTTPS},
}
_MEANS: Final = {
    "400": "the request cannot be read",
    "401": "no session, or one that has ended",
    "403": "the role does not allow it, or the request comes from another site",
    "404": "there is no such thing in this institution",
    "408": "the body did not come within a minute",
    "409": "it is not possible now, or somebody else changed it at the same time",
    "410": "it is gone, and nobody can bring it back",
    "413": "the request is too large",
    "422": "a field is missing or wrong; `errors` names it",
    "429": "too many requests; see Retry-After",
    "503": "not available for a moment; see Retry-After",
    "507": "the storage is full, or what is left is kept for what cannot wait; see Retry-After",
}


class FieldError(BaseModel):
    """One field that is missing or wrong."""

    field: str
    text: str


class ProblemOut(BaseModel):
    """Any answer that is no success (RFC 9457), as application/problem+json."""

    type: str = Field(description="`urn:firsthand:<service>:<code>`, or `about:blank` where the status says it all")
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []
    incident: str = Field("", description="names the line in the service's log, for status 500")


def is_described(route: object) -> bool:
    """Tell whether a route belongs to the description: the JSON API and the media, no pages."""
    return (
        isinstance(route, APIRoute)
        and route.include_in_schema
        and route.path.startswith(("/api/", "/media/", "/family/media"))
    )


def describe(service: str, router: APIRouter) -> Schema:
    """Make the OpenAPI 3.1 document of one service."""
    routes = [route for route in router.routes if is_described(route)]
    document = get_openapi(
        title=f"Firsthand {service}",
        version="1",
        routes=routes,
        servers=[{"url": f"/{service}"}],
        description="Responses are JSON; every error is a problem document (RFC 9457).",
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas |= problem.pop("$defs", {}) | {"Problem": problem}
    components["securitySchemes"] = _SCHEMES
    tags = {tag for operation in _operations(document) for tag in operation["tags"]}
    document["tags"] = [{"name": name} for name in sorted(tags)]
    for route in routes:
        assert isinstance(route, APIRoute)
        for method in sorted(route.methods or ()):
            operation = document["paths"][route.path].get(method.lower())
            if operation is not None:
                _complete(route, method, operation)
    return document


def _operations(document: Schema) -> Iterator[Schema]:
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.setdefault("tags", [document["info"]["title"].rpartition(" ")[2]])
            yield operation


def _complete(route: APIRoute, method: str, operation: Schema) -> None:
    who = set(_checks(route.dependant))
    staff, family = bool(who & _STAFF), _FAMILY in who
    words = re.findall(r"[a-z_]+", route.path.removeprefix("/api/v1"))
    operation["operationId"] = "_".join([method.lower(), *words])
    operation["security"] = (
        [{"staff": []}, {"staffCookie": []}] if staff else [{"family": []}, {"familyCookie": []}] if family else []
    )
    writes = method not in {"GET", "HEAD", "OPTIONS"}
    statuses = {
        "400": True,
        "401": staff or family,
        "403": staff or writes,
        "404": "{" in route.path or staff or family,
        "408": writes,
        "409": writes,
        "410": family or writes,
        "413": writes,
        "422": bool(route.dependant.query_params or route.dependant.path_params or route.body_field),
        "429": writes,
        "503": True,
        "507": writes,
    }
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    own = {str(status): told["description"] for status, told in route.responses.items() if str(status) >= "400"}
    for status, can in statuses.items():
        operation["responses"].pop(status, None)
        if can or status in own:
            operation["responses"][status] = {"description": own.get(status, _MEANS[status]), "content": content}
    for status in own.keys() - statuses.keys() - {"416"}:  # which says it all by its header
        operation["responses"][status]["content"] = content
    if not route.path.startswith("/api/") and operation["security"]:
        operation["responses"]["303"] = {"description": "the session has ended; a browser gets a new one there"}


def _checks(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _checks(dependency)


__all__ = ["ProblemOut", "describe", "is_described"]
