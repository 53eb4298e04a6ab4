"""Mark texts for the catalogues, without any of the machinery that shows them."""


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "to be translated later"
    """Mark a text for the catalogues; it is translated where it is shown."""
    return message


__all__ = ["N_"]
