"""Base64url without padding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import base64url


@given(st.binary(max_size=80))
def test_what_is_written_is_read_again_padded_or_not(raw: bytes) -> None:
    text = base64url.encode(raw)
    assert not set(text) & set("+/=")
    assert base64url.decode(text) == base64url.decode(text + "=" * (-len(text) % 4)) == raw


@pytest.mark.parametrize("text", ["a", "ab c", "ab.c", "Größe", "ab\ncd", "a==="])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|ASCII|[Pp]adding"):
        base64url.decode(text)
