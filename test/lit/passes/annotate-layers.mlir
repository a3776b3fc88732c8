// RUN: asnet-opt %s --approx-annotate-layers | FileCheck %s
// RUN: asnet-opt %s --linalg-generalize-named-ops --approx-annotate-layers | FileCheck %s --check-prefix=GENERIC

!t = tensor<2x2xf32>

// CHECK-LABEL: func.func @names
func.func @names(%a: !t) -> !t {
  %empty = tensor.empty() : !t

  // The layer, without the jitted function and the primitive.
  // CHECK: linalg.matmul {approx.layer = "sequential/dense"}
  // GENERIC: linalg.generic {{.*}} attrs = {approx.layer = "sequential/dense"}
  %0 = linalg.matmul ins(%a, %a : !t, !t) outs(%empty : !t) -> !t
    loc("jit(f)/sequential/dense/dot_general")

  // A name stays as it is, so that names that differ do.
  // CHECK: linalg.exp {approx.layer = "my layer, of=mine"}
  %odd = linalg.exp ins(%a : !t) outs(%empty : !t) -> !t
    loc("jit(f)/my layer, of=mine/exp")
  // CHECK: linalg.exp {approx.layer = "gr\C3\B6\C3\9Fe"}
  %unicode = linalg.exp ins(%a : !t) outs(%empty : !t) -> !t
    loc("jit(f)/gr\C3\B6\C3\9Fe/exp")
  // Parentheses that are no call's are part of it.
  // CHECK: linalg.exp {approx.layer = "fc(1)/a(/b)c"}
  %parentheses = linalg.exp ins(%a : !t) outs(%empty : !t) -> !t
    loc("jit(f)/fc(1)/a(/b)c/exp")

  // A name that wraps the Python frames, whose names are functions.
  // CHECK: linalg.exp {approx.layer = "softmax"}
  %1 = linalg.exp ins(%a : !t) outs(%empty : !t) -> !t
    loc("jit(f)/softmax/exp"(callsite("Dense.call"("k.py":2:1) at "f"("k.py":1:1))))

  // Transformations wrap scopes, calls do not.
  // CHECK: linalg.abs {approx.layer = "block/dense/inner"}
  %2 = linalg.abs ins(%a : !t) outs(%empty : !t) -> !t
    loc("jit(f)/jit(main)/transpose(jvp(block/dense))/pjit(relu)/inner/abs")

  // Inlined: the caller's scopes, then the op's own.
  // CHECK: linalg.max {approx.layer = "conv"}
  %3 = linalg.max ins(%a, %a : !t, !t) outs(%empty : !t) -> !t
    loc(callsite("max" at "jit(f)/conv/jit(relu)"))
  // CHECK: linalg.max {approx.layer = "conv/relu"}
  %4 = linalg.max ins(%a, %a : !t, !t) outs(%empty : !t) -> !t
    loc(callsite("relu/max" at "jit(f)/conv/jit(relu)"))
  // CHECK: linalg.max {approx.layer = "conv/relu"}
  %5 = linalg.max ins(%a, %a : !t, !t) outs(%empty : !t) -> !t
    loc(callsite("jit(f)/conv/relu/max" at "jit(f)/conv/jit(relu)"))

  // Fused: the one that says most.
  // CHECK: linalg.add {approx.layer = "a/b"}
  %6 = linalg.add ins(%a, %a : !t, !t) outs(%empty : !t) -> !t
    loc(fused["jit(f)/x/add", "jit(f)/a/b/mul", "k.py":3:3])

  // Padding and reshapes belong to layers as well.
  // CHECK: tensor.expand_shape {{.*}} {approx.layer = "flatten"}
  %7 = tensor.expand_shape %a [[0], [1, 2]] output_shape [2, 1, 2] : !t into tensor<2x1x2xf32>
    loc("jit(f)/flatten/reshape")
  return %0 : !t
}

// CHECK-LABEL: func.func @nothing_to_do
func.func @nothing_to_do(%a: !t) {
  // CHECK-NOT: approx.layer
  %empty = tensor.empty() : !t loc("jit(f)/dense/empty")
  %0 = linalg.abs ins(%a : !t) outs(%empty : !t) -> !t loc(unknown)
  %1 = linalg.abs ins(%a : !t) outs(%empty : !t) -> !t loc("jit(f)/abs")
  %2 = linalg.abs ins(%a : !t) outs(%empty : !t) -> !t loc("abs")
  %3 = linalg.abs ins(%a : !t) outs(%empty : !t) -> !t loc("jit(f)"("k.py":1:1))
  // CHECK: linalg.negf {approx.layer = "mine"}
  %4 = linalg.negf {approx.layer = "mine"} ins(%a : !t) outs(%empty : !t) -> !t
    loc("jit(f)/dense/neg")
  return
}

// The body of a loop is of the layer that has the loop.
// CHECK-LABEL: func.func @loops
func.func @loops(%a: !t) -> !t {
  %empty = tensor.empty() : !t
  // CHECK: linalg.exp {approx.layer = "lstm/cell"}
  %0 = linalg.exp ins(%a : !t) outs(%empty : !t) -> !t
    loc("jit(f)/lstm/while/body/eval_jaxpr/cell/exp")
  // CHECK: linalg.exp {approx.layer = "rnn"}
  %1 = linalg.exp ins(%0 : !t) outs(%empty : !t) -> !t
    loc("jit(f)/rnn/while/body/while/body/exp")
  // CHECK: linalg.exp {approx.layer = "while/feet"}
  %2 = linalg.exp ins(%1 : !t) outs(%empty : !t) -> !t
    loc("jit(f)/while/feet/exp")
  return %2 : !t
}
