"""Sealed fields: they open in their own row, under their own client's key, and nowhere else."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import errors
from service.keys.sealing import NONCE_BYTES, VERSION, Sealer

CLINIC, CLIENT, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
MASTER = Sealer(bytes(range(32)))


@given(st.binary(max_size=4_000), st.text(max_size=60))
def test_what_is_sealed_opens_to_the_same(plain: bytes, row: str) -> None:
    sealed = MASTER.seal(plain, bound_to=row)
    assert MASTER.open(sealed, bound_to=row) == plain
    assert len(sealed) == len(VERSION) + NONCE_BYTES + len(plain) + 16


@given(st.binary(min_size=1, max_size=40), st.data())
def test_no_bit_of_a_sealed_field_can_be_changed(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(MASTER.seal(plain, bound_to="row"))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(errors.Invalid):
        MASTER.open(bytes(sealed), bound_to="row")


def test_a_field_opens_in_no_other_row_and_under_no_other_key() -> None:
    sealed = MASTER.seal(b"slept badly", bound_to="check_in:1:2:note")
    with pytest.raises(errors.Invalid):
        MASTER.open(sealed, bound_to="check_in:1:3:note")
    with pytest.raises(errors.Invalid):
        Sealer(bytes(32)).open(sealed, bound_to="check_in:1:2:note")


def test_a_clients_key_is_that_clients_alone() -> None:
    wrapped = MASTER.fresh_client_key(CLINIC, CLIENT)
    assert MASTER.fresh_client_key(CLINIC, CLIENT) != wrapped
    sealed = MASTER.client_sealer(wrapped, CLINIC, CLIENT).seal(b"a note", bound_to="row")
    assert MASTER.client_sealer(wrapped, CLINIC, CLIENT).open(sealed, bound_to="row") == b"a note"
    with pytest.raises(errors.Invalid):
        MASTER.client_sealer(wrapped, CLINIC, OTHER)


def test_equal_content_is_sealed_differently_and_hashed_alike() -> None:
    assert MASTER.seal(b"same", bound_to="row") != MASTER.seal(b"same", bound_to="row")
    assert MASTER.keyed_hash(b"same", purpose="one") == MASTER.keyed_hash(b"same", purpose="one")
    assert MASTER.keyed_hash(b"same", purpose="one") != MASTER.keyed_hash(b"same", purpose="another")
    assert MASTER.derived_key(purpose="one") != MASTER.derived_key(purpose="another")


def test_a_master_key_has_32_bytes() -> None:
    with pytest.raises(errors.ConfigError):
        Sealer(bytes(31))
