"""Celery and Dramatiq doing the chain, beside ours: see README.md."""
