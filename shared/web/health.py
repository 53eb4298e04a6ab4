"""Health: `/healthz` (the process runs), `/readyz` (it can serve; if not, why, in plain sentences), `/metrics`."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from shared.web.access import Public

Problems = Callable[[], Awaitable[list[str]]]


class Measures(Protocol):
    """What can be scraped."""

    def render(self) -> bytes:
        """Give the figures in the Prometheus text format."""
        ...


def health_routes(problems: Problems, metrics: Measures | None) -> APIRouter:
    """Give the three routes of one service (or of the whole process)."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz(_: Public) -> dict[str, str]:
        return {"status": "running"}

    @router.get("/readyz")
    async def readyz(_: Public) -> JSONResponse:
        found = await problems()
        return JSONResponse({"ready": not found, "problems": found}, 503 if found else 200)

    if metrics is not None:

        @router.get("/metrics")
        async def figures(_: Public) -> Response:
            return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


__all__ = ["Measures", "Problems", "health_routes"]
