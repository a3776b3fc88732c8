// The passes from MLIR to MLIR: one definition here, one .cpp file, one lit test each.

#ifndef PASSES_PASSES_TD
#define PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

def SubfToAddf : Pass<"approx-subf-to-addf"> {
  let summary = "Turn exact subtractions into additions, so that hardware needs no subtractor";
  let description = [{
    Rewrites every *unbound* `approx.subf %a, %b` into `approx.addf %a, (arith.negf %b)`. IEEE 754
    defines subtraction as this addition (6.3: x - y is x + (-y)), and `negf` flips the sign bit
    only, so that every result is equal bit for bit, signed zeros and infinities included; a NaN
    stays a NaN, and a NaN's bits are canonical wherever they could be seen (docs/semantics.md).
    The hardware generator then shares one adder; `negf` is a wire and an inverter.

    A *bound* `approx.subf` stays: its core is what the user chose.

    - Before: any IR.
    - After: no unbound `approx.subf`.

    ```mlir
    %0 = approx.subf %a, %b : f32
    ==>
    %1 = arith.negf %b : f32
    %0 = approx.addf %a, %1 : f32
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def FuseElementwise : Pass<"approx-fuse-elementwise"> {
  let summary = "Fuse elementwise linalg ops of one layer";
  let description = [{
    An elementwise `linalg.generic` becomes part of its only consumer where both are elementwise and
    of the same `approx.layer`; broadcasts become part of every elementwise consumer. No value is
    computed twice, no reduction changes, and a layer stays what a binding can name. Upstream's
    `linalg-fuse-elementwise-ops` does more: it would cross layers and repeat work in reductions.

    - Before: linalg on tensors, annotated by `approx-annotate-layers`.
    - After: the same computation in fewer loops.

    ```mlir
    %0 = linalg.generic {approx.layer = "dense"} .. ins(%bias) { yield %in }       // broadcast
    %1 = linalg.generic {approx.layer = "dense"} .. ins(%x, %0) { addf }
    ==>
    %1 = linalg.generic {approx.layer = "dense"} .. ins(%x, %bias) { addf }
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::linalg::LinalgDialect"];
}

#endif // PASSES_PASSES_TD
