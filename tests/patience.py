"""How long a test waits for what is to come: only a fault makes it wait so long, and never a machine that is busy."""

PATIENCE = 60.0  # seconds
