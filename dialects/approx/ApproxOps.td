// SPDX-License-Identifier: Apache-2.0
// The approx dialect: arithmetic with a defined order and numbered hardware instances.  docs/semantics.md is its definition, docs/decisions/0002-dialect.md its rationale.

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
  let summary = "Arithmetic on numbered hardware instances, in a defined order";
  let description = [{
    One op per arithmetic kind. An op that carries the ID of a hardware instance is computed by the
    core that `approx.library` declares under this ID; an op that carries none is exact (IEEE 754,
    round to nearest even, subnormals kept). From the point where a network enters this dialect, the
    order of every reduction is defined: see `docs/semantics.md`.

    What discardable attributes of this dialect (`approx.layer`, `approx.weight`, ..) hold is verified
    on every op and function: `Attributes.def` has the list.
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
      "What ops of this kind are: the row of the table of op kinds.",
      "const ::asnet::approx::OpKind &", "getKind", (ins)>,
    StaticInterfaceMethod<
      "The op kind's name: what a binding, a core's manifest and `approx.core` call this op.",
      "::llvm::StringRef", "getOpKind", (ins), [{ return ConcreteOp::getKind().name; }]>,
    InterfaceMethod<
      "The ID of the instance that computes this op; none means exact.",
      "::std::optional<uint32_t>", "getInstance", (ins)>,
    InterfaceMethod<
      "Bind this op to an instance, or make it exact.",
      "void", "setInstance", (ins "::std::optional<uint32_t>":$id)>,
    InterfaceMethod<
      "The format of the operands.",
      "::asnet::approx::NumberFormat", "getOperandFormat", (ins), [{
        return ::asnet::approx::NumberFormat::of(
            ::mlir::getElementTypeOrSelf($_op.getLhs().getType()), $_op.isUnsigned());
      }]>,
    InterfaceMethod<
      "The format of the result.",
      "::asnet::approx::NumberFormat", "getResultFormat", (ins), [{
        return ::asnet::approx::NumberFormat::of(
            ::mlir::getElementTypeOrSelf($_op.getResult().getType()), $_op.isUnsigned());
      }]>,
    InterfaceMethod<
      "What this op computes where it is exact, in ops of `arith`; this op stays.",
      "::mlir::Value", "createExact", (ins "::mlir::OpBuilder &":$builder)>
  ];
  let verify = [{ return ::asnet::approx::detail::verifyArithmetic($_op); }];
}

/// `op` names the op of `arith` that an op stands for; on integers without a sign, `unsignedOp`;
/// `order` is its place in lists of op kinds.
class Approx_BinaryOp<string mnemonic, string op, string unsignedOp, bit isFloat, bit isCommutative,
                      int order, list<Trait> traits> : Op<Approx_Dialect, mnemonic,
    !listconcat([Pure, VectorUnrollOpInterface, DeclareOpInterfaceMethods<SymbolUserOpInterface>,
                 Approx_ArithmeticOpInterface],
                ElementwiseMappable.traits, traits)> {
  // No Commutative trait and no folders: a core may tell its operands apart, and the bits of a
  // NaN depend on their order.
  code common = [{
    static const ::asnet::approx::OpKind &getKind() {
      static constexpr ::asnet::approx::OpKind kind = {
          "}] # mnemonic # [{", ::mlir::arith::}] # op # [{::getOperationName(),
          ::mlir::arith::}] # unsignedOp # [{::getOperationName(), }]
          # !if(isFloat, "true", "false") # ", " # !if(isCommutative, "true", "false") # ", " # order # [{};
      return kind;
    }
  }];
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::verifySymbolUses(::mlir::SymbolTableCollection &) {
      return ::asnet::approx::detail::verifyBinding(*this);
    }
  }];
}

def Approx_FloatLike : TypeOrValueSemanticsContainer<AnyTypeOf<[F32, BF16, F16]>,
                                                     "f32, bf16 or f16, or a vector or tensor of these">;

class Approx_FloatOp<string mnemonic, string op, bit isCommutative, int order>
    : Approx_BinaryOp<mnemonic, op, op, 1, isCommutative, order, [SameOperandsAndResultType]> {
  let arguments = (ins Approx_FloatLike:$lhs, Approx_FloatLike:$rhs, OptionalAttr<I32Attr>:$instance);
  let results = (outs Approx_FloatLike:$result);
  let builders = [
    OpBuilder<(ins "::mlir::Value":$lhs, "::mlir::Value":$rhs,
                   CArg<"::std::optional<uint32_t>", "{}">:$instance), [{
      build($_builder, $_state, lhs, rhs,
            instance ? $_builder.getI32IntegerAttr(*instance) : ::mlir::IntegerAttr());
    }]>
  ];
  let assemblyFormat = "$lhs `,` $rhs `` custom<Attributes>(attr-dict) `:` type($result)";
  let extraClassDeclaration = common # [{
    static bool isUnsigned() { return false; }
    ::mlir::Value createExact(::mlir::OpBuilder &builder) {
      return ::asnet::approx::detail::createExact<::mlir::arith::}] # op # [{>(builder, getLoc(),
                                                                          getLhs(), getRhs());
    }
  }];
}

def Approx_AddFOp : Approx_FloatOp<"addf", "AddFOp", 1, 1> {
  let summary = "floating-point addition, exact or by a hardware instance";
  let description = [{
    ```mlir
    %0 = approx.addf %a, %b : f32                   // exact
    %1 = approx.addf %a, %b {instance = 12} : f32   // by `approx.core 12 "addf" ...`
    ```
    In an accumulation, the accumulator is the left operand.
  }];
}

