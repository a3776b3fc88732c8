"""Data sets: shapes, values, and one clear line for each way a file can be wrong."""

import numpy as np
import pytest

from asnet_mlir.data import Dataset, load_data
from asnet_mlir.errors import InputError


def test_mnist_is_whole():
    test = load_data("mnist:test")
    assert test.x.shape == (10000, 28, 28, 1) and test.x.dtype == np.float32
    assert test.x.min() == 0 and test.x.max() == 1
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_first_samples_are_a_prefix():
    np.testing.assert_array_equal(load_data("mnist:test:3").x, load_data("mnist:test").x[:3])


def test_samples_may_be_flattened_or_lose_unit_dimensions():
    data = Dataset("d", np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1), np.array([0, 1]))
    assert data.shaped((12,)).x.shape == (2, 12)
    assert data.shaped((3, 4)).x.shape == (2, 3, 4)
    np.testing.assert_array_equal(data.shaped((12,)).x[1], np.arange(12, 24))
    for wrong in ((4, 3), (13,), (2, 6)):
        with pytest.raises(InputError, match="samples have the shape 3x4x1, the network takes"):
            data.shaped(wrong)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar:test", "unknown data set 'cifar:test'"),
        ("mnist:valid", "has the parts 'train' and 'test', not 'valid'"),
        ("mnist:test:0", "must be in 1..10000"),
        ("mnist:test:many", "must be in 1..10000"),
        ("missing.npz", "no such file"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(InputError, match=message):
        load_data(name)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3))}, "lacks the array 'y'"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(2)}, "'y' must be 2 class indices"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(3, int)}, "'y' must be 2 class indices"),
        ({"x": np.array([["a"]]), "y": np.zeros(1, int)}, "'x' must be numbers"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "holds no samples"),
        ({"x": np.array([[{}]]), "y": np.zeros(1, int)}, "pickled Python objects"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        load_data(str(path))


def test_not_a_zip(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a readable .npz"):
        load_data(str(path))


def test_nans_become_the_one_nan(tmp_path):
    path = tmp_path / "data.npz"
    x = np.array([[0xFF800001, 0x3F800000]], np.uint32).view(np.float32)
    np.savez(path, x=x, y=np.array([0]))
    assert load_data(str(path)).x.view(np.uint32).tolist() == [[0x7FC00000, 0x3F800000]]
