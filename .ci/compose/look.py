"""Prints as JSON, from inside the compose network: all events in the streams, dead letters, documents by collection."""

import asyncio
import json
from pathlib import Path
from typing import Any

from nats.js.api import AckPolicy, ConsumerConfig
from pymongo import MongoClient

from firsthand.shared.bus.connection import connected
from firsthand.shared.bus.dead_letters import DeadLetters
from firsthand.shared.deployment import bus_settings
from firsthand.shared.settings import Settings
from firsthand.shared.topology import STREAMS

SETTINGS = Settings()
ROOT = Path("/run/mongo/mongo-root-password").read_text().strip()


async def main() -> None:
    events: list[dict[str, Any]] = []
    async with connected(bus_settings(SETTINGS)) as client:
        stream = client.jetstream()
        dead = [letter async for letter in DeadLetters(stream).list()]
        for name in [stream.name for stream in STREAMS.values()]:
            waiting = (await stream.stream_info(name)).state.messages
            heard = await client.subscribe(client.new_inbox())
            config = ConsumerConfig(name="look", deliver_subject=heard.subject, ack_policy=AckPolicy.NONE)
            await stream.add_consumer(name, config)
            for _ in range(waiting):
                event = json.loads((await heard.next_msg(timeout=10)).data)
                events.append({key: event[key] for key in ("id", "type", "subject")})
            await stream.delete_consumer(name, "look")
    root = {"username": "root", "password": ROOT, "authSource": "admin"}
    with MongoClient[Any](SETTINGS.mongo_url, **root) as mongo:
        databases = [name for name in mongo.list_database_names() if name.startswith("firsthand_")]
        documents = {
            f"{d}.{c}": mongo[d][c].count_documents({}) for d in databases for c in mongo[d].list_collection_names()
        }
    print(json.dumps({"events": events, "dead_letters": len(dead), "documents": documents}))


asyncio.run(main())
