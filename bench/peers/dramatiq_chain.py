"""The four hops with Dramatiq and Redis. `python -m bench.peers.dramatiq_chain begin <prefix> <chains>` begins."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers.documents import BODY, HOPS, Documents

dramatiq.set_broker(RedisBroker(url=os.environ["PEERS_REDIS"]))


@cache
def documents() -> Documents:
    return Documents(Path(os.environ["PEERS_DATABASE"]))


@dramatiq.actor  # acknowledged when it has run, and run again when its worker was killed
def hop(chain: str, number: int, body: str) -> None:
    documents().keep(chain, number, body)
    if number < HOPS:
        hop.send(chain, number + 1, body)


if __name__ == "__main__":
    prefix, chains = sys.argv[2], int(sys.argv[3])
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: hop.send(f"{prefix}-{n}", 1, BODY), range(chains)))
