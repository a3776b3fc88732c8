// The approx dialect: floating-point arithmetic with a defined order and numbered hardware
// instances.  docs/semantics.md is its definition, docs/decisions/0002-dialect.md its rationale.

#ifndef DIALECTS_APPROX_APPROXOPS_TD
#define DIALECTS_APPROX_APPROXOPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/VectorInterfaces.td"

def Approx_Dialect : Dialect {
  let name = "approx";
  let cppNamespace = "::asnet::approx";
  let summary = "Floating-point arithmetic on numbered hardware instances, in a defined order";
  let description = [{
    One op per arithmetic kind. An op that carries the ID of a hardware instance is computed by the
    core that `approx.library` declares under this ID; an op that carries none is exact (IEEE 754,
    round to nearest even, subnormals kept). From the point where a network enters this dialect, the
    order of every reduction is defined: see `docs/semantics.md`.

    What discardable attributes of this dialect (`approx.layer`, `approx.weight`, ..) hold is verified
    on every op and function: `ApproxAttributes.cpp` has the list.
  }];
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

def Approx_ArithmeticOpInterface : OpInterface<"ArithmeticOpInterface"> {
  let cppNamespace = "::asnet::approx";
  let description = [{An op that a hardware instance can compute.}];
  let methods = [
    StaticInterfaceMethod<
      "The op kind: what a binding, a core's manifest and `approx.core` call this op.",
      "::llvm::StringRef", "getOpKind", (ins)>,
    InterfaceMethod<
      "The ID of the instance that computes this op; none means exact.",
      "::std::optional<uint32_t>", "getInstance", (ins)>,
    InterfaceMethod<
      "Bind this op to an instance, or make it exact.",
      "void", "setInstance", (ins "::std::optional<uint32_t>":$id)>
  ];
}

class Approx_BinaryOp<string mnemonic> : Op<Approx_Dialect, mnemonic,
    !listconcat([Pure, SameOperandsAndResultType, VectorUnrollOpInterface,
                 DeclareOpInterfaceMethods<SymbolUserOpInterface>,
                 Approx_ArithmeticOpInterface],
                ElementwiseMappable.traits)> {
  // No Commutative trait and no folders: a core may tell its operands apart, and the bits of a
  // NaN depend on their order.
  let arguments = (ins FloatLike:$lhs, FloatLike:$rhs, OptionalAttr<I32Attr>:$instance);
  let results = (outs FloatLike:$result);
  let builders = [
    OpBuilder<(ins "::mlir::Value":$lhs, "::mlir::Value":$rhs,
                   CArg<"::std::optional<uint32_t>", "{}">:$instance), [{
      build($_builder, $_state, lhs, rhs,
            instance ? $_builder.getI32IntegerAttr(*instance) : ::mlir::IntegerAttr());
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    static ::llvm::StringRef getOpKind() { return "}] # mnemonic # [{"; }
  }];
}

def Approx_AddFOp : Approx_BinaryOp<"addf"> {
  let summary = "floating-point addition, exact or by a hardware instance";
  let description = [{
    ```mlir
    %0 = approx.addf %a, %b : f32                   // exact
    %1 = approx.addf %a, %b {instance = 12} : f32   // by `approx.core 12 "addf" ...`
    ```
    In an accumulation, the accumulator is the left operand.
  }];
}

def Approx_SubFOp : Approx_BinaryOp<"subf"> {
  let summary = "floating-point subtraction, exact or by a hardware instance";
}

def Approx_MulFOp : Approx_BinaryOp<"mulf"> {
  let summary = "floating-point multiplication, exact or by a hardware instance";
  let description = [{
    ```mlir
    %0 = approx.mulf %a, %b {instance = 31} : vector<16xf32>
    ```
  }];
}

def Approx_DivFOp : Approx_BinaryOp<"divf"> {
  let summary = "floating-point division, exact or by a hardware instance";
}

def Approx_MaxFOp : Approx_BinaryOp<"maxf"> {
  let summary = "IEEE 754-2019 maximum (NaN propagates, +0 > -0)";
}

def Approx_MinFOp : Approx_BinaryOp<"minf"> {
  let summary = "IEEE 754-2019 minimum (NaN propagates, -0 < +0)";
}

//===----------------------------------------------------------------------===//
// The library of instances
//===----------------------------------------------------------------------===//

def Approx_LibraryOp : Op<Approx_Dialect, "library",
    [HasParent<"::mlir::ModuleOp">, IsolatedFromAbove, SingleBlock, NoTerminator,
     NoRegionArguments, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the hardware instances of a module";
  let description = [{
    Declares every instance that the module's ops may be bound to. A module has at most one.

    ```mlir
    approx.library @mnist {
      approx.core 31 "mulf" @fmul_trunc {LATENCY = 4, P = 20} latency 4 interval 1
    }
    ```
  }];
  let arguments = (ins OptionalAttr<SymbolNameAttr>:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "($sym_name^)? attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The library that holds for `op`: the one of the nearest enclosing module that has one.
    static LibraryOp lookup(::mlir::Operation *op);
    /// The core declared under `id`, or null.
    CoreOp lookupCore(uint32_t id);
    /// The declarations as text for a diagnostic: `5 ("mulf"), 7 ("divf")`.
    ::std::string describe();
  }];
}

def Approx_CoreOp : Op<Approx_Dialect, "core", [HasParent<"::asnet::approx::LibraryOp">]> {
  let summary = "declaration of a hardware instance: a core with its parameters fixed";
  let description = [{
    `id` is what bound ops carry in `instance`; `op` the op kind that the instance computes;
    `module` the Verilog module; `parameters` its parameters' values; `latency` the clock cycles
    from operands to result (0: combinational); `interval` the clock cycles between two operations.
  }];
  let arguments = (ins I32Attr:$id, StrAttr:$op, FlatSymbolRefAttr:$module,
                       DictionaryAttr:$parameters, I64Attr:$latency, I64Attr:$interval);
  let assemblyFormat = [{
    $id $op $module custom<Parameters>($parameters) `latency` $latency `interval` $interval attr-dict
  }];
  let hasVerifier = 1;
}

#endif // DIALECTS_APPROX_APPROXOPS_TD
