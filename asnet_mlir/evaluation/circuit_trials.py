# SPDX-License-Identifier: Apache-2.0
"""A network on 8-bit codes with one table after the other in its products.

A product of two codes is a table, and native code of a layer does not depend on it (decision 27):
another circuit costs no compilation, what a search asks for hundreds of times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from asnet_mlir.binding import Binding, is_within
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.contractions import Product
from asnet_mlir.evaluation.cpu import BoundStage
from asnet_mlir.evaluation.evaluate import judge_of, prepare_data
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.evaluation.weighted_sums import as_approx, find_sums, text_of
from asnet_mlir.frontends import load_model
from asnet_mlir.support.cache import content_hash

__all__ = ["CircuitTrials"]


class CircuitTrials:
    """How good a network is with tables of products.

    Attributes:
      exact: the figure with exact products.
      metric: what judges; by the data, as `evaluate` has it, where none is named.
      about: what decides the figures: network, data, layer and metric, as a hash.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        exact: np.ndarray,
        *,
        layer: str | None = None,
        metric: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Compile a network.

        Args:
          model, data, metric: as for `evaluate`.
          exact: what the products compute, as the tables of `value`: they are what is replaced.
          layer: whose products the tables are for; by default all.

        Raises:
          InputError: the network's products are not of 8-bit codes, or compute something else.
        """
        network = load_model(model)
        self._dataset = prepare_data(data, network)
        judge = judge_of(metric, self._dataset, network)
        compiled = CompiledNetwork(network, way="rows")
        self._plain = Evaluator(compiled, Binding(), threads=threads)
        # What this processor's back end compiles; no other was asked for.
        self._stages = cast(tuple[BoundStage, ...], self._plain.stages)
        plain = as_approx(network, Binding())
        sums = [one for one in find_sums(plain) if is_within(one.layer, layer)]
        if not sums:
            place = f"{network.name}, layer '{layer}'" if layer else network.name
            raise InputError(
                f"{place}: has no sums of products of integer codes, in which a circuit could be "
                "tried; give a network of `asnet quantize`, or a .tflite"
            )
        self._swapped = {one.layer: one.is_swapped for one in sums}
        for stage in self._stages:
            if stage.stage.layer in self._swapped:
                self._check(network.name, stage, exact)
        outputs = self._plain.outputs(self._dataset.x)
        self._judge = judge.resolved(outputs)
        self.metric = self._judge.metric
        self.exact = self._judge.value(outputs)
        targets = b"" if self._dataset.y is None else self._dataset.y.tobytes()
        self.about = content_hash(
            text_of(plain),
            *(weight.value.tobytes() for weight in network.weights),
            self._dataset.x.tobytes(),
            targets,
            str(layer),
            self._judge.key,
        )

    def _check(self, name: str, stage: BoundStage, exact: np.ndarray) -> None:
        wanted = self._table(stage.stage.layer, exact)
        if not stage.products:
            raise InputError(f"{name}, layer '{stage.stage.layer}': has no products of 8-bit codes")
        if any((product.table != wanted).any() for product in stage.products):
            raise InputError(
                f"{name}, layer '{stage.stage.layer}': its products are not what the circuits "
                "compute: take --signed for signed codes, and 8 bits"
            )

    def _table(self, layer: str, table: np.ndarray) -> np.ndarray:
        """Return int32[weights, codes] of [a, b]."""
        return np.ascontiguousarray(table if self._swapped[layer] else table.T, np.int32)

    def value(self, table: np.ndarray) -> float:
        """Return the figure with a table in the products; see `outputs`."""
        return self._judge.value(self.outputs(table))

    def outputs(self, table: np.ndarray) -> np.ndarray:
        """Return the network's outputs for the data with a table in the products.

        Args:
          table: results, integers [256 bits of a, 256 bits of b]: a is the left operand.
        """
        stages: list[BoundStage] = []
        products: dict[bool, Product] = {}
        for stage in self._stages:
            layer = stage.stage.layer
            if layer in self._swapped:
                swapped = self._swapped[layer]
                if swapped not in products:
                    products[swapped] = _product(self._table(layer, table))
                own = products[swapped]
                key = content_hash("trial", stage.key, own.key)
                stage = replace(stage, products=(own,) * len(stage.products), key=key)
            stages.append(stage)
        return self._plain.with_stages(stages).outputs(self._dataset.x)


def _product(table: np.ndarray) -> Product:
    rows = Product(table, "rows")
    return rows if rows.ways else Product(table, None)
