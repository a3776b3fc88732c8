// RUN: asnet-opt --approx-schedule='pipeline-rows=0' --mlir-print-op-generic %s > %t
// RUN: %python %S/../../../../lowering/circt/hw_opt.py --emit=microcode %t | FileCheck %s --check-prefix=CODE
// RUN: %python %S/../../../../lowering/circt/hw_opt.py --emit=hw --name=net %t | FileCheck %s --check-prefix=HW
// RUN: %python %S/../../../../lowering/circt/hw_opt.py --emit=sv --name=net %t | FileCheck %s --check-prefix=SV
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py --emit=sv %s 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: asnet-hw-opt: the input must be in generic form

approx.library {
  approx.core 1 "mulf" @fmul_trunc {LATENCY = 1, P = 20} latency 1 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 2} latency 2 interval 1
}
func.func @main(%x: memref<5xf32> {approx.role = "input"},
                %w: memref<5x3xf32> {approx.weight = "kernel"},
                %y: memref<3xf32> {bufferize.result}) {
  affine.for %j = 0 to 3 {
    affine.for %k = 0 to 5 {
      %a = affine.load %x[%k] : memref<5xf32>
      %b = affine.load %w[%k, %j] : memref<5x3xf32>
      %c = affine.load %y[%j] : memref<3xf32>
      %p = approx.mulf %a, %b {instance = 1} : f32
      %s = approx.addf %c, %p {instance = 2} : f32
      affine.store %s, %y[%j] : memref<3xf32>
    }
  } {approx.layer = "dense"}
  return
}

// Addresses step by constants; two rows behind a branch are executed in any case.
// CODE:      0  ram[0] = arg0+0; rom[0] = kernel+0; write[0] = arg2+5; count[0] = 3
// CODE-NEXT: 1  ram[1] = arg2+5; count[1] = 5
// CODE-NEXT: 2  read arg0[ram[0] += 1]; read kernel[rom[0] += 3]
// CODE-NEXT: 3  a <- ram; b <- rom; issue unit 1 (mulf)
// CODE-NEXT: 4  -
// CODE-NEXT: 5  read arg2[ram[1]]; result of unit 1 (mulf)
// CODE-NEXT: 6  a <- ram; b <- result; issue unit 2 (addf)
// CODE-NEXT: 7  -
// CODE-NEXT: 8  loop count[1] -> 2
// CODE-NEXT: 9  result of unit 2 (addf)
// CODE-NEXT: 10 arg2[write[0]] = result
// CODE-NEXT: 11 ram[0] += -5; rom[0] += -14; write[0] += 1; loop count[0] -> 2
// CODE-NEXT: 12 ram[1] += 1
// CODE-NEXT: 13 -
// CODE-NEXT: 14 done

// Three neurons in turn, a term every two cycles: with three iterations there is no kernel, and the outer
// loop's branch and the corrections of addresses lie where the last of them ends.
// RUN: asnet-opt --approx-schedule --mlir-print-op-generic %s > %t.overlap
// RUN: %python %S/../../../../lowering/circt/hw_opt.py --emit=microcode %t.overlap | FileCheck %s --check-prefix=SHORT
// SHORT:      0  ram[0] = arg0+0; rom[0] = kernel+0; write[0] = arg2+5; count[0] = 5
// SHORT-NEXT: 1  ram[1] = arg2+5
// SHORT-NEXT: 2  read arg0[ram[0]]; read kernel[rom[0] += 1]
// SHORT-NEXT: 3  a <- ram; b <- rom; issue unit 1 (mulf)
// SHORT-NEXT: 4  read arg0[ram[0]]; read kernel[rom[0] += 1]
// SHORT-NEXT: 5  a <- ram; b <- rom; issue unit 1 (mulf)
// SHORT-NEXT: 6  result of unit 1 (mulf); read arg0[ram[0]]; read kernel[rom[0] += 1]
// SHORT-NEXT: 7  read arg2[ram[1] += 1]; a <- ram; b <- rom; issue unit 1 (mulf); r0 <- result
// SHORT-NEXT: 8  a <- ram; b <- register; issue unit 2 (addf); result of unit 1 (mulf); ram[0] += 1
// SHORT-NEXT: 9  read arg2[ram[1] += 1]; r0 <- result
// SHORT-NEXT: 10 a <- ram; b <- register; issue unit 2 (addf); result of unit 1 (mulf)
// SHORT-NEXT: 11 result of unit 2 (addf); read arg2[ram[1] += 1]; r0 <- result
// SHORT-NEXT: 12 arg2[write[0] += 1] = result; a <- ram; b <- register; issue unit 2 (addf); ram[1] += -3
// SHORT-NEXT: 13 result of unit 2 (addf)
// SHORT-NEXT: 14 arg2[write[0] += 1] = result
// SHORT-NEXT: 15 result of unit 2 (addf); loop count[0] -> 2
// SHORT-NEXT: 16 arg2[write[0] += 1] = result
// SHORT-NEXT: 17 write[0] += -3
// SHORT-NEXT: 18 done

// HW: hw.module.extern @fmul_trunc<LATENCY: i32, P: i32>(in %clk_i : i1, in %a_i : i32, in %b_i : i32, out result_o : i32)
// HW: hw.module @net<RomFolder: none = "rom">(in %clk : !seq.clock, in %rst : i1, in %s_axis_tdata : i32
// HW: hw.instance "weights" @rom.4.32<Words: i32 = 15, Width: i32 = 32, AddressBits: i32 = 4, Folder: none = #hw.param.decl.ref<"RomFolder">, File: none = "net_weights.hex">
// HW: hw.instance "unit_1_mulf" @fmul_trunc<LATENCY: i32 = 1, P: i32 = 20>
// HW: %result = seq.compreg.ce

// SV: module net
// SV-NEXT: #(parameter RomFolder = "rom") (
// SV: localparam [1:0] Receive = 0;
// SV: wire receiving = phase == Receive;
// SV: net_rom #(
// SV: .Folder(RomFolder),
// SV-NEXT: .File("net_microcode.hex")
// SV: fmul_trunc #(
// SV-NEXT: .LATENCY(1),
// SV-NEXT: .P(20)
// SV-NEXT: ) unit_1_mulf (
