// SPDX-License-Identifier: Apache-2.0
// The passes that leave the dialect: lowering/jit/*.cpp towards the LLVM JIT, lowering/schedule/*.cpp
// towards what lowering/circt/*.py hands to CIRCT, lowering/common/*.cpp towards both.  To add one: a
// definition here, a .cpp file named after it (CMake finds it), test/lit/lowering/<name>.mlir.

#ifndef LOWERING_LOWERING_TD
#define LOWERING_LOWERING_TD

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// lowering/common, lowering/schedule
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

def UnrollLoops : Pass<"approx-unroll-loops"> {
  let summary = "Replace the loops of a network by their iterations";
  let description = [{
    Every `scf.for` that carries values becomes its iterations, one after the other: for hardware
    whose layers are engines of their own.

    - Before: `scf.for` on tensors, with constant bounds; others are an error.
    - After: none.

    ```mlir
    %h = scf.for %i = %c0 to %c2 step %c1 iter_args(%0 = %x) { .. scf.yield %1 }
    ==>
    .. // %i = 0, %0 = %x
    .. // %i = 1, %0 = the %1 before
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::scf::SCFDialect"];
}

def CarryInPlace : Pass<"approx-carry-in-place"> {
  let summary = "Let loops keep what they carry in one place each";
  let description = [{
    The body of an `scf.for` on tensors ends with copies of what it yields to where it read it, but
    for slices that it has put there itself; slices at a place that depends on the iteration are
    copied to a fixed one. Bufferization then needs one buffer for each carried value, and none that
    goes from one iteration to the next. What is without contents or filled with one number is made
    in the body.

    ```mlir
    scf.for .. iter_args(%h = %start) { %1 = linalg.generic ..  scf.yield %1 }
    ==>
    scf.for .. iter_args(%h = %start) {
      %1 = linalg.generic ..
      %2 = linalg.copy ins(%1) outs(%h)
      scf.yield %2
    }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def AffineLoops : Pass<"approx-affine-loops"> {
  let summary = "Make affine loops of those whose bounds are constants";
  let description = [{
    `scf.for` without results becomes `affine.for`, which the scheduler takes: an iteration's
    addresses are then linear in the loop's counter.

    ```mlir
    scf.for %i = %c0 to %c28 step %c1 { .. }
    ==>
    affine.for %i = 0 to 28 { .. }
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect"];
}

def WidenIntegers : Pass<"approx-widen-integers", "::mlir::func::FuncOp"> {
  let summary = "Compute with integers of fewer than 32 bits in words";
  let description = [{
    Hardware has memories, and plain logic, of words of 32 bits. Integers of 2 to 31 bits become i32:
    a word has the number's bits at its low end and zeros above, which additions, products and
    shifts to the left cut off again; where a sign counts, it is extended first. What comes from the
    network's input is cut as well. `arith.sitofp` and `uitofp` become plain logic.

    - Before: linalg on tensors, every approx op bound.
    - After: no integers of 2 to 31 bits.

    ```mlir
    %1 = arith.addi %a, %b : i8
    ==>
    %0 = arith.addi %a, %b : i32
    %1 = arith.andi %0, %c255 : i32
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::asnet::approx::ApproxDialect"];
}

def ProtectWeights : Pass<"approx-protect-weights", "::mlir::ModuleOp"> {
  let summary = "Forbid bufferization to compute in place in a weight or a kept value";
  let description = [{
    Function arguments with `approx.weight`, `approx.value` or `approx.prepared` become
    `bufferization.writable = false`: hardware keeps weights in a ROM, a stage's inputs may be read
    again, and bufferization would take any argument for writable.

    ```mlir
    func.func @main(%w: tensor<10xf32> {approx.weight = "dense/bias"})
    ==>
    func.func @main(%w: tensor<10xf32> {approx.weight = "dense/bias",
                                        bufferization.writable = false})
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect"];
}

def DataAddresses : Pass<"approx-data-addresses"> {
  let summary = "Divide the addresses of loads into what loops and what data say";
  let description = [{
    A load at an index that comes from data (a gather, a slice at a computed place) becomes one of a
    view with two indices of single steps: a word of i32, computed by plain logic (limits, and products
    by constants as shifts and additions), and a linear function of the loops. On the machine the
    second is an address register, to which the first is added.

    - Before: bufferized loops. An index from data is limited (as StableHLO limits those of gathers and
      slices), so that the address lies in its memory; others are an error.
    - After: `approx-schedule` takes the loads.

    ```mlir
    %0 = arith.index_cast %id : i32 to index
    %1 = arith.maxsi %0, %c0 : index
    %2 = arith.minsi %1, %c299 : index
    %3 = memref.load %table[%2, %j] : memref<300x6xf32>
    ==>
    %0 = arith.maxsi %id, %c0_i32 : i32
    %1 = arith.minsi %0, %c299_i32 : i32
    .. // %2 = 6 * %1
    %view = memref.reinterpret_cast %table .. sizes: [1795, 6], strides: [1, 1]
    %3 = arith.index_cast %2 : i32 to index
    %4 = affine.apply (d0) -> (d0) (%j)
    %5 = memref.load %view[%3, %4]
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def Schedule : Pass<"approx-schedule", "::mlir::ModuleOp"> {
  let summary = "Decide when and where each operation happens on the sequential machine";
  let description = [{
    Schedules the body of every affine loop for the machine of
    `docs/decisions/0005-sequential-machine.md`: one issue a cycle, one result a cycle, one unit an
    instance, a RAM with one read and one write port, a ROM with one read port. A unit with an
    interval is kept for so many cycles, in which its operands stay.

    Of each perfect nest, the parallel loop that makes it quickest becomes the innermost one: then
    iterations that follow each other add to different sums. A loop is parallel where no word that an
    iteration writes is touched by one with another number in that loop; the other loops, and with
    them the terms of each sum, keep their order. The iterations of innermost loops overlap (iterative
    modulo scheduling) where this is quicker and its rows of microcode are few enough; else, and
    everywhere else, code is scheduled by list. A unit whose latency makes its results collide with
    those of others may get a register behind its result.

    The result is discardable attributes, as CIRCT's Python sees no others of the operations that it
    does not know:

    | on | attribute | meaning |
    |---|---|---|
    | function | `approx.memories` | name, role, bank (`ram`, `rom`), base, words of each memory |
    | | `approx.timing` | what the machine takes, in cycles: `fetch` (from a row's name in pc to its execution, so the rows behind a branch that are executed anyway), `issue_to_use` (from an issue, the latency aside, until the result can be an operand), `memory`, `plain` (the pass's options) |
    | | `approx.units` | id, op, module, parameters and latency of each instance in use; `pad`: registers behind its result, if any |
    | function, loop | `approx.lengths` | cycles of each stretch between nested loops |
    | loop | `approx.trip` | iterations |
    | innermost loop | `approx.ii` | its iterations overlap: cycles from the start of one to that of the next. All times are those of the first iteration; `approx.lengths` is how long each one takes |
    | | `approx.kernel` | of such a loop: the rows that its branch repeats: `fill` (cycles until all iterations that overlap are under way), `first` row, `rows`, `passes` (0: there is no branch, each cycle has a row) |
    | loop around it | `approx.overlap` | the inner loop's next run begins `approx.ii` cycles behind the last iteration of this one |
    | load, store | `approx.memory`, `approx.base`, `approx.strides` | address in the bank: base plus a stride for each enclosing loop, outermost first, times its iteration |
    | load | `approx.offset` | of an address that also comes from data: which operand is the word that is added to it |
    | load, store | `approx.start` | cycle in which the port is used |
    | unit's op | `approx.unit`, `approx.latency`, `approx.start` | instance; cycles to its result, `pad` included; cycle of the issue |
    | plain op | `approx.alu`, `approx.start` | function of the plain logic; cycle of the issue |
    | plain op | `approx.alias` | needs no hardware: the result has the operand's bits |
    | constant | `approx.bits` | the word |
    | load, store, constant | `approx.move` | cycle in which the word is issued to the plain logic that moves it |

    - Before: affine loops with constant bounds around loads, stores, bound approx ops and plain
      logic; linear indices, those of loads with a word from data (`approx-data-addresses`); function
      arguments carry `approx.role` or `approx.weight`.
    - After: the same code, annotated; loops are interchanged, those of one iteration and unused
      values are gone, and every use of a scalar constant has a constant of its own. Nothing may be
      moved any more. What `approx-verify-schedule` checks holds.

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
    Option<"fetchLatency", "fetch-latency", "int64_t", "2",
           "Cycles from a row's name to its execution (2, or more for registers behind the microcode)">,
    Option<"plainLatency", "plain-latency", "int64_t", "1",
           "Registers of the plain logic (0; 1: inside; 2: and behind its result; 3: and behind its decoder)">,
    Option<"resultRegisters", "result-registers", "int64_t", "0",
           "Registers behind the result of each unit, at least">,
    Option<"pipelineRows", "pipeline-rows", "int64_t", "128",
           "Rows of microcode that overlapping the iterations of a loop may cost; 0: none overlap">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect"];
}

def VerifySchedule : Pass<"approx-verify-schedule", "::mlir::ModuleOp"> {
  let summary = "Check a schedule, of the sequential machine or of engines, against its code";
  let description = [{
    What `approx-schedule` and `approx-schedule-engines` wrote is compared with the code on which it
    stands, as `Problem::verify` of CIRCT's scheduling library does: operands are there when an
    operation starts, and still there where iterations overlap; accesses to one word keep their
    order, within an iteration and from one to another; no port, issue, result or unit has two users
    in a cycle (modulo `approx.ii`); addresses are those of the indices, units those of the library;
    a loop's `approx.trip`, `approx.kernel` and `approx.lengths` are what follows from the rest. Both
    passes run it on what they made, `asnet-hw-opt` on what it is given.

    - Before: any module.
    - After: the same; or one error, at the operation that breaks the schedule.

    ```mlir
    affine.for %k = 0 to 784 { .. } {approx.ii = 2, ..}   // was 3
    ==>
    error: 'approx.addf' op uses the issue slot in cycle 8, as does 'approx.mulf' when an iteration
    begins every 2 cycles (layer 'dense')
    ```
  }];
}

def CutEngines : Pass<"approx-cut-engines", "::mlir::ModuleOp"> {
  let summary = "Mark where a layer falls into parts that are engines of their own";
  let description = [{
    An engine of the streaming hardware (`docs/decisions/0014-streaming-engines.md`) computes one
    reduction with the elementwise ops around it. Within a layer of `@main`, the ops that begin such a
    part get `approx.cut`, at which `approx-split-stages` splits. In a layer that also has ops that no
    engine computes (a softmax with its expanded exponential), only reductions of many steps become
    parts, and those that would take the sequential machine longer than the slowest engine; the rest
    stays together, for the machine. A part of which others read several values is divided further,
    as a stage gives one.

    ```mlir
    %0 = linalg.generic {approx.layer = "dense"} .. // sums of blocks
    %1 = linalg.generic {approx.layer = "dense"} .. // the sum of these
    ==>
    %0 = linalg.generic {approx.layer = "dense"} ..
    %1 = linalg.generic {approx.cut, approx.layer = "dense"} ..
    ```
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "1",
           "Outputs that engines compute at once: says how long the slowest one takes">,
  ];
}

def ScheduleEngines : Pass<"approx-schedule-engines", "::mlir::ModuleOp"> {
  let summary = "Decide how each stage of a network becomes an engine, and when it does what";
  let description = [{
    Each function of `approx-split-stages` becomes one engine of the stream that
    `docs/decisions/0014-streaming-engines.md` describes, or, where an engine cannot compute it, is
    left to the sequential machine. The result is discardable attributes:

    | on | attribute | meaning |
    |---|---|---|
    | function | `approx.engine` | of an engine: see below |
    | | `approx.machine` | of a stage that is left to the machine: the reason |
    | | `approx.index`, `approx.inputs`, `approx.results` | its place in the order of computation; the values that it reads and gives |
    | | `approx.orders` | of a stage that is left to the machine: `ranges` and `strides` of each input whose words do not come in row-major order |
    | | `approx.operands` | what the engine reads, each a dictionary: see below |
    | `@main` | `approx.timing` | what engines take, in cycles: `memory` (from an address to the word), `operands` (from an issue to its operands at a core), `epilogue_operands` (from an output's token to those of its epilogue), `sum_to_adder` (of a sum's way back, the adder's latency aside), `handover` (from a slot of a buffer that was read to the first word that may be written there) |
    | | `approx.units`, `approx.outputs`, `approx.input_words` | id, op, module, parameters and latency of each instance; the values that the network gives; words of a frame |
    | linalg op | `approx.phase` | `main` (once a step) or `epilogue` (once an output) |
    | | `approx.sources` | where each of its block arguments comes from: `operand:<n>`, `accumulator`, `result` (of the op before), `constant`, `none` |
    | | `approx.bits` | of block arguments from constants: the words |
    | unit's op | `approx.unit`, `approx.latency`, `approx.start` | instance; cycle after the issue in which the operands lie at its inputs |
    | | `approx.interval` | where it is more than 1: cycles for which they do |
    | plain op | `approx.alu`, `approx.start` | function of the plain logic |
    | constant | `approx.bits` | the word |

    `approx.engine` has `outputs` (words a frame), `depth` (steps of the reduction), `interleave`
    (outputs in flight), `lanes`, `slots` (outputs over lanes), `outer` and `inner` (the loops over
    slots and steps, adjacent ones merged), `epilogue_loops` (over outputs), `initial` (the word that sums start from), `accumulate`
    (cycle in which a sum is at its adder's input), `done` (cycle in which an output is complete),
    `fifo` (words of the output buffer), with lanes `slot_fifo` (slots that wait for it), `cycles` (between two frames), `bound` (cycles that the
    order of the sum, or a unit's interval, demands), `work` (issues of the reduction's unit that
    count), `resources`; and where they are more than 1 `interval` (cycles from one issue to the next)
    and `epilogue_interval` (from one output to the next; where sums may be finished faster, slots
    wait as with lanes).

    An operand has `value` or `weight`, `phase`, `words`, `outer` and `inner` (its strides in the loops
    of its phase), `base`; a value also `frames` (that its buffer holds; 0: it is read as it comes),
    `shape`, `low`, `high`, `pad` where its buffer is padded, and `write_ranges`, `write_strides` where
    its words do not come in row-major order (the loops over them, and where they belong); a weight `ranges` and `strides`, the
    order in which its ROM holds the array's words, the last one the lanes.

    - Before: `approx-split-stages` ran; every approx op is bound.
    - After: the same code, annotated.
  }];
  let options = [
    ListOption<"lanes", "lanes", "std::string",
               "Outputs computed at once: a number, or layer:number (layers with %20 for a space)">,
    Option<"memoryLatency", "memory-latency", "int64_t", "1", "Cycles from an address to the word">,
  ];
}

//===----------------------------------------------------------------------===//
// lowering/jit
//===----------------------------------------------------------------------===//

def DistinctResults : Pass<"approx-distinct-results"> {
  let summary = "Return copies of values that a function returns more than once";
  let description = [{
    After common subexpressions were merged, a function may return one tensor several times. Upstream's
    `buffer-results-to-out-params` with `hoist-static-allocs`, which gives every result a buffer of
    its own, then crashes (MLIR 22.1.8).

    ```mlir
    return %0, %0 : tensor<4xf32>, tensor<4xf32>
    ==>
    %1 = linalg.copy ins(%0 : tensor<4xf32>) outs(%e : tensor<4xf32>)
    return %0, %1 : tensor<4xf32>, tensor<4xf32>
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def SplitStages : Pass<"approx-split-stages", "::mlir::ModuleOp"> {
  let summary = "Split a network into one function a layer";
  let description = [{
    Consecutive ops of `@main` with one `approx.layer` become a function `@stage_<n>`, and `@main` a
    sequence of calls. A stage can then be compiled, cached and run by itself: a binding that changes
    the last layer leaves the others' native code and results as they are. Ops that do not depend on
    the input are cloned into each stage that needs them.

    - Before: `@main` takes the input and, as arguments with `approx.weight`, the weights. An op with
      `approx.cut` starts a stage of its own inside a layer.
    - After: arguments and results of stages carry `approx.value = <n>` where they depend on the input
      (numbered from the input's 0 in the order of computation) and `approx.weight` elsewhere.

    ```mlir
    func.func @main(%x: tensor<4xf32>, %w: tensor<4xf32> {approx.weight = "w"}) -> tensor<4xf32> {
      %0 = linalg.generic {approx.layer = "a"} .. ins(%x, %w)
      %1 = linalg.generic {approx.layer = "b"} .. ins(%0)
      return %1
    }
    ==>
    func.func @stage_0(%x: tensor<4xf32> {approx.value = 0}, %w: tensor<4xf32> {approx.weight = "w"})
        -> (tensor<4xf32> {approx.value = 1}) attributes {approx.stage = "a"} { .. }
    func.func @stage_1(%0: tensor<4xf32> {approx.value = 1})
        -> (tensor<4xf32> {approx.value = 2}) attributes {approx.stage = "b"} { .. }
    func.func @main(..) {
      %0 = call @stage_0(%x, %w)
      %1 = call @stage_1(%0)
      return %1
    }
    ```
  }];
}

def OutlineContractions : Pass<"approx-outline-contractions", "::mlir::ModuleOp"> {
  let summary = "Move the products of sums of 8-bit codes to functions of their own";
  let description = [{
    A sum of products of codes (a convolution or a dense layer of a quantised network) is what
    `docs/decisions/0027-contractions.md` makes fast whatever the core: a `linalg.generic` that adds, by an
    exact `approx.addi` on i32, a term made of one i8 that depends on the sample and one that does not.
    The term becomes a function `@product_<n>` of the two codes, of which a table can be made; the op
    keeps its operands, its maps and `approx.product = <n>`, and a body that stands for it until
    `approx-call-contractions`. Exact sums of integers have the same bits in any order.

    - Before: arguments of `@main` that depend on the sample carry `approx.value`; ops are bound.
    - After: what is computed of codes in such sums is in functions; the rest is unchanged, sums with a
      bound adder included.

    ```mlir
    linalg.generic .. ins(%x, %w : tensor<4xi8>, tensor<4xi8>) outs(%y : tensor<i32>) {
      %0 = approx.muli %in, %in_0 {instance = 1 : i32} : i8 -> i16
      %1 = arith.extsi %0 : i16 to i32
      %2 = approx.addi %out, %1 : i32
    ==>
    func.func private @product_0(%x: i8, %w: i8) -> i32 { .. } // attributes {approx.product = 0}
    linalg.generic .. attrs = {approx.product = 0} {
      %0 = arith.cmpi slt, %in, %in_0 : i8   // both operands
      %1 = arith.extui %0 : i1 to i32
      %2 = arith.addi %out, %1 : i32
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

def CallContractions : Pass<"approx-call-contractions", "::mlir::ModuleOp"> {
  let summary = "Call the evaluator's own code for sums of products of codes";
  let description = [{
    Every `linalg.generic` with `approx.product` (`approx-outline-contractions`) becomes a call of
    `@asnet_contract`, which takes three addresses: what is prepared of weights and product, the codes,
    the sums. Where elements lie is said by the attribute `approx.contraction` of an argument more:
    `ranges` of the loops, which of them reduce (`reduces`), strides and offsets of codes, weights and
    sums (`x`, `w`, `y`), who has the weights (`weight`, `prepared`, `constant`), whether the sums add to
    what is there (`adds`), `lanes`, and the number of the `product`.

    - Before: memrefs of constant layout, a sample in each lane of their elements.
    - After: no such op.

    ```mlir
    linalg.generic .. ins(%x, %w) outs(%y) attrs = {approx.product = 0} { .. }
    ==>
    call @asnet_contract(%address_of_argument, %address_of_x, %address_of_y)
    ```
  }];
  let dependentDialects = ["::mlir::func::FuncDialect", "::mlir::memref::MemRefDialect"];
}

def HoistUniform : Pass<"approx-hoist-uniform", "::mlir::ModuleOp"> {
  let summary = "Move what does not depend on the input to a function that runs once";
  let description = [{
    Of `@main`, everything that depends on weights and parameters only becomes the function
    `@prepare`; its results are further arguments of `@main`, with `approx.prepared = <n>`. In bodies
    of linalg ops, what is computed of a single weight (such as its masked bits) is computed for the
    whole weight by an op of its own first, and so moves too.

    - Before: models are inlined; arguments that depend on the input carry `approx.value`.
    - After: `@prepare` takes weights and parameters, in `@main`'s order, and gives what `@main` takes
      after its other arguments.

    ```mlir
    func.func @main(%x: tensor<4xf32> {approx.value = 0}, %w: tensor<4xf32>) {
      linalg.generic .. ins(%x, %w) { %0 = andi(%in_w, %mask)  %1 = mul(%in_x, %0) .. }
    ==>
    func.func @prepare(%w: tensor<4xf32>) -> tensor<4xi32> {
      linalg.generic .. ins(%w) { andi(%in_w, %mask) }
    func.func @main(%x: .., %w: .., %p: tensor<4xi32> {approx.prepared = 0}) {
      linalg.generic .. ins(%x, %w, %p) { %1 = mul(%in_x, %in_p) .. }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def AddLanes : Pass<"approx-add-lanes", "::mlir::ModuleOp"> {
  let summary = "Compute several samples at once, one in each lane of a vector";
  let description = [{
    In functions with arguments that carry `approx.value`, every tensor that depends on one of them
    gets vectors of `lanes` elements for its elements: lane i holds what sample i alone would give.
    Every op stays what it is, element by element, so that no order changes and any shape is
    vectorized whole. Weights stay scalars, which are broadcast where they meet a sample.

    - Before: straight-line code on tensors; bodies of elementwise ops.
    - After: the same on tensors of vectors. An op without such a form is an error.

    ```mlir
    linalg.generic .. ins(%x, %w : tensor<4xf32>, tensor<4xf32>) { arith.mulf %in_x, %in_w : f32 }
    ==>
    linalg.generic .. ins(%x, %w : tensor<4xvector<16xf32>>, tensor<4xf32>) {
      %0 = vector.broadcast %in_w : f32 to vector<16xf32>
      arith.mulf %in_x, %0 : vector<16xf32>
    }
    ```
  }];
  let options = [Option<"lanes", "lanes", "int64_t", "16", "samples at once">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::vector::VectorDialect"];
}

def RegisterBlock : Pass<"approx-register-block"> {
  let summary = "Lower linalg on memrefs to loops that keep a tile of outputs in registers";
  let description = [{
    Every `linalg.generic` on memrefs of constant layout becomes a loop nest: loops over outputs
    outside, in steps of a tile, the loops over reductions inside, in the defined order. What the
    outputs of a tile share (a pixel for several filters, a weight for several pixels) is loaded and
    computed once. Tile sizes are those with the least work an output within the registers; a
    remainder has code of its own. The op that fills the accumulators before, and an elementwise op
    that reads the sums after (bias, activation), become part of the nest where nobody else sees what
    is between.

    - Before: bodies are straight-line code on values of any type.
    - After: each output sees its reduction in the order of `docs/semantics.md`. Ops with dynamic
      shapes or layouts are unchanged.

    ```mlir
    linalg.generic {(n,k) -> (k), (n,k) -> (k,n), (n,k) -> (n)} ins(%x, %w) outs(%y)
    ==>
    scf.for %n = 0 to 8 step 4 {
      %s:4 = scf.for %k = 0 to 784 iter_args(%s0, .., %s3) {
        // x[k] is loaded once for 4 outputs
      }
      // y[n], .., y[n+3]
    }
    ```
  }];
  let options = [Option<"registers", "registers", "int64_t", "32", "vector registers">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def WidenFloats : Pass<"approx-widen-floats"> {
  let summary = "Compute bf16 and f16 in f32 and round every result once";
  let description = [{
    `arith.{addf,subf,mulf,divf,maximumf,minimumf}` on bf16 and f16 become the op on f32 between
    conversions: `arith.extf`, which is exact, and rounding to nearest, ties to even, by integer logic.
    That is the operation's own result (`docs/semantics.md`, section 3), which processors have no
    instruction for, or one that flushes subnormals.

    - Before: models are inlined.
    - After: no arithmetic on bf16 or f16; they are loaded, stored, compared and moved.

    ```mlir
    %0 = arith.mulf %a, %b : bf16
    ==>
    %1 = arith.extf %a : bf16 to f32
    %2 = arith.extf %b : bf16 to f32
    %3 = arith.mulf %1, %2 : f32
    ...   // the upper 16 bits of %3, rounded
    %0 = arith.bitcast %rounded : i16 to bf16
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def EntryPoints : Pass<"approx-entry-points", "::mlir::ModuleOp"> {
  let summary = "Make @main and @prepare functions to be called with arrays of the caller's";
  let description = [{
    `@main` and `@prepare` get an interface for C (`llvm.emit_c_interface`), and bufferization may not
    compute in place in what they take (`bufferization.writable = false`).

    ```mlir
    func.func @main(%x: tensor<4xf32>)
    ==>
    func.func @main(%x: tensor<4xf32> {bufferization.writable = false})
        attributes {llvm.emit_c_interface}
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

def UseArena : Pass<"approx-use-arena", "::mlir::ModuleOp"> {
  let summary = "Take the memory of local buffers from an argument";
  let description = [{
    Every `memref.alloc` of static size becomes a part of a last argument of its function, whose size
    in bytes is that of its type, so that a call allocates nothing. Parts are aligned to 64 bytes,
    which the caller's memory must be too; buffers that are alive at different times share memory.

    ```mlir
    func.func @main(%x: memref<4xf32>) { %0 = memref.alloc() : memref<4xf32> .. }
    ==>
    func.func @main(%x: memref<4xf32>, %arena: memref<64xi8>) {
      %0 = memref.view %arena[%c0][] : memref<64xi8> to memref<4xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def BlockCalls : Pass<"approx-block-calls", "::mlir::ModuleOp"> {
  let summary = "Call models that compute arrays once for a block of elements";
  let description = [{
    An op with `approx.block = @F` (of `convert-approx-to-calls{keep-blocks=true}`) is computed by `@F`,
    which takes 1-D memrefs of operands and results: that is how bit-sliced and simulated models work. A
    `linalg.generic` with such ops becomes a loop nest over tiles of at most `elements` numbers: the
    operands of an op are written to buffers, `@F` is called once, and the rest of the body reads its
    results.

    `@F` may take the bits of floats, as integers; a NaN is then the canonical one.

    - Before: linalg on memrefs of static shape, elements floats or vectors of them (`approx-add-lanes`);
      bound ops of other models are gone (`convert-approx-to-calls{keep-blocks=true}`).
    - After: no approx op. A tile spans several steps of a reduction only where no call depends on
      the accumulated output, so that each output's reduction stays in the order of
      `docs/semantics.md`.

    ```mlir
    linalg.generic .. { %0 = approx.mulf %x, %w {approx.block = @m_block}   %1 = arith.addf %acc, %0 .. }
    ==>
    scf.for %tile .. {
      scf.for %i .. { %a[%i] = x[..]   %b[%i] = w[..] }
      func.call @m_block(%a, %b, %r) : (memref<?xf32>, memref<?xf32>, memref<?xf32>) -> ()
      scf.for %i .. { out[..] = out[..] + %r[%i] }
    ```
  }];
  let options = [
    Option<"elements", "elements", "int64_t", "4096",
           "Numbers of the largest tile; the buffers of a call should stay in near caches">,
    Option<"block", "block", "int64_t", "512",
           "Numbers that models compute at once: tiles should be multiples">,
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
