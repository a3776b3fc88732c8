// RUN: not asnet-opt %s --approx-split-channels=ranges=d=4:12 2>&1 | FileCheck %s --check-prefix=BEYOND
// BEYOND: error: channels 'd=4:12': layer 'd' has 10 output channels, not 12
// RUN: not asnet-opt %s --approx-split-channels=ranges=e=4:8 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: channels 'e=4:8': layer 'e' sums no products
// RUN: not asnet-opt %s --approx-split-channels=ranges=act=0:1 2>&1 | FileCheck %s --check-prefix=WEIGHTS
// WEIGHTS: error: channels 'act=0:1': layer 'act' has no output channels: no loop over its outputs chooses its weights
// RUN: not asnet-opt %s --approx-split-channels=ranges=d=4:4 2>&1 | FileCheck %s --check-prefix=MALFORMED
// RUN: not asnet-opt %s --approx-split-channels=ranges=d=a 2>&1 | FileCheck %s --check-prefix=MALFORMED
// MALFORMED: error: channels '{{.*}}': is malformed; expected LAYER=BEGIN:END[+BEGIN:END..]

#x = affine_map<(n, j, k) -> (n, k)>
#w = affine_map<(n, j, k) -> (k, j)>
#y = affine_map<(n, j, k) -> (n, j)>

func.func @dense(%x: tensor<1x3xi8> {approx.role = "input"}, %w: tensor<3x10xi8> {approx.weight = "w"}, %v: tensor<3x10xi8>, %y: tensor<1x10xi32>) -> tensor<1x10xi32> {
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x3xi8>, tensor<3x10xi8>) outs(%y : tensor<1x10xi32>) attrs = {approx.layer = "d"} {
  ^bb0(%a: i8, %b: i8, %acc: i32):
    %1 = approx.muli %a, %b : i8 -> i32
    %2 = approx.addi %acc, %1 : i32
    linalg.yield %2 : i32
  } -> tensor<1x10xi32>
  %3 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %v : tensor<1x3xi8>, tensor<3x10xi8>) outs(%0 : tensor<1x10xi32>) attrs = {approx.layer = "act"} {
  ^bb0(%a: i8, %b: i8, %acc: i32):
    %1 = approx.muli %a, %b : i8 -> i32
    %2 = approx.addi %acc, %1 : i32
    linalg.yield %2 : i32
  } -> tensor<1x10xi32>
  return %3 : tensor<1x10xi32>
}
