"""Where a meeting takes place."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

ProviderName = Literal["own-link"]


class Room(BaseModel):
    """A meeting at a provider: which provider, and the provider's own name for it. Nothing secret."""

    model_config = ConfigDict(frozen=True)

    provider: ProviderName
    reference: str
