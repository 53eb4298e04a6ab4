"""What a use case answers instead of doing it: a code, and a text that says what to do."""

from collections.abc import Sequence


class Refused(Exception):  # noqa: N818 - the field's word
    """It is not done. `title` says why, `text` what to do (English, translated where shown).

    `known` is where that is which is there already (a path); it goes into the answer's `Location`.
    """

    def __init__(
        self,
        code: str,
        title: str = "",
        text: str = "",
        *,
        status: int = 409,
        errors: Sequence[tuple[str, str]] = (),
        known: str = "",
    ) -> None:
        super().__init__(code)
        self.code = code
        self.title = title
        self.text = text
        self.status = status
        self.errors = tuple(errors)
        self.known = known


def not_found() -> Refused:
    """What does not exist, or is another institution's, which must look the same."""
    return Refused("not-found", status=404)


def wrong(field: str, text: str) -> Refused:
    """One field that cannot be taken."""
    return Refused("not-right", status=422, errors=[(field, text)])
