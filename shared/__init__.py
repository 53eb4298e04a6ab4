"""Event contracts and infrastructure. No business rule stands here, and no service is imported."""
