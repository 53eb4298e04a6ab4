"""Where the bus is, by the settings of the deployment. Apart from what runs services, as the commands need it too."""

from pydantic import SecretStr

from firsthand.shared.bus.connection import BusSettings
from firsthand.shared.bus.permissions import inbox_prefix
from firsthand.shared.settings import Settings
from firsthand.shared.topology import Placement


def bus_settings(settings: Settings) -> BusSettings:
    """Say where NATS is and which institutions this process serves."""
    user = settings.nats_user
    return BusSettings(
        url=settings.nats_url,
        user=user,
        password=SecretStr(settings.nats_password),
        # Who may hear everybody's answers could read what others are given: a user's own place holds only its own.
        inbox_prefix=inbox_prefix(user) if user else "_INBOX",
        placement=Placement(settings.placement, settings.served_institutions),
        replicas=settings.stream_replicas,
    )


__all__ = ["bus_settings"]
