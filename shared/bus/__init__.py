"""The bus: events between services over NATS JetStream, at least once, with effects that happen once."""

from firsthand.shared.bus.connection import Bus, BusSettings, NotBound, NotPublished
from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.bus.listeners import Listener

__all__ = ["Bus", "BusSettings", "Hopeless", "Listener", "NotBound", "NotPublished", "Transient"]
