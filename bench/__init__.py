"""Measured claims, each beside its floor: the same work with the bare driver in the same run."""
