# SPDX-License-Identifier: Apache-2.0
"""`asnet evaluate`: how good one configuration is."""

from __future__ import annotations

from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import (
    DATA,
    METRIC,
    STRATEGY,
    THREADS,
    Verbs,
    add_verb,
    binding_arguments,
    binding_of,
    compensated,
    compensation_arguments,
    model_of,
    network_arguments,
)
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "evaluate",
        run,
        "accuracy, or another metric, of one configuration",
        network_arguments(),
        binding_arguments(),
        compensation_arguments(),
    )
    command.add_argument("--data", required=True, metavar="DATA", help=DATA)
    command.add_argument(
        "--metric", nargs="+", metavar="[OUTPUT=]M", help=f"{METRIC}; of each output, if you like"
    )
    command.add_argument("--threads", type=int, metavar="N", help=THREADS)
    command.add_argument("--strategy", metavar="S", help=STRATEGY)
    command.add_argument(
        "--device",
        metavar="D",
        default="cpu",
        help="computed by JAX on cpu-xla, gpu or tpu (default: cpu, native code)",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.reports.figure_texts import interval_text

    binding = binding_of(options)
    model = compensated(options, model_of(options.model, options.weights, options.module), binding)
    if options.device == "cpu":
        result = asnet_mlir.evaluate(
            model,
            options.data,
            binding,
            metric=options.metric,
            threads=options.threads,
            strategy=options.strategy,
        )
    else:
        if options.threads is not None or options.strategy is not None:
            raise InputError("--threads and --strategy are of --device cpu")
        from asnet_mlir.training.devices import evaluate_on

        result = evaluate_on(options.device, model, options.data, binding, metric=options.metric)
    if options.json:
        print_json(result.to_json())
        return
    if options.debug:
        for one in result.contractions:
            passes = "" if one.passes is None else f", {one.passes} passes"
            print(f"{one.layer}: {one.products:,} products, {one.way}{passes}")
    metric = result.metric
    figure = f"{result.value:.4f}" if metric.unit == "%" else metric.show(result.value)
    if result.interval is not None:
        figure += f" [{interval_text(metric, result.interval)}]"
    beside = " against the exact network's outputs" if metric.against_exact else ""
    print(
        f"{metric.name} {figure}{beside} on {result.samples} samples in {result.seconds:.3f} s "
        f"(compiled in {result.compile_seconds:.2f} s), binding: {result.binding.label}"
    )
    if not result.outputs and result.binding.rules:
        print(result.difference)
    for one in result.outputs:
        against = " against the exact network's" if one.metric.against_exact else ""
        text = f"{one.output}: {one.metric.name} {one.metric.show(one.value)}{against}"
        print(f"{text}; {one.difference}" if result.binding.rules else text)
