"""The pages of webhooks: templates in `services/webhooks/pages`, catalogues in `services/webhooks/locale`."""

from firsthand.services.webhooks.words import PAGES

pages = PAGES

__all__ = ["pages"]
