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

def ProtectWeights : Pass<"approx-protect-weights", "::mlir::ModuleOp"> {
  let summary = "Forbid bufferization to compute in place in a weight";
  let description = [{
    Function arguments with `approx.weight` become `bufferization.writable = false`: hardware keeps
    them in a ROM, and bufferization would take any argument for writable.

    ```mlir
    func.func @main(%w: tensor<10xf32> {approx.weight = "dense/bias"})
    ==>
    func.func @main(%w: tensor<10xf32> {approx.weight = "dense/bias",
                                        bufferization.writable = false})
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect"];
}

def Schedule : Pass<"approx-schedule", "::mlir::ModuleOp"> {
  let summary = "Decide when and where each operation happens on the sequential machine";
  let description = [{
    Schedules the body of every affine loop for the machine of
    `docs/decisions/0005-sequential-machine.md`: one issue a cycle, one result a cycle, one unit an
    instance, a RAM with one read and one write port, a ROM with one read port. Iterations don't
    overlap. The result is discardable attributes, as CIRCT's Python sees no others of the
    operations that it does not know:

    | on | attribute | meaning |
    |---|---|---|
    | function | `approx.memories` | name, role, bank (`ram`, `rom`), base, words of each memory |
    | | `approx.memory_latency`, `approx.plain_latency` | the pass's options |
    | | `approx.units` | id, op, module, parameters and latency of each instance in use |
    | function, loop | `approx.lengths` | cycles of each stretch between nested loops |
    | loop | `approx.trip` | iterations |
    | load, store | `approx.memory`, `approx.base`, `approx.strides` | address in the bank: base plus a stride for each enclosing loop, outermost first, times its iteration |
    | | `approx.start` | cycle in which the port is used |
    | unit's op | `approx.unit`, `approx.latency`, `approx.start` | instance; cycle of the issue |
    | plain op | `approx.alu`, `approx.start` | function of the plain logic; cycle of the issue |
    | plain op | `approx.alias` | needs no hardware: the result has the operand's bits |
    | constant | `approx.bits` | the word |
    | load, store, constant | `approx.move` | cycle in which the word is issued to the plain logic that moves it |

    - Before: affine loops with constant bounds around loads, stores, bound approx ops and plain
      logic; linear indices; function arguments carry `approx.role` or `approx.weight`.
    - After: the same code, annotated; loops of one iteration and unused values are gone, and every
      use of a scalar constant has a constant of its own. Nothing may be moved any more.

    ```mlir
    affine.for %k = 0 to 784 {
      %0 = affine.load %x[%k] : memref<784xf32>
    ==>
    affine.for %k = 0 to 784 {
      %0 = affine.load %x[%k] {approx.base = 0, approx.memory = 0, approx.start = 0,
                               approx.strides = array<i64: 1>} : memref<784xf32>
    ```
  }];
  let options = [
    Option<"memoryLatency", "memory-latency", "int64_t", "1",
           "Cycles from an address to the word as an operand">,
    Option<"plainLatency", "plain-latency", "int64_t", "1",
           "Registers inside the plain logic (0 or 1)">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect"];
}

//===----------------------------------------------------------------------===//
// lowering/jit
//===----------------------------------------------------------------------===//

def VectorizeOutputs : Pass<"approx-vectorize-outputs"> {
  let summary = "Tile and vectorize linalg over outputs, never over a reduction";
  let description = [{
    Every `linalg.generic` on tensors of static shape whose operands are read at sums of iterators
    becomes a loop nest around vector ops: the loops over outputs outside, each computing a block of
    about `elements` outputs, the loops over reductions inside, one step at a time. Each output sees
    its reduction in the order that `docs/semantics.md` defines, so the result is that of the scalar
    loop nest, bit for bit, at any tile size.

    - Before: bodies of scalar ops (models inlined).
    - After: ops that don't fit (`linalg.index`, dynamic shapes, maps with `mod` or `floordiv`) are
      unchanged; they can be lowered to scalar loops.

    A window with stride 1 is contiguous at each step of the reduction, so blocks extend along its
    outputs; with a stride they extend along the other dimensions, such as channels and samples.

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

def BlockCalls : Pass<"approx-block-calls", "::mlir::ModuleOp"> {
  let summary = "Call models that compute arrays once for a block of elements";
  let description = [{
    A model whose function carries `approx.block = @F` is called for single pairs in the bodies of
    linalg ops.  `@F` takes 1-D memrefs of operands and results, which is how bit-sliced and simulated
    models work.  A `linalg.generic` with such calls becomes a loop nest over tiles of about `elements`
    elements: the operands of a call are written to buffers, `@F` is called once, and the rest of the
    body reads its results.

    - Before: linalg on memrefs of static shape; each output's reduction in the order of
      `docs/semantics.md`.
    - After: the same values.  A tile spans several steps of a reduction only where no call depends on
      the accumulated output.  Ops of dynamic shape are unchanged, and call for single pairs.

    ```mlir
    linalg.generic .. { %0 = func.call @m(%x, %w) : (f32, f32) -> f32   %1 = arith.addf %acc, %0 .. }
    ==>
    scf.for %tile .. {
      scf.for %i .. { %a[%i] = x[..]   %b[%i] = w[..] }
      func.call @m_block(%a, %b, %r) : (memref<?xf32>, memref<?xf32>, memref<?xf32>) -> ()
      scf.for %i .. { out[..] = out[..] + %r[%i] }
    ```
  }];
  let options = [
    Option<"elements", "elements", "int64_t", "2048",
           "Elements of a tile; the buffers of a call should fit the first-level cache">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

def PromoteParameters : Pass<"approx-promote-parameters", "::mlir::ModuleOp"> {
  let summary = "Make the marked constants of models an argument of the network";
  let description = [{
    Every `arith.constant` of type i32 in a model that is marked `approx.parameter` becomes an
    argument of the model; `@main` takes a last memref with all of them, in the order of the functions
    and of the constants in them, reads them once at its start, and passes them on. Configurations
    that differ in such constants only (the masks of truncating cores) then share native code.

    - Before: models are called from `@main` only (`convert-approx-to-calls`), not inlined.
    - After: no marked constant; `@main` has one argument more.

    ```mlir
    func.func private @approx_core_1(%a: f32, %b: f32) -> f32 {
      %mask = arith.constant {approx.parameter} -4096 : i32
      ...
    }
    func.func @main(%x: f32) -> f32 { %0 = call @approx_core_1(%x, %x) .. }
    ==>
    func.func private @approx_core_1(%a: f32, %b: f32, %mask: i32) -> f32 { ... }
    func.func @main(%x: f32, %parameters: memref<1xi32>) -> f32 {
      %mask = memref.load %parameters[%c0] : memref<1xi32>
      %0 = call @approx_core_1(%x, %x, %mask) ..
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

#endif // LOWERING_LOWERING_TD
