"""The commands with which an operator adds institutions, people and tokens, over HTTP, to a running system."""

from typing import Annotated, Any

import typer

from firsthand.shared.clock import SystemClock
from firsthand.shared.console import Url, console, read_settings, run, stop

institution_cli = typer.Typer(no_args_is_help=True, help="Institutions of this deployment.")
person_cli = typer.Typer(no_args_is_help=True, help="People of an institution.")
token_cli = typer.Typer(no_args_is_help=True, help="Tokens for programs that use the JSON API.")


@institution_cli.command("add")
def institution_add(
    slug: Annotated[str, typer.Argument(help="a-z, 0-9 and hyphens, e.g. qu-cdm")],
    name: Annotated[str, typer.Option()],
    country: Annotated[str, typer.Option(help="two letters, e.g. QA")],
    zone: Annotated[str, typer.Option(help="time zone, e.g. Asia/Qatar")],
    languages: Annotated[str, typer.Option(help="comma-separated")] = "en",
    website: Annotated[str, typer.Option()] = "",
    account: Annotated[str, typer.Option(help="the public handle from which first messages are sent")] = "",
    verify_address: Annotated[str, typer.Option(help="where a family can check that a request is real")] = "",
    reply_address: Annotated[str, typer.Option(help="a mailbox where somebody reads families' answers")] = "",
    url: Url = "",
) -> None:
    """Add an institution."""
    body = {
        "slug": slug,
        "name": name,
        "country": country,
        "zone": zone,
        "languages": languages.split(","),
        "website": website,
        "account": account,
        "verify_address": verify_address,
        "reply_address": reply_address,
    }
    _as_operator(url, "POST", "/portal/api/v1/institutions", body)
    print(f"{slug} is there. Next: firsthand person add --institution {slug} --role coordinator ...")


@person_cli.command("add")
def person_add(
    institution: Annotated[str, typer.Option()],
    name: Annotated[str, typer.Option()],
    email: Annotated[str, typer.Option()],
    role: Annotated[list[str], typer.Option(help="student, tutor, coordinator or operator; may be repeated")],
    cohort: Annotated[list[str] | None, typer.Option(help="may be repeated")] = None,
    url: Url = "",
) -> None:
    """Add a person of an institution, and print a one-time sign-in link."""
    people = f"/portal/api/v1/institutions/{institution}"
    body = {"name": name, "email": email, "roles": role, "cohorts": cohort or []}
    person = _as_operator(url, "POST", f"{people}/people", body)
    link = _as_operator(url, "POST", f"{people}/sign-in-links", {"email": email})
    print(f"{person['person_id']}\n{link['url']}")


@token_cli.command("create")
def token_create(
    institution: Annotated[str, typer.Option()],
    label: Annotated[str, typer.Option(help="what the token is for")],
    days: Annotated[int, typer.Option(min=1, max=90)] = 30,
    url: Url = "",
) -> None:
    """Create a machine token; it is shown once and can be revoked on the people page."""
    body = {"label": label, "days": days}
    token = _as_operator(url, "POST", f"/portal/api/v1/institutions/{institution}/tokens", body)
    print(token["token"])
    console.print(f"valid until {token['expires_at']}")


def _as_operator(url: str, method: str, path: str, body: dict[str, Any]) -> Any:
    """Ask the running system as its operator: who holds the signing keys is."""
    from firsthand.shared.client import Refused, operator
    from firsthand.shared.keys import Keys

    settings = read_settings()
    keys = Keys.load(settings.key_folder)

    async def ask() -> Any:
        async with operator(url or settings.address, keys, SystemClock()) as caller:
            return await caller.call(method, path, body)

    try:
        return run(ask())
    except Refused as error:
        raise stop(str(error)) from error
