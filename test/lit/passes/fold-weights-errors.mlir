// RUN: asnet-opt %s --split-input-file --verify-diagnostics --approx-fold-weights

// expected-error@below {{must hold a function 'main' of one block}}
module {
  func.func @other() { return }
}

// -----

module {
  func.func @main() { return }
  // expected-error@below {{the name 'folded_weights' is taken; rename it}}
  func.func @folded_weights() { return }
}
