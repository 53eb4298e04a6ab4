"""What every command shares: the console, the settings, one line on what is wrong."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.markup import escape

from firsthand.shared.embedded_nats import address_of
from firsthand.shared.settings import CannotStart, Settings

T = TypeVar("T")
S = TypeVar("S", bound=BaseSettings)

# What is said about the work goes here; what a command is asked for is printed.
console = Console(stderr=True, highlight=False)

Url = Annotated[str, typer.Option(help="the running system; default: this machine's", envvar="FIRSTHAND_PUBLIC_URL")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document")]


def read(kind: type[S]) -> S:
    """Read settings from the environment. Raises CannotStart naming the variable that is wrong."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{kind.model_config['env_prefix']}{first['loc'][0]}".upper()
        raise CannotStart(f"{name} is not usable: {first['msg']}.") from error


def read_settings() -> Settings:
    return read(Settings)


def nats_url(settings: Settings) -> str:
    """The server that is set, or the one that runs on the data folder. Raises CannotStart when there is neither."""
    url = settings.nats_url or address_of(settings.nats)
    if not url:
        raise CannotStart(
            f"There is no NATS server: none runs on the data folder {settings.data} (firsthand up), "
            "and FIRSTHAND_NATS_URL is not set."
        )
    return url


def stop(message: str) -> typer.Exit:
    """Say what is wrong; to be raised."""
    console.print(f"[red]{escape(message)}[/]", soft_wrap=True)
    return typer.Exit(1)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the fast event loop; the first SIGTERM or Ctrl-C before serving ends it as well."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
