# SPDX-License-Identifier: Apache-2.0
"""MLIR comes before TensorFlow here, so that tests can compare outputs in one process.

The other orders run in processes of their own: `test_import_orders.py`.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ASNET_CHECK_VECTORS", "20000")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

from asnet_mlir import dialects

dialects.load()

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(scope="session")
def module():
    """A plain tf.Module 6 -> 4 -> 3 with variables, a captured tensor and a constant."""
    rng = np.random.default_rng(0)

    class Net(tf.Module):
        def __init__(self):
            super().__init__(name="net")
            with self.name_scope:
                self.kernel = tf.Variable(self.random(6, 4), name="kernel")
                self.bias = tf.Variable(self.random(4), name="bias")
            self.last = tf.constant(self.random(4, 3))

        @staticmethod
        def random(*shape):
            return rng.standard_normal(shape).astype(np.float32)

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32)])
        def __call__(self, x):
            with tf.name_scope("dense"):
                y = tf.nn.relu(x @ self.kernel + self.bias)
            with tf.name_scope("last"):
                return tf.nn.softmax(y @ self.last + np.arange(3, dtype=np.float32))

    return Net()


@pytest.fixture
def x():
    """float32[50, 6]"""
    return np.random.default_rng(1).standard_normal((50, 6)).astype(np.float32)
