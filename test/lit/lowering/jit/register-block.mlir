// RUN: asnet-opt %s --pass-pipeline='builtin.module(func.func(approx-register-block{registers=16}),canonicalize,cse)' --split-input-file | FileCheck %s

#x = affine_map<(n, j, k) -> (n, k)>
#w = affine_map<(n, j, k) -> (j, k)>
#y = affine_map<(n, j, k) -> (n, j)>

// Six rows and eight columns in tiles of 3 x 4: twelve sums in registers over the whole reduction,
// which is unrolled by 4, each in order; a step loads 3 + 4 words for 12 products.

// CHECK-LABEL: func.func @matmul
// CHECK:         scf.for %{{.*}} = %c0{{.*}} to %c6{{.*}} step %c3
// CHECK:           scf.for %{{.*}} = %c0{{.*}} to %c8{{.*}} step %c4
// CHECK-COUNT-12:    memref.load
// CHECK:             %[[S:.*]]:12 = scf.for %{{.*}} = %c0{{.*}} to %c100{{.*}} step %c4{{.*}} iter_args(%[[ACC:[a-z0-9]+]] =
// CHECK-COUNT-2:       memref.load
// CHECK-NEXT:          %[[P0:.*]] = arith.mulf
// CHECK-NEXT:          %[[S0:.*]] = arith.addf %[[ACC]], %[[P0]]
// CHECK-COUNT-26:      memref.load
// CHECK:               scf.yield
// CHECK-COUNT-12:    memref.store %[[S]]#
func.func @matmul(%x: memref<6x100xf32>, %w: memref<8x100xf32>, %y: memref<6x8xf32>) {
  linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<6x100xf32>, memref<8x100xf32>) outs(%y : memref<6x8xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  }
  return
}

// -----

#v = affine_map<(n, k) -> (n, k)>
#s = affine_map<(n, k) -> (n)>
#id = affine_map<(n) -> (n)>

// The fill before and the activation after are part of the nest: the sums are never in memory.

