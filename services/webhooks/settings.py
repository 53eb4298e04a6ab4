"""The knobs of webhooks, read from the environment (`FIRSTHAND_WEBHOOK_...`)."""

import ssl
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from firsthand.services.webhooks.guard import Network
from firsthand.shared.settings import ToldSettings


class WebhookSettings(ToldSettings):
    """Where webhooks may be sent, and how long deliveries are kept."""

    model_config = SettingsConfigDict(env_prefix="FIRSTHAND_WEBHOOK_", extra="ignore", frozen=True)

    keep_days: Annotated[int, Field(ge=4, le=365, description="a delivery is kept, payload and answers included")] = 30
    allowed: Annotated[
        tuple[Network, ...], NoDecode, Field(description="comma-separated private ranges that may be sent to")
    ] = ()
    ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...],
        NoDecode,
        Field(description="comma-separated ports that may be sent to, beside 443 and 8443"),
    ] = ()
    proxy: Annotated[
        str, Field(pattern=r"^(https?://[^/\s]+/?)?$", description="an egress proxy, through which everything goes")
    ] = ""
    ca_file: Annotated[Path | None, Field(description="further certificate authorities, as PEM")] = None

    @field_validator("allowed", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("ports", mode="before")
    @classmethod
    def _split_ports(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("ca_file")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        if value is not None:
            try:
                ssl.create_default_context(cafile=str(value))
            except (ssl.SSLError, OSError):
                raise ValueError(f"{value} holds no certificates (PEM)") from None
        return value


@cache
def webhook_settings() -> WebhookSettings:
    """Read the settings once: it takes longer than a delivery."""
    return WebhookSettings()


TIME_LIMIT: Final = 15.0  # seconds for one attempt, connecting included

__all__ = ["TIME_LIMIT", "WebhookSettings", "webhook_settings"]
