"""The bus: events between services over NATS JetStream, at least once, with effects that happen once."""

from shared.bus.connection import Bus, BusSettings, NotBound, NotPublished
from shared.bus.errors import Hopeless, Transient
from shared.bus.listeners import Listener

__all__ = ["Bus", "BusSettings", "Hopeless", "Listener", "NotBound", "NotPublished", "Transient"]
