"""The rules of webhooks, without I/O and without a clock."""

from firsthand.services.webhooks.model.delivery import Attempt, Delivery, Lane, Recipients
from firsthand.services.webhooks.model.endpoint import Endpoint

__all__ = ["Attempt", "Delivery", "Endpoint", "Lane", "Recipients"]
