// RUN: asnet-opt %s --approx-block-calls='elements=16 block=4' --split-input-file | FileCheck %s

approx.library { approx.core 1 "mulf" @m {} latency 0 interval 1 }
func.func private @m_block(memref<?xf32>, memref<?xf32>, memref<?xf32>)

// Outputs in tiles of 8 x 2, one step of the reduction each: two loops over outputs, one over the
// reduction, then the block's operands, the call and the sum in the defined order.

// CHECK-LABEL: func.func @product
// CHECK-COUNT-3: memref.alloc() {alignment = 64 : i64} : memref<64xi8>
// CHECK:         scf.for %[[N:.*]] = %c0{{.*}} to %c16{{.*}} step %c8
// CHECK:           scf.for %[[K:.*]] = %c0{{.*}} to %c5{{.*}} step %c1
// CHECK:             scf.for
// CHECK:               scf.for
// CHECK:                 memref.load %arg0
// CHECK:                 memref.load %arg1
// CHECK-DAG:             memref.store %{{.*}}, %{{.*}}[%[[AT:.*]]] : memref<16xf32>
// CHECK:             call @m_block(%{{.*}}, %{{.*}}, %{{.*}}) : (memref<?xf32>, memref<?xf32>, memref<?xf32>) -> ()
// CHECK:             scf.for
// CHECK:               scf.for
// CHECK:                 %[[ACC:.*]] = memref.load %arg2
// CHECK:                 %[[P:.*]] = memref.load %{{.*}} : memref<16xf32>
// CHECK:                 %[[SUM:.*]] = arith.addf %[[ACC]], %[[P]] : f32
// CHECK:                 memref.store %[[SUM]], %arg2
// CHECK-NOT:     linalg.generic
func.func @product(%x: memref<16x5xf32>, %w: memref<5x2xf32>, %y: memref<16x2xf32>) {
  linalg.generic {indexing_maps = [affine_map<(n, j, k) -> (n, k)>,
                                   affine_map<(n, j, k) -> (k, j)>,
                                   affine_map<(n, j, k) -> (n, j)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<16x5xf32>, memref<5x2xf32>) outs(%y : memref<16x2xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %0 = approx.mulf %a, %b {approx.block = @m_block, instance = 1} : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  }
  return
}

// -----

approx.library { approx.core 1 "mulf" @m {} latency 0 interval 1 }
func.func private @m_block(memref<?xf32>, memref<?xf32>, memref<?xf32>)

// Few outputs: a tile takes several steps of the reduction.

// CHECK-LABEL: func.func @few
// CHECK:         scf.for %{{.*}} = %c0{{.*}} to %c40{{.*}} step %c8
// CHECK:           call @m_block
func.func @few(%x: memref<40xf32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<(k) -> (k)>, affine_map<(k) -> ()>],
                  iterator_types = ["reduction"]}
      ins(%x : memref<40xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %acc: f32):
    %0 = approx.mulf %a, %a {approx.block = @m_block, instance = 1} : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  }
  return
}

// -----

approx.library { approx.core 1 "mulf" @m {} latency 0 interval 1 }
func.func private @m_block(memref<?xf32>, memref<?xf32>, memref<?xf32>)

// The sum itself is the call: one step at a time.

// CHECK-LABEL: func.func @sum
// CHECK:         scf.for %{{.*}} = %c0{{.*}} to %c40{{.*}} step %c1
// CHECK:           call @m_block
func.func @sum(%x: memref<40xf32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<(k) -> (k)>, affine_map<(k) -> ()>],
                  iterator_types = ["reduction"]}
      ins(%x : memref<40xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %acc: f32):
    %0 = approx.mulf %acc, %a {approx.block = @m_block, instance = 1} : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

approx.library { approx.core 1 "mulf" @m {} latency 0 interval 1 }
func.func private @m_block(memref<?xf32>, memref<?xf32>, memref<?xf32>)

// Elements of 16 samples: 16 numbers are one element, which the model sees as an array.

