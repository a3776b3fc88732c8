// The passes that leave the dialect: lowering/jit/*.cpp towards the LLVM JIT, lowering/circt/*.cpp
// towards what lowering/circt/*.py hands to CIRCT.  To add one: a definition here, a .cpp file named
// after it (CMake finds it), test/lit/lowering/<name>.mlir.

#ifndef LOWERING_LOWERING_TD
#define LOWERING_LOWERING_TD

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// lowering/circt
//===----------------------------------------------------------------------===//

def LinalgToLoops : Pass<"approx-linalg-to-loops"> {
  let summary = "Lower bufferized linalg ops and copies to affine loops that keep their layer's name";
  let description = [{
    Every linalg op on memrefs becomes a nest of `affine.for`, one loop an iterator, in the order in
    which the op lists its iterators: this is the order that `docs/semantics.md` defines. The
    outermost loop takes over the op's `approx.layer`. `memref.copy` becomes such a nest too.

    Upstream's `convert-linalg-to-affine-loops` is the same without the layer's name and the copies.

    - Before: linalg ops on memrefs; an op on tensors is an error (run `one-shot-bufferize` first).
      Memrefs of linalg ops and copies have affine maps or strides as layouts.
    - After: no linalg op and no `memref.copy`.

    ```mlir
    linalg.copy {approx.layer = "dense"} ins(%a : memref<4xf32>) outs(%b : memref<4xf32>)
    ==>
    affine.for %i = 0 to 4 {
      %0 = affine.load %a[%i] : memref<4xf32>
      affine.store %0, %b[%i] : memref<4xf32>
    } {approx.layer = "dense"}
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::memref::MemRefDialect"];
}

//===----------------------------------------------------------------------===//
// lowering/jit
//===----------------------------------------------------------------------===//

def VectorizeOutputs : Pass<"approx-vectorize-outputs"> {
  let summary = "Tile and vectorize linalg over outputs, never over a reduction";
  let description = [{
    Every `linalg.generic` on tensors of static shape whose indexing maps are projected permutations
    becomes a loop nest around vector ops: the loops over outputs outside, each computing a block of
    about `elements` outputs, the loops over reductions inside, one step at a time. Each output sees
    its reduction in the order that `docs/semantics.md` defines, so the result is that of the scalar
    loop nest, bit for bit, at any tile size.

    - Before: bodies of scalar ops (models inlined).
    - After: ops that don't fit (windows, `linalg.index`, dynamic shapes) are unchanged; they can be
      lowered to scalar loops.

    ```mlir
    linalg.generic {indexing_maps = [(n,j,k)->(n,k), (n,j,k)->(k,j), (n,j,k)->(n,j)]} ..
    ==>
    scf.for %n = .. step 8 {
      scf.for %k = .. step 1 {
        // vector<8x10xf32>: acc = acc + broadcast(x[n..n+8, k]) * broadcast(w[k, 0..10])
    ```
  }];
  let options = [
    Option<"elements", "elements", "int64_t", "128",
           "Outputs in a block; half of the vector registers at 32 bits an element">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::vector::VectorDialect"];
}

#endif // LOWERING_LOWERING_TD
