"""Names and arguments of PyTorch that programs commonly use, beside those of the ops that they mean."""

from __future__ import annotations

import pytest

import tinynet as tn
from tinynet.errors import DTypeError


def test_dtypes_have_their_other_names():
    assert (tn.float, tn.double, tn.int, tn.long) == (tn.float32, tn.float64, tn.int32, tn.int64)
    assert tn.tensor([1, 2], dtype=tn.long).dtype == tn.ones(2).long().dtype
    assert tn.zeros(2).to(tn.double).dtype == tn.float64


def test_softmax_is_a_function_of_the_package_too():
    x = tn.tensor([[0.0, 1.0], [2.0, 2.0]])
    assert tn.softmax(x, dim=-1).equal(tn.nn.functional.softmax(x, dim=-1))
    assert tn.log_softmax(x, 1).equal(tn.nn.functional.log_softmax(x, 1))


def test_load_takes_the_arguments_that_say_where_and_what(tmp_path):
    tn.save([1, 2], tmp_path / "file")
    assert tn.load(tmp_path / "file", map_location=tn.device("cpu"), weights_only=False) == [1, 2]
    assert tn.load(tmp_path / "file", "cpu") == [1, 2]
    with pytest.raises(NotImplementedError, match="load: map_location must be None or 'cpu'"):
        tn.load(tmp_path / "file", map_location="cuda")
    with pytest.raises(DTypeError, match="load: weights_only must be a bool"):
        tn.load(tmp_path / "file", weights_only=1)
