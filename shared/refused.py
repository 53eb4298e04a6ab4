"""How models and use cases say no: one exception, without any HTTP in it.

`shared/web/problems.py` is the one place that makes an answer of it.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

Kind = Literal["not-possible", "invalid", "forbidden", "gone", "too-large", "unavailable", "no-room"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Refused(Exception):  # noqa: N818 - the field's word
    """An act that is refused.

    `code` is for programs and never changes. `title` says what is wrong and `text` what to do, both in English and
    marked for the catalogues; without a title the page says what the `kind` means. `fields` names what must be
    changed: names alone, when `text` says it, or each name with its own text. `known` is the path of the thing that is
    there already.
    """

    def __init__(
        self,
        code: str,
        text: str = "",
        *,
        title: str = "",
        kind: Kind = "not-possible",
        fields: Sequence[str] | Mapping[str, str] = (),
        known: str = "",
    ) -> None:
        super().__init__(" ".join(part for part in (f"{code}:", title, text) if part))
        self.code = code
        self.title = title
        self.text = text
        self.kind: Kind = kind
        self.fields: Mapping[str, str] = fields if isinstance(fields, Mapping) else dict.fromkeys(fields, text)
        self.known = known

    @classmethod
    def of_field(cls, field: str, text: str) -> "Refused":
        """Refuse one field of what was entered, with what to enter instead."""
        return cls("not-right", kind="invalid", fields={field: text})


class NotFound(Exception):  # noqa: N818 - the field's word
    """There is no such thing in this institution; another institution's things look the same. `text` may help."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text


__all__ = ["KINDS", "Kind", "NotFound", "Refused"]