def Approx_SubFOp : Approx_FloatOp<"subf", "SubFOp", 0, 2> {
  let summary = "floating-point subtraction, exact or by a hardware instance";
}

def Approx_MulFOp : Approx_FloatOp<"mulf", "MulFOp", 1, 3> {
  let summary = "floating-point multiplication, exact or by a hardware instance";
  let description = [{
    ```mlir
    %0 = approx.mulf %a, %b {instance = 31} : vector<16xf32>
    ```
  }];
}

def Approx_DivFOp : Approx_FloatOp<"divf", "DivFOp", 0, 4> {
  let summary = "floating-point division, exact or by a hardware instance";
}

def Approx_MaxFOp : Approx_FloatOp<"maxf", "MaximumFOp", 1, 5> {
  let summary = "IEEE 754-2019 maximum (NaN propagates, +0 > -0)";
}

def Approx_MinFOp : Approx_FloatOp<"minf", "MinimumFOp", 1, 6> {
  let summary = "IEEE 754-2019 minimum (NaN propagates, -0 < +0)";
}

def Approx_IntegerLike : TypeOrValueSemanticsContainer<
    Type<CPred<"::asnet::approx::isIntegerOfFormat($_self)">>,
    "a signless integer of 2 to 32 bits, or a vector or tensor of these">;

/// Integers are signless, as in `arith`: the op says how their bits are read.  The result may be
/// wider than the operands, which are extended first.
class Approx_IntegerOp<string mnemonic, string op, string unsignedOp, bit isCommutative, int order>
    : Approx_BinaryOp<mnemonic, op, unsignedOp, 0, isCommutative, order,
                      [SameTypeOperands, SameOperandsAndResultShape]> {
  let arguments = (ins Approx_IntegerLike:$lhs, Approx_IntegerLike:$rhs, UnitAttr:$is_unsigned,
                       OptionalAttr<I32Attr>:$instance);
  let results = (outs Approx_IntegerLike:$result);
  let assemblyFormat = [{
    (`unsigned` $is_unsigned^)? $lhs `,` $rhs `` custom<Attributes>(attr-dict) `:`
    custom<OperandAndResultTypes>(type($lhs), type($result))
  }];
  let extraClassDeclaration = common # [{
    bool isUnsigned() { return getIsUnsigned(); }
    ::mlir::Value createExact(::mlir::OpBuilder &builder) {
      using namespace ::asnet::approx;
      ::mlir::Type type = getResult().getType();
      ::mlir::Value lhs = detail::extend(builder, getLhs(), type, isUnsigned());
      ::mlir::Value rhs = detail::extend(builder, getRhs(), type, isUnsigned());
      return isUnsigned()
                 ? detail::createExact<::mlir::arith::}] # unsignedOp # [{>(builder, getLoc(), lhs, rhs)
                 : detail::createExact<::mlir::arith::}] # op # [{>(builder, getLoc(), lhs, rhs);
    }
  }];
}

def Approx_AddIOp : Approx_IntegerOp<"addi", "AddIOp", "AddIOp", 1, 7> {
  let summary = "integer addition modulo 2^N, exact or by a hardware instance";
  let description = [{
    ```mlir
    %0 = approx.addi %acc, %product : i32          // signed, exact
    %1 = approx.addi unsigned %a, %b : i8 -> i9    // with its carry
    ```
  }];
}

def Approx_SubIOp : Approx_IntegerOp<"subi", "SubIOp", "SubIOp", 0, 8> {
  let summary = "integer subtraction modulo 2^N, exact or by a hardware instance";
}

def Approx_MulIOp : Approx_IntegerOp<"muli", "MulIOp", "MulIOp", 1, 9> {
  let summary = "integer multiplication modulo 2^N, exact or by a hardware instance";
  let description = [{
    ```mlir
    %0 = approx.muli %x, %w {instance = 3} : i8 -> i16            // signed codes
    %1 = approx.muli unsigned %x, %w {instance = 4} : i8 -> i16   // unsigned ones
    ```
  }];
}

def Approx_DivIOp : Approx_IntegerOp<"divi", "DivSIOp", "DivUIOp", 0, 10> {
  let summary = "integer division, truncating, exact or by a hardware instance";
  let description = [{
    x / 0 has all bits set, and the least integer divided by -1 is itself: no operand is undefined.
  }];
}

def Approx_MaxIOp : Approx_IntegerOp<"maxi", "MaxSIOp", "MaxUIOp", 1, 11> {
  let summary = "the greater integer, exact or by a hardware instance";
}

def Approx_MinIOp : Approx_IntegerOp<"mini", "MinSIOp", "MinUIOp", 1, 12> {
  let summary = "the smaller integer, exact or by a hardware instance";
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
    from operands to result (0: combinational); `interval` the clock cycles between two operations;
    `format` what its operands are: of floats f32 where nothing is said, `u8` or `i8` of integers.
    An instance computes ops of its format only.
  }];
  let arguments = (ins I32Attr:$id, StrAttr:$op, FlatSymbolRefAttr:$module,
                       DictionaryAttr:$parameters, I64Attr:$latency, I64Attr:$interval,
                       OptionalAttr<StrAttr>:$format);
  let assemblyFormat = [{
    $id $op $module custom<Parameters>($parameters) `latency` $latency `interval` $interval attr-dict
  }];
  let hasVerifier = 1;
}

#endif // DIALECTS_APPROX_APPROXOPS_TD
