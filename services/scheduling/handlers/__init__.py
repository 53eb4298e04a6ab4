"""The use cases, one function each: load, decide, save with the event."""
