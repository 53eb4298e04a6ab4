"""Tasks that Redis holds, waiting or not yet acknowledged: `python -m bench.peers.left <address>`."""

import sys

from redis import Redis

_NOT_TASKS = (b"_kombu.", b"dramatiq:__heartbeats__", b"unacked_mutex")  # bindings, and signs of life of workers


def main() -> None:
    client = Redis.from_url(sys.argv[1])
    held = 0
    for key in client.scan_iter():
        if key.startswith(_NOT_TASKS):
            continue
        sizes = {b"list": client.llen, b"hash": client.hlen, b"set": client.scard, b"zset": client.zcard}
        held += sizes[client.type(key)](key)
    print(held)


if __name__ == "__main__":
    main()
