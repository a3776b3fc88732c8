// RUN: asnet-opt %s --approx-linalg-to-loops --split-input-file --verify-diagnostics

func.func @tensors(%a: tensor<4xf32>, %v: f32) -> tensor<4xf32> {
  // expected-error @below {{must work on memrefs, got tensors; run 'one-shot-bufferize' first}}
  %0 = linalg.fill ins(%v : f32) outs(%a : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @unranked(%a: memref<*xf32>, %b: memref<4xf32>) {
  // expected-error @below {{must copy between ranked memrefs}}
  memref.copy %a, %b : memref<*xf32> to memref<4xf32>
  return
}
