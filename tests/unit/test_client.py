"""How commands call a running system."""

import pytest

from firsthand.shared.client import Refused, machine


@pytest.mark.parametrize("token", ["╭──╮", "eyJ hbG", "eyJ\nhbG", "eyJ\x00"])
async def test_what_cannot_be_a_token_is_refused_with_what_to_do(token: str) -> None:
    with pytest.raises(Refused, match="Copy it again"):
        async with machine("http://127.0.0.1:1", token):
            pass
