"""What the model refuses, in words that tell what to do; the doors turn it into a problem."""


class Refused(Exception):  # noqa: N818 - the field's word
    """It cannot be done now. `code` is for programs, `text` (English, translated where it is shown) for people."""

    def __init__(self, code: str, text: str, *, status: int = 409) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


class NotFound(Refused):
    """There is no such thing in this institution."""

    def __init__(self, text: str) -> None:
        super().__init__("not-found", text, status=404)
