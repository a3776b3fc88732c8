// SPDX-License-Identifier: Apache-2.0
// The passes from MLIR to MLIR: one definition here, one .cpp file, one lit test each.

#ifndef PASSES_PASSES_TD
#define PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

def AnnotateLayers : Pass<"approx-annotate-layers"> {
  let summary = "Name the layer of every linalg op after its location";
  let description = [{
    Gives every linalg op and every tensor op that moves data the discardable attribute
    `approx.layer`, by which bindings, reports and the hardware generator know it.

    The name comes from the op's location. JAX writes the name scopes (Keras: the layers) and the
    primitive into one name, `jit(f)/sequential/dense/dot_general`. Scopes are kept as they are and
    joined by `/`; the last component (the primitive) and calls such as `jit(relu)` are dropped, and the
    transformations `jvp(dense)`, `vmap(dense)` and `transpose(dense)` become what they wrap. An
    inlined op (`callsite`) is in its caller's scopes, then in its own; of fused locations the one
    with the most scopes counts, the first of equals.

    An op that has the attribute keeps it. An op whose location names no scope gets none.

    - Before: `linalg-generalize-named-ops` has run if it is to run at all: it drops the attribute.
    - After: attributes only.

    ```mlir
    %0 = linalg.generic {..} .. loc("jit(f)/sequential/dense/dot_general")
    ==>
    %0 = linalg.generic {..} .. attrs = {approx.layer = "sequential/dense"}
    ```
  }];
}

def ExpandMath : Pass<"approx-expand-math"> {
  let summary = "Expand elementary functions into approx ops and integer logic";
  let description = [{
    Functions of the math dialect on f32, scalar or elementwise on vectors and tensors, become code
    of unbound `approx.mulf`, `addf` and `divf`, so that a binding reaches the arithmetic inside of
    them; everything else is plain logic on bits (`arith` on integers, `cmpf`, `select`), which JIT
    and hardware compute alike. `docs/semantics.md` defines each function, the files `Expand*.cpp`
    give the sources. No input reaches poison, whatever the bound cores return.

    | function | by |
    |---|---|
    | `exp`, `expm1` | Cody-Waite range reduction, a polynomial |
    | `log`, `log1p` | exponent by shifts, a polynomial |
    | `sqrt`, `rsqrt` | exponent by shifts, Newton's steps without a division |
    | `tanh` | a polynomial, or exp and a division |
    | `powf`, exponent a constant multiple of 1/2 | multiplications, `sqrt`, a division |
    | `absf`, `copysign`, `floor`, `ceil`, `trunc`, `round`, `roundeven` | plain logic, exact |
    | `arith.fptosi`, `fptoui` to at most 32 bits | plain logic; saturates, a NaN gives 0 |
    | `arith.sitofp`, `uitofp` from 1 or 25..32 bits | plain logic; nearest, ties to even |
    | `arith.truncf` to bf16 or f16 | plain logic; nearest, ties to even, a NaN canonical |

    On bf16 and f16 they are the functions of f32 between conversions: the operand is extended, the
    result rounded. Integers whose conversion could round twice (25..32 bits) are left alone.

    - Before: any IR. Functions that are not listed here and other types are left alone; it is
      `convert-arith-to-approx` that reports them.
    - After: none of these on f32, bf16 or f16.

    ```mlir
    %0 = math.exp %x : f32
    ==>
    %t = approx.mulf %clamped, %log2e : f32
    ...   // n = t rounded to an integer, r = x - n ln 2, polynomial in r
    %0 = arith.select %is_nan, %nan, %scaled : f32
    ```
  }];
  let dependentDialects = ["::asnet::approx::ApproxDialect", "::mlir::arith::ArithDialect"];
}

