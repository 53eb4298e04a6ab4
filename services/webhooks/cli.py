"""`firsthand webhooks`: endpoints from the command line, and deliveries printed on a developer's machine."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from firsthand.shared.console import AsJson, Url, console, read_settings, run, stop

if TYPE_CHECKING:
    from firsthand.shared.client import Caller

webhooks_cli = typer.Typer(no_args_is_help=True, help="Send events to other systems.")

_ENDPOINTS: Final = "/webhooks/api/v1/endpoints"
_LONGEST_HEAD: Final = 64 * 1024

Token = Annotated[
    str, typer.Option(envvar="FIRSTHAND_TOKEN", help="a machine's token of the institution: firsthand token create")
]
Which = Annotated[str, typer.Argument(help="the endpoint's id, as `list` prints it")]
Types = Annotated[list[str] | None, typer.Option("--type", help="e.g. consent.granted or consent.*; may be repeated")]


@webhooks_cli.command("list")
def list_endpoints(token: Token, url: Url = "", as_json: AsJson = False) -> None:
    """List the endpoints, those that need somebody first."""

    async def ask(caller: "Caller") -> None:
        found = (await caller.call("GET", _ENDPOINTS))["items"]
        if as_json:
            print(json.dumps(found, indent=2))
            return
        for one in found:
            state = "failing" if one["state"] == "active" and one["failing_since"] else one["state"]
            counts = one["deliveries"]
            told = f"{counts['waiting']} waiting, {counts['failed']} failed, {counts['delivered']} delivered"
            print(f"{one['endpoint_id']}  {state:9}  {one['name']}  {one['url']}  {told}")
        if not found:
            console.print("There is no endpoint yet. Add one with: firsthand webhooks add")

    _as_machine(url, token, ask)


@webhooks_cli.command()
def add(
    address: Annotated[str, typer.Argument(help="where events are sent, e.g. https://lms.example.edu/firsthand")],
    token: Token,
    type_: Types = None,
    name: Annotated[str, typer.Option(help="what families read; by default the address's host")] = "",
    url: Url = "",
) -> None:
    """Add an endpoint, and print its id and its secret, which is shown only now."""

    async def ask(caller: "Caller") -> None:
        added = await caller.call("POST", _ENDPOINTS, {"url": address, "name": name, "event_types": type_ or ["*"]})
        print(f"{added['endpoint_id']}\n{added['secret']}")

    _as_machine(url, token, ask)


@webhooks_cli.command()
def pause(endpoint: Which, token: Token, url: Url = "") -> None:
    """Send nothing for now; events are kept."""
    _act(url, token, endpoint, "pause")


@webhooks_cli.command()
def resume(endpoint: Which, token: Token, url: Url = "") -> None:
    """Send again, also to an endpoint that was disabled."""
    _act(url, token, endpoint, "resume")


@webhooks_cli.command("test")
def send_test(endpoint: Which, token: Token, url: Url = "") -> None:
    """Send a test event."""
    _act(url, token, endpoint, "test")


@webhooks_cli.command()
def rotate(
    endpoint: Which, token: Token, hours: Annotated[int, typer.Option(min=0, max=168)] = 24, url: Url = ""
) -> None:
    """Make a new secret and print it; the previous one signs as well for some hours."""

    async def ask(caller: "Caller") -> None:
        print((await caller.call("POST", f"{_ENDPOINTS}/{endpoint}/rotate", {"hours": hours}))["secret"])

    _as_machine(url, token, ask)


@webhooks_cli.command()
def recover(
    endpoint: Which,
    token: Token,
    since: Annotated[str, typer.Option(help="a time with its zone, e.g. 2026-11-27T00:00:00Z")],
    url: Url = "",
) -> None:
    """Send failed events again."""

    async def ask(caller: "Caller") -> None:
        answer = await caller.call("POST", f"{_ENDPOINTS}/{endpoint}/recover", {"since": since})
        console.print(f"{answer['count']} events are being sent again")

    _as_machine(url, token, ask)


@webhooks_cli.command()
def replay(
    endpoint: Which,
    token: Token,
    since: Annotated[
        str, typer.Option(help="a time with its zone, e.g. 2026-11-27T00:00:00Z; empty tells how far it is")
    ] = "",
    stop_: Annotated[bool, typer.Option("--stop", help="send nothing more of the past")] = False,
    url: Url = "",
) -> None:
    """Send what happened since a time, also before the endpoint was added."""

    async def ask(caller: "Caller") -> None:
        path = f"{_ENDPOINTS}/{endpoint}/replay"
        if stop_:
            await caller.call("DELETE", path)
            console.print("stopped")
            return
        answer = await (caller.call("POST", path, {"since": since}) if since else caller.call("GET", path))
        console.print(f"{answer['state']}: {answer['found']} events since {answer['since']}")

    _as_machine(url, token, ask)


@webhooks_cli.command()
def remove(
    endpoint: Which, token: Token, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False, url: Url = ""
) -> None:
    """Remove an endpoint with its secret and the record of deliveries."""
    if not yes:
        typer.confirm("Its secret and the record of deliveries are deleted. Remove it?", abort=True)

    async def ask(caller: "Caller") -> None:
        await caller.call("DELETE", f"{_ENDPOINTS}/{endpoint}")

    _as_machine(url, token, ask)


@webhooks_cli.command()
def listen(
    token: Token,
    type_: Types = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 0,
    url: Url = "",
) -> None:
    """Print deliveries on this machine, one JSON line each, until Ctrl-C. For a Firsthand that runs on this machine."""

    async def ask(caller: "Caller") -> None:
        server = await asyncio.start_server(_receive, "127.0.0.1", port, limit=_LONGEST_HEAD)
        here = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        body = {"url": here, "name": "firsthand webhooks listen", "event_types": type_ or ["*"]}
        added = await caller.call("POST", _ENDPOINTS, body)
        console.print(f"listening on {here} (Ctrl-C ends it); the secret is {escape(added['secret'])}")
        try:
            async with server:
                await server.serve_forever()
        finally:
            await caller.call("DELETE", f"{_ENDPOINTS}/{added['endpoint_id']}")

    _as_machine(url, token, ask)


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Print what one connection brings, and take it."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = {"answer_to": headers["firsthand-answer-to"]} if "firsthand-answer-to" in headers else {}
            print(json.dumps({**asked, **json.loads(body)}), flush=True)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
    except (
        asyncio.CancelledError,
        asyncio.IncompleteReadError,
        asyncio.LimitOverrunError,
        ConnectionError,
        ValueError,
    ):
        pass  # the command ends; it went; or it is no webhook
    finally:
        writer.close()


def _act(url: str, token: str, endpoint: str, what: str) -> None:
    async def ask(caller: "Caller") -> None:
        answer = await caller.call("POST", f"{_ENDPOINTS}/{endpoint}/{what}")
        console.print(f"{answer['name']}: {answer['state']}")

    _as_machine(url, token, ask)


def _as_machine(url: str, token: str, ask: "Callable[[Caller], Awaitable[Any]]") -> None:
    from firsthand.shared.client import Refused, machine

    settings = read_settings()

    async def asking() -> None:
        async with machine(url or settings.address, token) as caller:
            await ask(caller)

    try:
        run(asking())
    except Refused as error:
        raise stop(str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit from None
