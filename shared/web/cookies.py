"""The cookies that open something: who sets one, reads it and removes it does so alike. Scripts see none of them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import Request
from starlette.responses import Response

from firsthand.shared.service import Context
from firsthand.shared.sessions import FAMILY_LIFE, STAFF_LIFE


@dataclass(frozen=True)
class Cookie:
    """One cookie: its name, how long a browser keeps it, and the paths of this site that are sent it."""

    name: str
    life: timedelta
    path: str = "/"

    def read(self, request: Request) -> str:
        """Give its value; empty if the browser sent none."""
        return request.cookies.get(self.name, "")

    def put(self, context: Context, response: Response, value: str) -> None:
        response.set_cookie(
            self.name,
            value,
            max_age=int(self.life.total_seconds()),
            path=self.path,
            secure=context.settings.address.startswith("https://"),
            httponly=True,
            samesite="lax",
        )

    def drop(self, context: Context, response: Response) -> None:  # noqa: ARG002 - as `put`
        response.delete_cookie(self.name, path=self.path)


STAFF: Final = Cookie("fh_staff", STAFF_LIFE)
FAMILY: Final = Cookie("fh_family", FAMILY_LIFE)

__all__ = ["FAMILY", "STAFF", "Cookie"]