// CHECK-LABEL: func.func @lanes
// CHECK:         %[[MEMORY:.*]] = memref.alloc() {alignment = 64 : i64} : memref<64xi8>
// CHECK-DAG:     memref.view %[[MEMORY]]{{.*}} : memref<64xi8> to memref<1xvector<16xf32>>
// CHECK-DAG:     memref.view %[[MEMORY]]{{.*}} : memref<64xi8> to memref<?xf32>
// CHECK:         scf.for %{{.*}} = %c0{{.*}} to %c40{{.*}} step %c1
// CHECK:           call @m_block
func.func @lanes(%x: memref<40xvector<16xf32>>, %y: memref<vector<16xf32>>) {
  linalg.generic {indexing_maps = [affine_map<(k) -> (k)>, affine_map<(k) -> ()>],
                  iterator_types = ["reduction"]}
      ins(%x : memref<40xvector<16xf32>>) outs(%y : memref<vector<16xf32>>) {
  ^bb0(%a: vector<16xf32>, %acc: vector<16xf32>):
    %0 = approx.mulf %acc, %a {approx.block = @m_block, instance = 1} : vector<16xf32>
    linalg.yield %0 : vector<16xf32>
  }
  return
}

// -----

approx.library { approx.core 1 "mulf" @m {} latency 0 interval 1 }
func.func private @m_block(memref<?xf32>, memref<?xf32>, memref<?xf32>)

// 13 outputs do not fill calls of a model that computes 4 numbers at once: a tile of one output and
// all of its 8 steps does.

// CHECK-LABEL: func.func @even
// CHECK:         memref.alloc() {{.*}} : memref<32xi8>
// CHECK:         scf.for %{{.*}} = %c0{{.*}} to %c13{{.*}} step %c1
// CHECK:           call @m_block
func.func @even(%x: memref<13x8xf32>, %y: memref<13xf32>) {
  linalg.generic {indexing_maps = [affine_map<(n, k) -> (n, k)>, affine_map<(n, k) -> (n)>],
                  iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<13x8xf32>) outs(%y : memref<13xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %0 = approx.mulf %a, %a {approx.block = @m_block, instance = 1} : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  }
  return
}

// -----

// Nothing to do.

// CHECK-LABEL: func.func @plain
// CHECK:         linalg.generic
func.func @plain(%x: memref<40xf32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<(k) -> (k)>, affine_map<(k) -> ()>],
                  iterator_types = ["reduction"]}
      ins(%x : memref<40xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %acc: f32):
    %0 = arith.addf %acc, %a : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

approx.library { approx.core 1 "mulf" @m {} latency 0 interval 1 {format = "bf16"} }
func.func private @m_block(memref<?xi16>, memref<?xi16>, memref<?xi16>)

// Another format, and a model that takes its bits.

// CHECK-LABEL: func.func @narrow
// CHECK-COUNT-3: memref.alloc() {alignment = 64 : i64} : memref<{{32|16}}xi8>
// CHECK:         %[[SEEN:.*]] = arith.select %{{.*}} : vector<2xi1>, vector<2xi16>
// CHECK:         memref.store %[[SEEN]], %{{.*}} : memref<{{.*}}xvector<2xi16>>
// CHECK:         call @m_block(%{{.*}}) : (memref<?xi16>, memref<?xi16>, memref<?xi16>) -> ()
// CHECK:         %[[R:.*]] = memref.load %{{.*}} : memref<{{.*}}xvector<2xi16>>
// CHECK:         arith.bitcast %[[R]] : vector<2xi16> to vector<2xbf16>
func.func @narrow(%x: memref<8xvector<2xbf16>>, %y: memref<8xvector<2xbf16>>) {
  linalg.generic {indexing_maps = [affine_map<(n) -> (n)>, affine_map<(n) -> (n)>],
                  iterator_types = ["parallel"]}
      ins(%x : memref<8xvector<2xbf16>>) outs(%y : memref<8xvector<2xbf16>>) {
  ^bb0(%a: vector<2xbf16>, %out: vector<2xbf16>):
    %0 = approx.mulf %a, %a {approx.block = @m_block, instance = 1} : vector<2xbf16>
    linalg.yield %0 : vector<2xbf16>
  }
  return
}