// CHECK-LABEL: func.func @fused
// CHECK-NOT:     memref.alloc
// CHECK-NOT:     memref.store
// CHECK:         %[[S:.*]]:12 = scf.for {{.*}} iter_args(%{{.*}} = %cst, %{{.*}} = %cst
// CHECK-NOT:     memref.store
// CHECK:         %[[B:.*]] = arith.addf %[[S]]#0,
// CHECK-NEXT:    %[[M:.*]] = arith.maximumf %[[B]], %cst
// CHECK-NEXT:    memref.store %[[M]]
// CHECK-NOT:     linalg.generic
func.func @fused(%x: memref<12x100xf32>, %b: memref<12xf32>, %y: memref<12xf32>) {
  %zero = arith.constant 0.0 : f32
  %sums = memref.alloc() : memref<12xf32>
  linalg.generic {indexing_maps = [affine_map<(n) -> ()>, #id], iterator_types = ["parallel"]}
      ins(%zero : f32) outs(%sums : memref<12xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  }
  linalg.generic {indexing_maps = [#v, #s], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<12x100xf32>) outs(%sums : memref<12xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %0 = arith.addf %acc, %a : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%sums, %b : memref<12xf32>, memref<12xf32>) outs(%y : memref<12xf32>) {
  ^bb0(%s: f32, %c: f32, %out: f32):
    %0 = arith.addf %s, %c : f32
    %1 = arith.maximumf %0, %zero : f32
    linalg.yield %1 : f32
  }
  return
}

// -----

#v = affine_map<(n, k) -> (n, k)>
#s = affine_map<(n, k) -> (n)>
#id = affine_map<(n) -> (n)>

// The sums are read again later: they must be in memory.

// CHECK-LABEL: func.func @read_again
// CHECK:         memref.alloc
// CHECK:         memref.store
// CHECK:         arith.negf
// CHECK:         memref.store
// CHECK:         arith.addf
func.func @read_again(%x: memref<11x100xf32>, %y: memref<11xf32>) {
  %sums = memref.alloc() : memref<11xf32>
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(n) -> ()>, #id], iterator_types = ["parallel"]}
      ins(%zero : f32) outs(%sums : memref<11xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  }
  linalg.generic {indexing_maps = [#v, #s], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<11x100xf32>) outs(%sums : memref<11xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %0 = arith.addf %acc, %a : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%sums : memref<11xf32>) outs(%y : memref<11xf32>) {
  ^bb0(%s: f32, %out: f32):
    %0 = arith.negf %s : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%sums : memref<11xf32>) outs(%y : memref<11xf32>) {
  ^bb0(%s: f32, %out: f32):
    %0 = arith.addf %s, %out : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

#id = affine_map<(n) -> (n)>

// A remainder has code of its own; what has a dynamic shape is left.

// CHECK-LABEL: func.func @rest
// CHECK:         scf.for %{{.*}} = %c0{{.*}} to %c8{{.*}} step %c4
// CHECK-COUNT-4:   memref.store
// CHECK:         }
// CHECK-COUNT-3: memref.store
// CHECK:         linalg.generic {{.*}} ins(%{{.*}} : memref<?xf32>)
func.func @rest(%x: memref<11xf32>, %y: memref<11xf32>, %u: memref<?xf32>, %v: memref<?xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<11xf32>) outs(%y : memref<11xf32>) {
  ^bb0(%s: f32, %out: f32):
    %0 = arith.negf %s : f32
    linalg.yield %0 : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%u : memref<?xf32>) outs(%v : memref<?xf32>) {
  ^bb0(%s: f32, %out: f32):
    %0 = arith.negf %s : f32
    linalg.yield %0 : f32
  }
  return
}

// -----

#x = affine_map<(n, j, k) -> (n, k)>
#w = affine_map<(n, j, k) -> (k, j)>
#y = affine_map<(n, j, k) -> (n, j)>

// Of scalar code, columns that lie side by side are the lanes of a vector: 5 x 2 vectors of 8.

// CHECK-LABEL: func.func @columns
// CHECK-COUNT-10:    vector.load {{.*}} vector<8xf32>
// CHECK:             %[[S:.*]]:10 = scf.for
// CHECK:               %[[X:.*]] = memref.load
// CHECK:               vector.load {{.*}} vector<8xf32>
// CHECK:               vector.broadcast %[[X]] : f32 to vector<8xf32>
// CHECK:               arith.mulf {{.*}} : vector<8xf32>
// CHECK:               scf.yield
// CHECK-COUNT-10:    vector.store %[[S]]#
func.func @columns(%x: memref<5x100xf32>, %w: memref<100x16xf32>, %y: memref<5x16xf32>) {
  linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<5x100xf32>, memref<100x16xf32>) outs(%y : memref<5x16xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %acc, %0 : f32
    linalg.yield %1 : f32
  }
  return
}

// -----

#x = affine_map<(f, p, k) -> (k, p)>
#w = affine_map<(f, p, k) -> (f, k)>
#y = affine_map<(f, p, k) -> (f, p)>

// Channels first, a sample in each lane: pixels outside, filters inside, tiles of both.

// CHECK-LABEL: func.func @channels_first
// CHECK:         scf.for %{{.*}} = %c0{{.*}} to %c50{{.*}} step
// CHECK:           scf.for %{{.*}} = %c0{{.*}} to %c40{{.*}} step
// CHECK:             scf.for %{{.*}} = %c0{{.*}} to %c100{{.*}} iter_args
func.func @channels_first(%x: memref<100x50xvector<8xf32>>, %w: memref<40x100xf32>,
                          %y: memref<40x50xvector<8xf32>>) {
  linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<100x50xvector<8xf32>>, memref<40x100xf32>)
      outs(%y : memref<40x50xvector<8xf32>>) {
  ^bb0(%a: vector<8xf32>, %b: f32, %acc: vector<8xf32>):
    %lanes = vector.broadcast %b : f32 to vector<8xf32>
    %0 = arith.mulf %a, %lanes : vector<8xf32>
    %1 = arith.addf %acc, %0 : vector<8xf32>
    linalg.yield %1 : vector<8xf32>
  }
  return
}
