# SPDX-License-Identifier: Apache-2.0
"""Data sets: shapes, values, and one clear line for each way a file can be wrong."""

import gzip
import zipfile

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.data import Dataset, datasets, load_data
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
        ("", "unknown data set ''"),
        ("mnist", "has the parts 'train' and 'test', not ''"),
        ("mnist:valid", "has the parts 'train' and 'test', not 'valid'"),
        ("mnist:test:0", "must be in 1..10000"),
        ("mnist:test:", "must be in 1..10000"),
        ("mnist:test:-3", "must be in 1..10000"),
        ("mnist:test:10001", "must be in 1..10000"),
        ("mnist:test:" + "9" * 5000, "must be in 1..10000"),
        ("mnist:test:many", "must be in 1..10000"),
        ("mnist:test:1:2", "must be in 1..10000"),
        (
            "mnist:/nowhere:train",
            "train-images-idx3-ubyte.gz: no such file; name the",
        ),
        ("svhn_synthetic:extra", "synthetic SVHN has the parts 'train' and 'test', not 'extra'"),
        ("svhn", "names no folder"),
        ("svhn:", "names no folder"),
        ("svhn:/nowhere", "/nowhere/test_32x32.mat: no such file; download test_32x32.mat"),
        ("svhn:/nowhere:train:5", "/nowhere/train_32x32.mat: no such file"),
        ("fashion_mnist:valid", "has the parts 'train' and 'test', not 'valid'"),
        ("fashion_mnist:/nowhere:test", "install Debian's package dataset-fashion-mnist"),
        ("missing.npz", "no such file"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(InputError, match=message):
        load_data(name)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3)), "y": np.zeros(3, int)}, "'y' must be 2 class indices"),
        ({"x": np.zeros((2, 3)), "y": np.array(["a", "b"])}, "'y' must be 2 class indices"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(2, complex)}, "'y' must be 2 .* got complex128"),
        ({"x": np.zeros((2, 3)), "y": np.array([0, np.nan])}, "target of sample 1 holds a NaN"),
        ({"x": np.array([["a"]]), "y": np.zeros(1, int)}, "'x' must be numbers"),
        ({"x": np.zeros((1, 2), complex), "y": np.zeros(1, int)}, "'x' must be .* complex128"),
        ({"x": np.zeros(2), "y": np.zeros(2, int)}, "'x' must be numbers with a sample a row"),
        ({"x": np.float32(1), "y": np.int64(1)}, "'x' must be numbers with a sample a row"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "holds no samples"),
        ({"x": np.zeros((3, 0)), "y": np.zeros(3, int)}, "holds no samples"),
        (
            {"x": np.zeros((2, 3)), "y": np.array([2**64 - 1, 0], np.uint64)},
            "label of sample 0, 18446744073709551615, is too large",
        ),
        ({"x": np.array([[{}]]), "y": np.zeros(1, int)}, "'x' holds pickled Python objects"),
        ({"x": np.zeros((1, 2)), "y": np.array([{}])}, "'y' holds pickled Python objects"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        load_data(path)


def test_not_a_zip(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a readable .npz"):
        load_data(str(path))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_npz(tmp_path, save):
    """Cut anywhere or with any byte changed, a file is an error or, where it says so, the same."""
    path = tmp_path / "data.npz"
    data = {"x": np.arange(12, dtype=np.float32).reshape(3, 4), "y": np.arange(3)}
    save(path, **data)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for trial in range(300):
        at = int(rng.integers(len(content)))
        damaged = content[:at] if trial % 3 == 0 else bytearray(content)
        if isinstance(damaged, bytearray):
            damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            loaded = load_data(str(path))
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(loaded.x, data["x"])
            np.testing.assert_array_equal(loaded.y, data["y"])
    assert refused > 200


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10**9, 10**6), r"'x' of shape \(1000000000, 1000000\) takes 3725290.3 GiB"),
        ((4, 5), r"'x' is damaged: 48 bytes of data, its shape \(4, 5\) needs 80"),
    ],
)
def test_an_array_that_announces_more_than_there_is(tmp_path, shape, message):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("x.npy", "w") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(bytes(48))
        with archive.open("y.npy", "w") as file:
            np.lib.format.write_array(file, np.arange(4))
    with pytest.raises(InputError, match=message):
        load_data(str(path))


def test_nans_become_the_one_nan(tmp_path):
    path = tmp_path / "data.npz"
    x = np.array([[0xFF800001, 0x3F800000]], np.uint32).view(np.float32)
    np.savez(path, x=x, y=np.array([0]))
    assert load_data(str(path)).x.view(np.uint32).tolist() == [[0x7FC00000, 0x3F800000]]


