"""How the model says no."""


class Refused(Exception):  # noqa: N818 - the field's word
    """The act is not possible now. `code` is for programs; `text` (English, in the catalogues) says what to do."""

    def __init__(self, code: str, text: str, *, fields: tuple[str, ...] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.text = text
        self.fields = fields


class NotHere(Exception):  # noqa: N818 - says what is the case
    """There is no such thing in this institution."""
