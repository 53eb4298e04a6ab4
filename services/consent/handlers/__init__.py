"""One function a use case: load, decide, save with the event. Doors: `subscribers.py` and `http/`."""
