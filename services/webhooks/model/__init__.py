"""The rules of webhooks, without I/O and without a clock."""

from firsthand.services.webhooks.model.condition import Condition
from firsthand.services.webhooks.model.delivery import Attempt, Delivery, Lane
from firsthand.services.webhooks.model.endpoint import Endpoint
from firsthand.services.webhooks.model.recipients import Obligation, Recipients
from firsthand.services.webhooks.model.replay import Replay

__all__ = ["Attempt", "Condition", "Delivery", "Endpoint", "Lane", "Obligation", "Recipients", "Replay"]
