// RUN: asnet-opt %s --split-input-file --approx-fold-weights | FileCheck %s

#id = affine_map<(d0) -> (d0)>
#rows = affine_map<(d0, d1) -> (d0, d1)>
#columns = affine_map<(d0, d1) -> (d1)>
#scalar = affine_map<(d0, d1) -> ()>

// A batch normalization: what depends on weights only is outlined, its broadcast stays. The variance
// is no argument any more, the offset is still one, and the weight that nothing used stays too.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<2x4xf32> {approx.role = "input"}
// CHECK-SAME:    %[[OFFSET:[^:]*]]: tensor<4xf32> {approx.weight = "bn/offset"}
// CHECK-SAME:    tensor<3xf32> {approx.weight = "unused"}
// CHECK-SAME:    %[[FOLDED:[^:]*]]: tensor<4xf32> {approx.weight = "bn/folded"})
// CHECK-NOT:     math.rsqrt
// CHECK:         linalg.generic {{.*}} ins(%[[FOLDED]] :
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      linalg.yield %[[IN]] : f32
// CHECK:         return

// CHECK-LABEL: func.func @folded_weights(
// CHECK-SAME:    %[[VARIANCE:[^:]*]]: tensor<4xf32> {approx.weight = "bn/variance"}
// CHECK-SAME:    -> (tensor<4xf32> {approx.weight = "bn/folded"})
// CHECK:         %[[R:.*]] = linalg.generic {{.*}} iterator_types = ["parallel"]{{.*}} ins(%[[VARIANCE]] : tensor<4xf32>)
// CHECK:           arith.addf
// CHECK:           math.rsqrt
// CHECK:         return %[[R]]
func.func @main(%x: tensor<2x4xf32> {approx.role = "input"},
                %variance: tensor<4xf32> {approx.weight = "bn/variance"},
                %offset: tensor<4xf32> {approx.weight = "bn/offset"},
                %unused: tensor<3xf32> {approx.weight = "unused"}) -> tensor<2x4xf32> {
  %epsilon = arith.constant dense<1.0e-3> : tensor<f32>
  %e = tensor.empty() : tensor<2x4xf32>
  %v = linalg.generic {indexing_maps = [#columns, #rows], iterator_types = ["parallel", "parallel"]}
      ins(%variance : tensor<4xf32>) outs(%e : tensor<2x4xf32>) attrs = {approx.layer = "bn"} {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x4xf32>
  %r = linalg.generic {indexing_maps = [#rows, #scalar, #rows], iterator_types = ["parallel", "parallel"]}
      ins(%v, %epsilon : tensor<2x4xf32>, tensor<f32>) outs(%e : tensor<2x4xf32>)
      attrs = {approx.layer = "bn"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    %t = math.rsqrt %s : f32
    linalg.yield %t : f32
  } -> tensor<2x4xf32>
  %y = linalg.generic {indexing_maps = [#rows, #rows, #columns, #rows], iterator_types = ["parallel", "parallel"]}
      ins(%x, %r, %offset : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) outs(%e : tensor<2x4xf32>)
      attrs = {approx.layer = "bn"} {
  ^bb0(%a: f32, %b: f32, %c: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %q = arith.addf %p, %c : f32
    linalg.yield %q : f32
  } -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// -----

// Nothing to fold: movements of weights stay where they are.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<2x3xf32>
// CHECK-SAME:    %[[W:[^:]*]]: tensor<6xf32> {approx.weight = "w"}
// CHECK:         %[[E:.*]] = tensor.expand_shape %[[W]]
// CHECK:         linalg.generic {{.*}} ins(%[[X]], %[[E]]
// CHECK-NOT:   folded_weights
func.func @main(%x: tensor<2x3xf32> {approx.role = "input"},
                %w: tensor<6xf32> {approx.weight = "w"}) -> tensor<2x3xf32> {
  %m = tensor.expand_shape %w [[0, 1]] output_shape [2, 3] : tensor<6xf32> into tensor<2x3xf32>
  %e = tensor.empty() : tensor<2x3xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>,
                                        affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// -----

// Indices along one dimension become a constant; as floats, with arithmetic, a weight.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[FOLDED:[^:]*]]: tensor<3xf32> {approx.weight = "folded"})
// CHECK-DAG:     %[[IOTA:.*]] = arith.constant dense<[0, 1, 2]> : tensor<3xi32>
// CHECK-DAG:     linalg.generic {{.*}} ins(%[[IOTA]] : tensor<3xi32>)
// CHECK-NOT:     linalg.index
// CHECK:         return
// CHECK-LABEL: func.func @folded_weights(
func.func @main(%x: tensor<2x3xf32> {approx.role = "input"}) -> (tensor<2x3xi32>, tensor<2x3xf32>) {
  %e = tensor.empty() : tensor<2x3xi32>
  %i = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      outs(%e : tensor<2x3xi32>) {
  ^bb0(%o: i32):
    %d = linalg.index 1 : index
    %c = arith.index_cast %d : index to i32
    linalg.yield %c : i32
  } -> tensor<2x3xi32>
  %g = tensor.empty() : tensor<2x3xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%i : tensor<2x3xi32>) outs(%g : tensor<2x3xf32>) {
  ^bb0(%a: i32, %o: f32):
    %c = arith.sitofp %a : i32 to f32
    linalg.yield %c : f32
  } -> tensor<2x3xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>,
                                        affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x, %f : tensor<2x3xf32>, tensor<2x3xf32>) outs(%g : tensor<2x3xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.addf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<2x3xf32>
  return %i, %s : tensor<2x3xi32>, tensor<2x3xf32>
}

// -----

// Arithmetic on single numbers is no weight: it folds by itself.

// CHECK-LABEL: func.func @main(
// CHECK-NOT:   approx.weight
// CHECK:       return
// CHECK-NOT:   folded_weights
func.func @main(%x: tensor<2x3xf32> {approx.role = "input"}) -> tensor<2x3xf32> {
  %zero = arith.constant dense<4> : tensor<2x3xi32>
  %e = tensor.empty() : tensor<2x3xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%zero : tensor<2x3xi32>) outs(%e : tensor<2x3xf32>) {
  ^bb0(%a: i32, %o: f32):
    %c = arith.sitofp %a : i32 to f32
    linalg.yield %c : f32
  } -> tensor<2x3xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>,
                                        affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x, %f : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.maximumf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<2x3xf32>
  return %s : tensor<2x3xf32>
}
