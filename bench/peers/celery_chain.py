"""The four hops with Celery and Redis. `python -m bench.peers.celery_chain begin <prefix> <chains>` begins."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from celery import Celery

from bench.peers.documents import BODY, HOPS, Documents

app = Celery("chain", broker=os.environ["PEERS_REDIS"])
app.conf.update(
    task_acks_late=True,  # a task of a worker that is killed is run again, as a delivery of ours is
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("PEERS_PREFETCH", "4")),
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=64,  # so that no thread waits for a connection
)


@cache
def documents() -> Documents:
    return Documents(Path(os.environ["PEERS_DATABASE"]))


@app.task(name="hop")
def hop(chain: str, number: int, body: str) -> None:
    documents().keep(chain, number, body)
    if number < HOPS:
        hop.delay(chain, number + 1, body)


if __name__ == "__main__":
    prefix, chains = sys.argv[2], int(sys.argv[3])
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: hop.delay(f"{prefix}-{n}", 1, BODY), range(chains)))
