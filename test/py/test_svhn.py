# SPDX-License-Identifier: Apache-2.0
"""SVHN's files as MATLAB writes them, against SciPy's writer; and every way they can be wrong."""

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from asnet_mlir.data import load_data
from asnet_mlir.data.matlab import read_matlab
from asnet_mlir.errors import InputError

RNG = np.random.default_rng(7)
X = RNG.integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
Y = np.array([[1], [10], [9], [2]], np.uint8)


def write(folder, variables, part="test", **options):
    scipy.io.savemat(folder / f"{part}_32x32.mat", variables, **options)
    return f"svhn:{folder}"


@pytest.mark.parametrize("compressed", [False, True])
def test_images_and_labels(tmp_path, compressed):
    name = write(tmp_path, {"X": X, "y": Y}, do_compression=compressed)
    data = load_data(name)
    assert data.x.shape == (4, 32, 32, 3) and data.y.tolist() == [1, 0, 9, 2]
    for sample in range(4):
        expected = X[:, :, :, sample].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(data.x[sample], expected)
    assert load_data(f"{name}:test:2").y.tolist() == [1, 0]
    assert load_data(f"{name}:3").y.tolist() == [1, 0, 9]


def test_parts_are_files(tmp_path):
    write(tmp_path, {"X": X, "y": Y}, "train")
    assert len(load_data(f"svhn:{tmp_path}:train")) == 4
    with pytest.raises(InputError, match="test_32x32.mat: no such file"):
        load_data(f"svhn:{tmp_path}")


def test_labels_stored_as_doubles_and_one_sample(tmp_path):
    name = write(tmp_path, {"X": X[..., 0], "y": np.array([[10.0]]), "more": np.ones((3, 3))})
    data = load_data(name)
    assert data.x.shape == (1, 32, 32, 3) and data.y.tolist() == [0]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"X": X}, "lacks the variable 'y'"),
        ({"y": Y}, "lacks the variable 'X'"),
        ({}, "lacks the variable"),
        ({"X": X.astype(float), "y": Y}, "'X' must be uint8 .* got float64"),
        ({"X": X.transpose(3, 0, 1, 2), "y": Y}, r"'X' must be .* got uint8 of shape \(4, 32, 32"),
        ({"X": X[:, :, :1], "y": Y}, "'X' must be uint8 of shape"),
        ({"X": X[..., :0], "y": Y[:0]}, "holds no samples"),
        ({"X": X, "y": Y[:3]}, r"'y' must be a column of 4 labels, got an array of shape \(3, 1\)"),
        ({"X": X, "y": Y.T}, r"got an array of shape \(1, 4\)"),
        ({"X": X, "y": Y - 1}, "the label of sample 0 is 0; labels are 1..10"),
        ({"X": X, "y": Y + 1}, "the label of sample 1 is 11"),
        ({"X": X, "y": Y + 0.5}, "the label of sample 0 is 1.5"),
        ({"X": X, "y": Y * np.nan}, "the label of sample 0 is nan"),
        ({"X": X, "y": Y * 1j}, "'y' is no array of real numbers"),
        ({"X": X, "y": "text"}, "'y' is no array of real numbers"),
        ({"X": {"a": 1}, "y": Y}, "'X' is no array of real numbers"),
    ],
)
def test_wrong_contents(tmp_path, variables, message):
    with pytest.raises(InputError, match=message):
        load_data(write(tmp_path, variables))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has 0 bytes"),
        (b"x" * 500, "no such header"),
        (b"MATLAB 7.3 MAT-file".ljust(600), "version 7.3"),
        (b"<html>not found</html>" * 10, "no such header"),
    ],
)
def test_other_files(tmp_path, content, message):
    (tmp_path / "test_32x32.mat").write_bytes(content)
    with pytest.raises(InputError, match=f"{message}.*is the download complete"):
        load_data(f"svhn:{tmp_path}")


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_files(tmp_path, compressed):
    """A cut file is refused; a changed byte is, or changes pixels and labels, but ends nothing."""
    name = write(tmp_path, {"X": X[..., :2], "y": Y[:2]}, do_compression=compressed)
    path = tmp_path / "test_32x32.mat"
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    for at in rng.integers(0, len(content), 100):
        path.write_bytes(content[:at])
        with pytest.raises(InputError):
            load_data(name)
    for at in [*range(126, 400), *rng.integers(0, len(content), 200)]:
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            data = load_data(name)
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            if compressed and at >= 128:  # a checksum guards these
                np.testing.assert_array_equal(data.x[..., 0] * 255, X[:, :, 0, :2].T.swapaxes(1, 2))


NUMBERS = st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=5)),
    st.booleans(),
    st.text("abcXY_", min_size=1, max_size=31).filter(lambda name: name[0].isalpha()),
)
def test_reads_what_scipy_writes(tmp_path_factory, array, compressed, name):
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    scipy.io.savemat(path, {"before": [[1]], name: array}, do_compression=compressed)
    found = read_matlab(path, [name])[name]
    assert found.dtype == array.dtype and found.shape == array.shape
    np.testing.assert_array_equal(found, array)


def test_big_endian_and_values_in_smaller_types(tmp_path):
    """MATLAB stores doubles that are small integers in bytes; old machines' byte order differs."""
    for order, letters in (("<", b"\0\1IM"), (">", b"\1\0MI")):

        def element(kind, data, order=order):
            head = np.array([kind, len(data)], f"{order}u4").tobytes()
            return head + data + bytes(-len(data) % 8)

        matrix = (
            element(6, np.array([6, 0], f"{order}u4").tobytes())
            + element(5, np.array([2, 3], f"{order}i4").tobytes())
            + element(1, b"value")
            + element(2, bytes([1, 2, 3, 4, 5, 6]))
        )
        path = tmp_path / "a.mat"
        path.write_bytes(bytes(124) + letters + element(14, matrix))
        found = read_matlab(path, ["value"])["value"]
        assert found.dtype == np.float64 and found.tolist() == [[1, 3, 5], [2, 4, 6]]
