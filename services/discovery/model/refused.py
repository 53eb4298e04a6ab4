"""What a use case answers instead of doing it: a code, and a text that says what to do."""

from collections.abc import Sequence


class Refused(Exception):  # noqa: N818 - the field's word
    """It is not done. `title` says why, `text` what to do (English, translated where shown)."""

    def __init__(
        self,
        code: str,
        title: str,
        text: str = "",
        *,
        status: int = 409,
        errors: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.title = title
        self.text = text
        self.status = status
        self.errors = tuple(errors)


def not_found() -> Refused:
    """What does not exist, or is another institution's, which must look the same."""
    return Refused("not-found", "", status=404)


__all__ = ["Refused", "not_found"]
