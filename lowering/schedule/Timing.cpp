// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Timing.h"

#include "dialects/approx/Attributes.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

using namespace mlir;

namespace asnet {

namespace {
using Facts = SmallVector<std::pair<StringRef, int64_t>>;

DictionaryAttr dictionary(MLIRContext *context, const Facts &facts) {
  Builder builder(context);
  NamedAttrList attrs;
  for (auto [name, cycles] : facts)
    attrs.set(name, builder.getI64IntegerAttr(cycles));
  return attrs.getDictionary(context);
}

LogicalResult read(Operation *op, ArrayRef<std::pair<StringRef, int64_t *>> facts) {
  auto attrs = op->getAttrOfType<DictionaryAttr>(approx::kTimingAttrName);
  for (auto [name, cycles] : facts) {
    auto number = attrs ? attrs.getAs<IntegerAttr>(name) : IntegerAttr();
    if (!number || number.getInt() < 0)
      return op->emitOpError("has no '")
             << name << "' in 'approx.timing'; run the scheduling pass of this version";
    *cycles = number.getInt();
  }
  return success();
}
} // namespace

DictionaryAttr MachineTiming::toAttr(MLIRContext *context) const {
  return dictionary(
      context,
      {{"fetch", fetch}, {"issue_to_use", issueToUse}, {"memory", memory}, {"plain", plain}});
}

FailureOr<MachineTiming> MachineTiming::of(Operation *func) {
  MachineTiming timing;
  if (failed(read(func, {{"fetch", &timing.fetch},
                         {"issue_to_use", &timing.issueToUse},
                         {"memory", &timing.memory},
                         {"plain", &timing.plain}})))
    return failure();
  return timing;
}

DictionaryAttr EngineTiming::toAttr(MLIRContext *context) const {
  return dictionary(context, {{"memory", memory},
                              {"operands", operands()},
                              {"sum_to_adder", sumToAdder},
                              {"epilogue_operands", epilogueOperands()},
                              {"handover", handover}});
}

FailureOr<EngineTiming> EngineTiming::of(Operation *func) {
  EngineTiming timing;
  if (failed(read(func, {{"memory", &timing.memory}, {"sum_to_adder", &timing.sumToAdder}})))
    return failure();
  return timing;
}

DictionaryAttr Overlap::toAttr(MLIRContext *context) const {
  return dictionary(
      context, {{"fill", fill()}, {"first", first()}, {"rows", kernel()}, {"passes", passes()}});
}

} // namespace asnet
