# SPDX-License-Identifier: Apache-2.0
"""The synthetic house numbers: the same bits everywhere, and of use for what they stand in for."""

import hashlib

import numpy as np
import pytest

from asnet_mlir.data import load_data, svhn_synthetic
from asnet_mlir.data.noise import draw, draw_bytes, spread
from asnet_mlir.errors import ToolError


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def test_random_numbers_are_pinned():
    words = draw("a stream", np.arange(3, dtype=np.uint64), 4)
    assert words.dtype == np.uint64 and words.shape == (3, 4)
    assert (
        sha256(words.astype("<u8"))
        == "d3a3c622976d7875076bd26bf2d8be90aad83ee8162d75691b01bc9fd15e4a06"
    )
    assert not np.intersect1d(words, draw("another", np.arange(3, dtype=np.uint64), 4)).size


def test_random_numbers_are_even():
    words = draw("evenness", np.arange(1000, dtype=np.uint64), 100)
    values = spread(words, -1, 3)
    assert values.dtype == np.float32 and values.min() >= -1 and values.max() <= 3
    # 100,000 values in 16 classes: the standard deviation of a class is about 77.
    counts = np.bincount(((values + 1) * 4).astype(int).ravel().clip(0, 15), minlength=16)
    assert abs(counts - 6250).max() < 5 * 77
    octets = draw_bytes("evenness", np.arange(100, dtype=np.uint64), 1001)
    assert octets.shape == (100, 1001)
    assert abs(np.bincount(octets.ravel(), minlength=256) - 391).max() < 6 * 20


def test_samples_are_pinned_and_independent():
    images, labels = svhn_synthetic.paint("test", 0, 300)
    assert images.shape == (300, 32, 32, 3) and images.dtype == np.uint8
    assert sha256(images[:40]) == "7d9acc67ec8a6a84bda96e1ea9175dd2d2ff2faffd58f43c6cac7de1754d2f90"
    assert labels[:12].tolist() == [1, 0, 4, 9, 3, 9, 9, 5, 5, 7, 4, 6]
    some, their = svhn_synthetic.paint("test", 120, 140)
    np.testing.assert_array_equal(some, images[120:140])
    np.testing.assert_array_equal(their, labels[120:140])


def test_loads_what_the_paper_evaluates():
    data = load_data("svhn_synthetic:test:3000")
    assert data.x.shape == (3000, 32, 32, 3) and len(np.unique(data.y)) == 10
    assert data.x.min() == 0 and data.x.max() == 1
    images, labels = svhn_synthetic.paint("test", 2990, 3000)
    np.testing.assert_array_equal(data.x[2990:], images.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.y[2990:], labels)


def test_no_sample_is_in_both_parts():
    train, _ = svhn_synthetic.paint("train", 0, 500)
    test, _ = svhn_synthetic.paint("test", 0, 500)
    assert len({image.tobytes() for image in (*train, *test)}) == 1000


@pytest.fixture
def small_part(tmp_path, monkeypatch):
    """A part of 30 samples with a cache of its own."""
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    images, labels = svhn_synthetic.paint("test", 0, 30)
    monkeypatch.setitem(svhn_synthetic.SIZES, "test", 30)
    digest = hashlib.sha256(labels.tobytes() + images.tobytes()).hexdigest()
    monkeypatch.setitem(svhn_synthetic._SHA256, "test", digest)
    return images


def test_a_damaged_cache_is_made_anew(small_part, tmp_path):
    load_data("svhn_synthetic:test")
    (cached,) = tmp_path.glob("svhn_synthetic/*/labels-images")
    for content in (cached.read_bytes()[:-7], b"", b"x" * cached.stat().st_size):
        cached.write_bytes(content)
        images, _ = svhn_synthetic.synthetic_svhn("test")
        np.testing.assert_array_equal(images, small_part)


def test_another_arithmetic_is_noticed(small_part, monkeypatch):
    monkeypatch.setattr(svhn_synthetic, "_clip", lambda v: np.clip(v * np.float32(1.001), 0, 1))
    with pytest.raises(ToolError, match="differs from IEEE 754"):
        load_data("svhn_synthetic:test")