def FoldWeights : Pass<"approx-fold-weights", "::mlir::ModuleOp"> {
  let summary = "Outline the arithmetic that depends on weights and constants only";
  let description = [{
    What `@main` computes of arguments with `approx.weight` and of constants only (a batch
    normalization's `gamma * rsqrt(variance + eps)`) moves to `@folded_weights`, which takes the
    weights and returns the results; each becomes an argument of `@main`, a weight named
    `LAYER/folded`. Weights that nothing else needs are no arguments of `@main` any more.
    `docs/decisions/0008-math-and-folding.md` says who calls `@folded_weights`, and why.

    Only arithmetic on floats is folded. Movements of data behind it stay, and an elementwise op is
    computed without the dimensions along which all of its operands are equal and broadcast
    afterwards: a folded weight is no larger than what it is made of, and the same at every batch
    size. Indices along one dimension become constants.

    - Before: linalg on tensors, annotated by `approx-annotate-layers`; weights are marked.
    - After: the same network; no `@folded_weights` where there was nothing to fold.

    ```mlir
    func.func @main(%x: tensor<1x4xf32>, %v: tensor<4xf32> {approx.weight = "bn/variance"}) {
      %0 = linalg.generic {approx.layer = "bn"} .. ins(%v) { rsqrt }
      %1 = linalg.generic {approx.layer = "bn"} .. ins(%x, %0) { mulf }
    ==>
    func.func @main(%x: tensor<1x4xf32>, %0: tensor<4xf32> {approx.weight = "bn/folded"}) {
      %1 = linalg.generic {approx.layer = "bn"} .. ins(%x, %0) { mulf }
    }
    func.func @folded_weights(%v: tensor<4xf32> {approx.weight = "bn/variance"})
        -> (tensor<4xf32> {approx.weight = "bn/folded"})
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def HoistFromLoops : Pass<"approx-hoist-from-loops"> {
  let summary = "Compute before a loop what is the same in all its iterations";
  let description = [{
    Linalg ops in the body of an `scf.for` that depend on nothing of the iteration move before it,
    with what they read: so that arithmetic on weights is found where weights are folded, and a
    weight that is transposed is transposed once. What makes a tensor of one number stays, as it is
    the start of sums.

    ```mlir
    scf.for .. iter_args(%h = ..) {
      %0 = linalg.generic .. ins(%w) { %1 = arith.mulf %in, %in }
    ==>
    %0 = linalg.generic .. ins(%w) { %1 = arith.mulf %in, %in }
    scf.for .. iter_args(%h = ..) {
    ```
  }];
  let options = [Option<"movements", "movements", "bool", /*default=*/"true",
                        "move what only moves elements as well">];
}

def WidenBooleans : Pass<"approx-widen-booleans"> {
  let summary = "Store tensors of booleans as words";
  let description = [{
    The elements of `tensor<..xi1>` become i32, 0 or 1: memories have no bits, neither the JIT's (its
    lowering rejects `memref<..xi1>` with an assertion) nor the hardware's. Inside of bodies booleans
    stay bits: what is read is truncated, what is written extended.

    - Before: linalg on tensors; no function takes or returns booleans.
    - After: no tensor of i1.

    ```mlir
    %0 = linalg.generic .. ins(%x : tensor<4xf32>) outs(%e : tensor<4xi1>) { cmpf; yield %c : i1 }
    ==>
    %0 = linalg.generic .. outs(%e : tensor<4xi32>) { cmpf; extui; yield %w : i32 }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def ConvertArithToApprox : Pass<"convert-arith-to-approx", "::mlir::ModuleOp"> {
  let summary = "Convert arithmetic to approx ops and reject every other float computation";
  let description = [{
    `arith.{addf,subf,mulf,divf,maximumf,minimumf}` on f32, bf16 or f16, scalar or elementwise, become
    unbound approx ops, operand for operand. From here on the order of the arithmetic is fixed.

    Of integers, what reductions accumulate with (`addi`, `maxi`, `mini`) and the products that they
    add become approx ops; a product has the operands as they were before they were extended, and
    twice their bits. All other integer arithmetic stays plain logic.

    Afterwards, nothing else computes floats: any other op that does is an error at its location,
    wherever in the module it is. Allowed beside approx ops are data movement and the exact
    `arith.{constant,bitcast,select,cmpf,negf,extf}` and `arith.{sitofp,uitofp}` from at most as
    many bits as the format's significand has (24 of f32); their fast-math flags must be none, like those of the converted ops.

    - Before: no named linalg op that computes (`linalg-generalize-named-ops`): its body is not
      printed, so that approx ops in there would be lost. No function that this pass would reject
      (`approx-expand-math`).
    - After: float arithmetic is approx ops only.

    ```mlir
    %1 = arith.mulf %a, %b : f32
    %2 = arith.addf %acc, %1 : f32
    ==>
    %1 = approx.mulf %a, %b : f32
    %2 = approx.addf %acc, %1 : f32
    ```
  }];
  let dependentDialects = ["::asnet::approx::ApproxDialect"];
}

def BindInstances : Pass<"approx-bind-instances", "::mlir::ModuleOp"> {
  let summary = "Bind approx ops to hardware instances";
  let description = [{
    Sets `instance` on approx ops. A binding is `OP=ID` for every op of a kind or `OP@LAYER=ID` for
    those in a layer: the op's own `approx.layer` or its nearest ancestor's, or a scope that holds
    it (`encoder` holds `encoder/dense`). Layers are written as in URLs, `fc%201` for `fc 1`, as
    their names may hold what separates options. Of several that fit, the most specific wins, whatever
    their order. An instance binds the ops of its own format only: one on bf16 leaves those on f32,
    inside of functions, as they are. ID 0 makes the ops exact. Ops that no binding fits keep what they have.

    It is an error when an ID is not declared, declared for another op kind, or given twice
    differently for the same ops; when no op of the kind is in the layer; and when there is no
    approx op at all. A kind alone (`OP=ID`) need not occur.

    - Before: `convert-arith-to-approx`; an `approx.library` that declares the IDs.
    - After: attributes only.

    ```mlir
    // approx-bind-instances{bindings=mulf=31}
    %0 = approx.mulf %a, %b : f32
    ==>
    %0 = approx.mulf %a, %b {instance = 31} : f32
    ```
  }];
  let options = [ListOption<"bindings", "bindings", "std::string",
                            "bindings OP=ID or OP@LAYER=ID, such as mulf=31,divf@dense=7">];
}

def SplitChannels : Pass<"approx-split-channels", "::mlir::ModuleOp"> {
  let summary = "Compute ranges of a layer's output channels apart, so that each can be bound by itself";
  let description = [{
    An op of a layer that adds up products becomes one op for each range of its output channels: every
    range that is given, or `every` so many channels, and what lies between. The parts' layers are named after the channels,
    `conv/[0:8]`, and are inside of the layer as `a/b` is inside of `a`. Output channels are the loops
    over outputs that choose weights: the filters of a convolution, the units of a dense layer, the
    channels of a depthwise convolution. Where there are two such loops (groups, and filters of a
    group) the channels count through both, and the outer one is split; `every` is rounded up to it. Parts
    of a layer stay as they are.

    No result changes: an output is computed by the same operations in the same order.

    It is an error when a range is beyond the channels or divides a group, and when a layer has no such
    op or no output channels.

    - Before: `convert-arith-to-approx`, on tensors of static shapes; arguments that are weights have
      `approx.weight`.
    - After: slices of operands and results besides; nothing else changes.

    ```mlir
    // approx-split-channels{ranges=d=0:8}
    %1 = linalg.generic .. ins(%x, %w : tensor<1x4xi8>, tensor<4x16xi8>) outs(%0 : tensor<1x16xi32>) attrs = {approx.layer = "d"}
    ==>
    %w0 = tensor.extract_slice %w[0, 0] [4, 8] [1, 1]
    %y0 = linalg.generic .. ins(%x, %w0 : ..) outs(.. : tensor<1x8xi32>) attrs = {approx.layer = "d/[0:8]"}
    %w1 = tensor.extract_slice %w[0, 8] [4, 8] [1, 1]
    %y1 = linalg.generic .. ins(%x, %w1 : ..) outs(.. : tensor<1x8xi32>) attrs = {approx.layer = "d/[8:16]"}
    ```
  }];
  let options = [ListOption<"ranges", "ranges", "std::string",
                            "LAYER=BEGIN:END, several joined by a plus sign">,
                 Option<"every", "every", "int64_t", "0",
                        "in all layers that have output channels, in ranges of so many; 0: in none">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

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

def SplitSums : Pass<"approx-split-sums"> {
  let summary = "Sum long reductions by blocks";
  let description = [{
    A sum over one dimension of at least `least` terms becomes the sum of the sums of blocks, each of
    about as many terms as there are blocks (the divisor nearest to the square root), where the blocks'
    sums are at most `most` numbers: dense layers, not convolutions. Rounding errors of a sum one after
    the other grow with the number of terms, of two levels with its square root; and the blocks'
    sums are independent, which hardware can interleave.

    - Before: linalg on tensors with arith; a body that adds to the accumulator.
    - After: the same with one op more; each of the two sums keeps its order.

    ```mlir
    %1 = linalg.generic {(j, k) -> (k), (j, k) -> (k, j), (j, k) -> (j)} ins(%x, %w) outs(%0)   // k < 784
    ==>
    %p = linalg.generic {(j, b, k) -> (b * 28 + k), .., (j, b, k) -> (j, b)} ins(%x, %w) outs(%zeros)
    %1 = linalg.generic {(j, b) -> (j, b), (j, b) -> (j)} ins(%p) outs(%0)   // b < 28
    ```
  }];
  let options = [
    Option<"least", "least", "int64_t", "256", "terms of the shortest sum that is split">,
    Option<"most", "most", "int64_t", "16384", "numbers that all sums of blocks may be">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ConvertApproxToCalls : Pass<"convert-approx-to-calls", "::mlir::ModuleOp"> {
  let summary = "Convert bound approx ops to calls of their cores' models, unbound ones to arith";
  let description = [{
    A bound scalar op becomes a call of `@approx_core_<id>`, the model of the instance: the module's
    own function of this name or else a private declaration, to be linked. An unbound op, of any
    shape, becomes the `arith` op without fast-math flags, which the LLVM back end keeps as it is.
    The `approx.library` is erased. Upstream's `inline` then inlines the models.

    - Before: bound ops are scalars (`convert-elementwise-to-linalg`); a model, where the module has
      one, has the ops' type, such as `(f32, f32) -> f32`, or takes and gives the bits of its floats,
      `(i16, i16) -> i16`: then a NaN is the canonical one.
    - After: no approx op.

    ```mlir
    %0 = approx.mulf %a, %b {instance = 31} : f32
    %1 = approx.addf %0, %a : f32
    ==>
    %0 = func.call @approx_core_31(%a, %b) : (f32, f32) -> f32
    %1 = arith.addf %0, %a : f32
    ```
  }];
  let options = [Option<"keepLibrary", "keep-library", "bool", "false",
                        "keep the approx.library">,
                 Option<"keepBlocks", "keep-blocks", "bool", "false",
                        "leave ops whose model computes arrays to approx-block-calls: they get approx.block">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

#endif // PASSES_PASSES_TD
