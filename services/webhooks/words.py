"""The service's pages and catalogues, also for texts that are made in Python, such as mail."""

from pathlib import Path

from firsthand.shared.web.pages import Pages

PAGES = Pages("webhooks", Path(__file__).parent)

__all__ = ["PAGES"]
