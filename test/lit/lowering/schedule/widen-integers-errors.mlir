// RUN: asnet-opt %s --approx-widen-integers --split-input-file --verify-diagnostics

func.func @divide(%x: i8) -> i8 {
  // expected-error @below {{'arith.divsi' of integers of fewer than 32 bits has no hardware; compute it in 32 bits}}
  %0 = arith.divsi %x, %x : i8
  return %0 : i8
}

// -----

func.func @half(%x: i16) -> bf16 {
  // expected-error @below {{'arith.bitcast' has no hardware: there are numbers of f32 and integers only, not of 'bf16'; leave out the conversion to it}}
  %0 = arith.bitcast %x : i16 to bf16
  return %0 : bf16
}

// -----

#map = affine_map<(d0) -> (d0)>

func.func @wide(%x: tensor<4xi8> {approx.role = "input"}) -> tensor<4xi64> {
  %e = tensor.empty() : tensor<4xi64>
  %0 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]}
      ins(%x : tensor<4xi8>) outs(%e : tensor<4xi64>) {
  ^bb0(%a: i8, %c: i64):
    // expected-error @below {{'arith.extsi' gives integers of 64 bits, and hardware has words of 32; leave out what computes in more}}
    %1 = arith.extsi %a : i8 to i64
    linalg.yield %1 : i64
  } -> tensor<4xi64>
  return %0 : tensor<4xi64>
}
