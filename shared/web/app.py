"""The web application of a process: each service under its own prefix, with its own OpenAPI, behind the same guards."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from firsthand.shared.web import problems
from firsthand.shared.web.addresses import AddressMiddleware, HeadMiddleware
from firsthand.shared.web.health import Condition, Examine, Measures, health_routes
from firsthand.shared.web.languages import LanguageMiddleware
from firsthand.shared.web.logging import RequestLogMiddleware, TraceMiddleware
from firsthand.shared.web.navigation import Section
from firsthand.shared.web.openapi import describe
from firsthand.shared.web.pages import pages_of
from firsthand.shared.web.security import (
    BodyLimitMiddleware,
    ForwardedMiddleware,
    ProxiedMiddleware,
    SameSiteMiddleware,
    SecurityHeadersMiddleware,
)

_HOME: Final = "/portal/today"


@dataclass(frozen=True)
class MountedPart:
    """One service as the web sees it. Its routes find `context` as `request.app.state.context`."""

    name: str
    router: APIRouter
    context: Any
    examine: Examine
    metrics: Measures | None = None


def build_app(
    parts: Sequence[MountedPart],
    *,
    menu: Sequence[Section] = (),
    public_url: str = "",
    behind_proxy: bool = False,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """Mount the services.

    `menu` is the staff's navigation, of whatever services there are. `public_url` decides on HTTPS-only headers;
    `behind_proxy` says who tells the client.
    """
    https = public_url.startswith("https://")

    async def examine_all() -> Condition:
        whole = Condition()
        for part in parts:
            found = await part.examine()
            whole.problems += [f"{part.name}: {one}" for one in found.problems]
            whole.impaired += [f"{part.name}: {one}" for one in found.impaired]
        return whole

    whole = FastAPI(openapi_url=None, redirect_slashes=False)
    whole.router.routes.extend(health_routes(examine_all, None).routes)
    outer = Starlette(
        routes=[
            Route("/", _home),
            Route("/robots.txt", _robots),
            *(Mount(f"/{part.name}", _part_app(part, menu)) for part in parts),
            Mount("/", whole),
        ],
        middleware=[
            Middleware(ProxiedMiddleware if behind_proxy else ForwardedMiddleware),
            Middleware(SecurityHeadersMiddleware, https=https),
            Middleware(LanguageMiddleware, secure=https),
            Middleware(AddressMiddleware, roots=[f"/{part.name}" for part in parts]),
            Middleware(SameSiteMiddleware),
            Middleware(BodyLimitMiddleware),
        ],
        lifespan=lifespan,
    )
    outer.router.redirect_slashes = False
    outer.state.service = whole.state.service = parts[0].name if parts else "portal"
    outer.state.menu = whole.state.menu = menu
    problems.install(whole)
    whole.add_middleware(HeadMiddleware, routes=whole.router.routes)
    problems.install(outer)
    outer.add_middleware(TraceMiddleware)  # the outermost: whatever fails further in is logged with its trace
    return outer


def _part_app(part: MountedPart, menu: Sequence[Section]) -> FastAPI:
    app = FastAPI(
        title=f"Firsthand {part.name}",
        version="1",
        docs_url=None,  # the usual pages load scripts from third parties
        redoc_url=None,
        redirect_slashes=False,
    )
    app.openapi = partial(describe, part.name, part.router)  # type: ignore[method-assign]
    app.state.context = part.context
    app.state.service = part.name
    app.state.menu = menu
    # not `include_router`, here and in the services: it makes every route anew, which takes most of a start
    app.router.routes.extend(part.router.routes)
    app.router.routes.extend(health_routes(part.examine, part.metrics).routes)
    app.mount("/static", Static(pages_of(part.name).static_folders))
    problems.install(app)
    app.add_middleware(HeadMiddleware, routes=app.router.routes)
    app.add_middleware(RequestLogMiddleware, service=part.name)
    return app


class Static(StaticFiles):
    """A service's own files, then the shared ones. An address with the content's hash may be kept for a year; one
    without, for a minute.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self.all_directories = list(folders)

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        hashed = "v" in QueryParams(scope.get("query_string", b""))
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "public, max-age=60"
        return answer


async def _home(request: Request) -> Response:  # noqa: ARG001 - a route's shape
    return RedirectResponse(_HOME, 303)


async def _robots(request: Request) -> Response:  # noqa: ARG001 - a route's shape
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


__all__ = ["MountedPart", "build_app"]
