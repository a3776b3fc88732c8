# SPDX-License-Identifier: Apache-2.0
"""How far an exact dense layer gets through CIRCT's own scf -> calyx -> hw passes.

python benchmarks/calyx_path.py     (prints where each path ends)
"""

from __future__ import annotations

import circt
from circt.ir import Context, Location, MLIRError, Module
from circt.passmanager import PassManager

#: y[j] += x[k] * w[k][j], 8 inputs and 4 outputs, the memories flat.
LAYER = """
func.func @dense(%x: memref<8xf32>, %w: memref<32xf32>, %y: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  scf.for %j = %c0 to %c4 step %c1 {
    scf.for %k = %c0 to %c8 step %c1 {
      %row = arith.muli %k, %c4 : index
      %i = arith.addi %row, %j : index
      %a = memref.load %x[%k] : memref<8xf32>
      %b = memref.load %w[%i] : memref<32xf32>
      %p = arith.mulf %a, %b : f32
      %s = memref.load %y[%j] : memref<4xf32>
      %t = arith.addf %s, %p : f32
      memref.store %t, %y[%j] : memref<4xf32>
    }
  }
  return
}
"""
TO_CALYX = "lower-scf-to-calyx{top-level-function=dense}"
#: Not further than the first failure: passes after it crash.
PATHS = {
    "by a state machine": [TO_CALYX, "calyx.component(lower-calyx-to-fsm)"],
    "without one": [TO_CALYX, "lower-calyx-to-hw"],
}


def main() -> None:
    for name, passes in PATHS.items():
        with Context() as context, Location.unknown():
            circt.register_dialects(context)
            # The bindings do not register memref; a pass that depends on it loads it.
            PassManager.parse("builtin.module(func.func(memory-banking))").run(
                Module.parse("func.func @nothing() { return }").operation
            )
            module = Module.parse(LAYER)
            for step in passes:
                try:
                    PassManager.parse(f"builtin.module({step})").run(module.operation)
                except MLIRError as error:
                    message = next(d.message for d in error.error_diagnostics)
                    print(f"{name}: {step} fails: {message}")
                    break
                print(f"{name}: {step} passes")


if __name__ == "__main__":
    main()
