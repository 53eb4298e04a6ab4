"""What a handler may raise to say what is to become of an event."""


class Transient(Exception):  # noqa: N818 - the field's word
    """It may heal: give the event again, each time later."""


class Hopeless(Exception):  # noqa: N818 - the field's word
    """It cannot heal: to the dead letters at once. The reason is shown to operators: nothing personal in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
