// RUN: asnet-opt %s --approx-use-arena --split-input-file | FileCheck %s

func.func private @use(memref<4xvector<16xf32>>)

// %a is dead before %b is first used: they share memory; %b and %c are alive together.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %{{.*}}: memref<4xf32>, %[[ARENA:.*]]: memref<512xi8> {approx.arena})
// CHECK:         %[[A:.*]] = memref.view %[[ARENA]][%c0]
// CHECK:         %[[B:.*]] = memref.view %[[ARENA]][%c0_0]
// CHECK:         %[[C:.*]] = memref.view %[[ARENA]][%c256]
// CHECK-NEXT:    call @use(%[[C]])
// CHECK-NOT:     memref.dealloc
func.func @main(%x: memref<4xf32>) {
  %a = memref.alloc() : memref<4xvector<16xf32>>
  call @use(%a) : (memref<4xvector<16xf32>>) -> ()
  %b = memref.alloc() : memref<4xvector<16xf32>>
  call @use(%a) : (memref<4xvector<16xf32>>) -> ()
  call @use(%b) : (memref<4xvector<16xf32>>) -> ()
  %c = memref.alloc() : memref<4xvector<16xf32>>
  call @use(%c) : (memref<4xvector<16xf32>>) -> ()
  call @use(%b) : (memref<4xvector<16xf32>>) -> ()
  memref.dealloc %a : memref<4xvector<16xf32>>
  return
}

// -----

// CHECK-LABEL: func.func @none(%{{.*}}: memref<4xf32>)
func.func @none(%x: memref<4xf32>) {
  return
}
