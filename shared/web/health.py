"""Health: `/healthz` (the process runs), `/readyz` (it can serve; what is amiss, in plain sentences), `/metrics`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from firsthand.shared.web.access import Public


@dataclass
class Condition:
    """How a service is, in plain sentences.

    `problems`: what keeps it from serving; whoever shares out requests gives it none. `impaired`: what it cannot do for
    now, while it serves all the rest and tells people so.
    """

    problems: list[str] = field(default_factory=list)
    impaired: list[str] = field(default_factory=list)
    clock: dict[str, str] = field(default_factory=dict)  # of one service: what it shows, what is sure, how they differ
    mail: dict[str, object] = field(default_factory=dict)  # of one service, where mail does not leave as it should


Examine = Callable[[], Awaitable[Condition]]


class Measures(Protocol):
    """What can be scraped."""

    def render(self) -> bytes:
        """Give the figures in the Prometheus text format."""
        ...


def health_routes(examine: Examine, metrics: Measures | None) -> APIRouter:
    """Give the three routes of one service (or of the whole process)."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz(_: Public) -> dict[str, str]:
        return {"status": "running"}

    @router.get("/readyz")
    async def readyz(_: Public) -> JSONResponse:
        found = await examine()
        told: dict[str, object] = {"ready": not found.problems, "problems": found.problems, "impaired": found.impaired}
        if found.clock:
            told["clock"] = found.clock
        if found.mail:
            told["mail"] = found.mail
        return JSONResponse(told, 503 if found.problems else 200)

    if metrics is not None:

        @router.get("/metrics")
        async def figures(_: Public) -> Response:
            return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


__all__ = ["Condition", "Examine", "Measures", "health_routes"]