def test_values_beyond_float32_are_infinite():
    data = Dataset("d", np.array([[1e39, -1e300, 2.0**70]]), np.array([0]))
    assert data.x.tolist() == [[np.inf, -np.inf, 2.0**70]]


def test_accuracy_on_nans_is_refused(mlp):
    x = np.zeros((5, 13), np.float32)
    x[3, 7] = x[4, 0] = np.nan
    data = Dataset("mine", x, np.zeros(5, int))
    message = r"mine: sample 3 holds a NaN at \[7\] \(2 of 5 samples hold any\)"
    with pytest.raises(InputError, match=message):
        asnet_mlir.evaluate(mlp, data)


def test_labels_beyond_the_classes_are_refused(mlp):
    data = Dataset("mine", np.zeros((3, 13)), np.array([4, 5, 6]))
    with pytest.raises(InputError, match=r"the label of sample 1 is 5, .* classes 0..4"):
        asnet_mlir.evaluate(mlp, data)


def write_idx(path, array, code=8):
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def fashion_folder(tmp_path, suffix=".gz"):
    folder = tmp_path / "with:colon"
    folder.mkdir()
    images = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    write_idx(folder / f"t10k-images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"t10k-labels-idx1-ubyte{suffix}", np.array([9, 0, 4], np.uint8))
    return folder, images


@pytest.mark.parametrize(("kind", "suffix"), [("fashion_mnist", ".gz"), ("mnist", "")])
def test_idx_files_of_a_folder(tmp_path, kind, suffix):
    folder, images = fashion_folder(tmp_path, suffix)
    data = load_data(f"{kind}:{folder}:test")
    expected = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(data.x, expected)
    assert data.y.tolist() == [9, 0, 4]
    assert load_data(f"{kind}:{folder}:test:2").y.tolist() == [9, 0]


def test_a_wheel_lacks_the_training_images(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "data_directory", lambda: tmp_path)
    with pytest.raises(InputError, match="not in the installed package; name the folder of MNIST"):
        load_data("mnist:train")


def test_fashion_mnist_where_its_package_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_FASHION_FOLDER", tmp_path)
    with pytest.raises(InputError, match="install Debian's package dataset-fashion-mnist"):
        load_data("fashion_mnist:test")


def test_fashion_mnist_from_its_package():
    if not datasets._FASHION_FOLDER.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    data = load_data("fashion_mnist:test")
    assert data.x.shape == (10000, 28, 28, 1)
    assert np.bincount(data.y).tolist() == [1000] * 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08\x03\0\0", "not an IDX file"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "type 0x0d, not unsigned bytes"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "holds 3 values, its header says 5"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xffabc", "its header says 184467440"),
        (b"\0\0\x08\x01\0\0\0\x02\x01\x02", "labels of shape \\(2,\\) do not belong together"),
    ],
)
def test_bad_idx(tmp_path, content, message):
    folder, _ = fashion_folder(tmp_path, "")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_data(f"fashion_mnist:{folder}:test")


def test_truncated_gzip(tmp_path):
    folder, _ = fashion_folder(tmp_path)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="can't be read"):
        load_data(f"fashion_mnist:{folder}:test")


def cifar_record(label: int, image: np.ndarray) -> bytes:
    """A record of CIFAR-10's binary version, of uint8[32, 32, 3]."""
    return bytes([label]) + image.transpose(2, 0, 1).tobytes()


def test_cifar10_from_its_binary_files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), np.uint8)
    for number in range(1, 6):
        record = cifar_record(number, images[number - 1])
        (tmp_path / f"data_batch_{number}.bin").write_bytes(record)
    records = cifar_record(9, images[5]) + cifar_record(0, images[6])
    (tmp_path / "test_batch.bin").write_bytes(records)
    test, train = load_data(f"cifar10:{tmp_path}"), load_data(f"cifar10:{tmp_path}:train")
    assert test.y.tolist() == [9, 0] and train.y.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(test.x, images[5:].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(train.x, images[:5].astype(np.float32) / np.float32(255))
    assert load_data(f"cifar10:{tmp_path}:test:1").y.tolist() == [9]
    (tmp_path / "test_batch.bin").write_bytes(records[:-1])
    with pytest.raises(InputError, match="holds 6145 bytes, which are no records of 3073"):
        load_data(f"cifar10:{tmp_path}")
    (tmp_path / "test_batch.bin").write_bytes(records[:3073] + cifar_record(10, images[0]))
    with pytest.raises(InputError, match="label of sample 1 is 10; labels are 0..9"):
        load_data(f"cifar10:{tmp_path}:test")
    with pytest.raises(InputError, match="no such file; unpack the binary version of CIFAR-10"):
        load_data("cifar10:/nowhere:train")
    with pytest.raises(InputError, match="names no folder"):
        load_data("cifar10:")
