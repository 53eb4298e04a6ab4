"""The cookies of this site: who sets one, reads it and removes it does so alike. Scripts see none of them.

Under https their names begin with `__Host-`, which a browser takes only from this very host: no neighbour below the
same domain can give a visitor a session of its own choosing. Such a cookie is sent to every path of the host.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import Request
from starlette.responses import Response

from firsthand.shared.service import Context
from firsthand.shared.sessions import FAMILY_LIFE, STAFF_LIFE

HOST: Final = "__Host-"
# Beside services of 0.1.0, which know the plain names only, both are set; read is the one that cannot be forged.
_ALSO_PLAIN: Final = True


@dataclass(frozen=True)
class Cookie:
    """One cookie: its name, how long a browser keeps it, and the paths of this site that are sent it under http."""

    name: str
    life: timedelta
    path: str = "/"

    def read(self, request: Request) -> str:
        """Give its value; empty if the browser sent none."""
        https = _https(request.app.state.context)
        return request.cookies.get(HOST + self.name if https else self.name, "")

    def put(self, context: Context, response: Response, value: str) -> None:
        for name, path in self._names(context):
            response.set_cookie(
                name,
                value,
                max_age=int(self.life.total_seconds()),
                path=path,
                secure=_https(context),
                httponly=True,
                samesite="lax",
            )

    def drop(self, context: Context, response: Response) -> None:
        for name, path in self._names(context):
            response.delete_cookie(name, path=path, secure=_https(context), httponly=True, samesite="lax")

    def _names(self, context: Context) -> list[tuple[str, str]]:
        plain = (self.name, self.path)
        if not _https(context):
            return [plain]
        return [(HOST + self.name, "/"), *([plain] if _ALSO_PLAIN else [])]


def _https(context: Context) -> bool:
    return context.settings.address.startswith("https://")


STAFF: Final = Cookie("fh_staff", STAFF_LIFE)
FAMILY: Final = Cookie("fh_family", FAMILY_LIFE)

__all__ = ["FAMILY", "HOST", "STAFF", "Cookie"]
