// RUN: asnet-opt --approx-schedule --split-input-file --verify-diagnostics %s

func.func @unbound(%x: memref<4xf32> {approx.role = "input"},
                   %y: memref<4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    %a = affine.load %x[%i] : memref<4xf32>
    // expected-error @below {{'approx.addf' op is not bound to an instance; hardware needs a core for every operation, exact ones included (layer 'dense')}}
    %b = approx.addf %a, %a : f32
    affine.store %b, %y[%i] : memref<4xf32>
  } {approx.layer = "dense"}
  return
}

// -----

func.func @arithmetic(%x: memref<4xf32> {approx.role = "input"},
                      %y: memref<4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    %a = affine.load %x[%i] : memref<4xf32>
    // expected-error @below {{'arith.addf' op has no hardware}}
    %b = arith.addf %a, %a : f32
    affine.store %b, %y[%i] : memref<4xf32>
  }
  return
}

// -----

func.func @bytes(%x: memref<4xi8> {approx.role = "input"},
                 %y: memref<4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    // expected-error @below {{'affine.load' op must access words of 32 bits, f32 or i32, got elements of 'i8'; hardware has no narrower numbers, so leave out the conversion to them (layer 'quantise')}}
    %a = affine.load %x[%i] : memref<4xi8>
    %b = arith.uitofp %a : i8 to f32
    affine.store %b, %y[%i] : memref<4xf32>
  } {approx.layer = "quantise"}
  return
}

// -----

func.func @half(%x: memref<4xf32> {approx.role = "input"},
                %y: memref<4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    %a = affine.load %x[%i] : memref<4xf32>
    // expected-error @below {{'arith.truncf' op has no hardware: there are numbers of f32, i32 and i1 only, not of 'bf16'; leave out the conversion to it (layer 'half')}}
    %b = arith.truncf %a : f32 to bf16
    %c = arith.extf %b : bf16 to f32
    affine.store %c, %y[%i] : memref<4xf32>
  } {approx.layer = "half"}
  return
}

// -----

func.func @not_linear(%x: memref<4xf32> {approx.role = "input"},
                      %y: memref<4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    // expected-error @below {{has an index with a division or remainder; hardware addresses are linear in the loop counters (layer 'pool')}}
    %a = affine.load %x[%i floordiv 2] : memref<4xf32>
    affine.store %a, %y[%i] : memref<4xf32>
  } {approx.layer = "pool"}
  return
}

// -----

func.func @rom(%x: memref<4xf32> {approx.role = "input"},
               %w: memref<4xf32> {approx.weight = "kernel"}) {
  affine.for %i = 0 to 4 {
    %a = affine.load %x[%i] : memref<4xf32>
    // expected-error @below {{writes to 'kernel', which is read-only}}
    affine.store %a, %w[%i] : memref<4xf32>
  }
  return
}

// -----

func.func @bounds(%x: memref<4xf32> {approx.role = "input"},
                  %y: memref<4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    // expected-error @below {{must have constant bounds}}
    affine.for %j = 0 to affine_map<(d0) -> (d0)>(%i) {
      %a = affine.load %x[%j] : memref<4xf32>
      affine.store %a, %y[%i] : memref<4xf32>
    }
  }
  return
}

// -----

func.func @control(%x: memref<4xf32> {approx.role = "input"},
                   %y: memref<4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    // expected-error @below {{is no static affine loop; hardware needs static control flow}}
    affine.if affine_set<(d0) : (d0 - 2 >= 0)>(%i) {
      %a = affine.load %x[%i] : memref<4xf32>
      affine.store %a, %y[%i] : memref<4xf32>
    }
  }
  return
}

// -----

// expected-error @below {{has no output that it accesses}}
func.func @no_output(%x: memref<4xf32> {approx.role = "input"}) {
  %y = memref.alloc() : memref<4xf32>
  affine.for %i = 0 to 4 {
    %a = affine.load %x[%i] : memref<4xf32>
    affine.store %a, %y[%i] : memref<4xf32>
  }
  return
}
