// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "dialects/approx/Instances.h"
#include "dialects/approx/Layers.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_BINDINSTANCES
#include "passes/Passes.h.inc"

namespace {
/// A diagnostic is a line; deep networks have hundreds of layers.
constexpr size_t kMostLayersShown = 12;

/// One binding: `kind=id` (layer empty) or `kind@layer=id`; id 0 makes ops exact.
struct Binding {
  StringRef text, kind;
  std::string layer;
  uint32_t id;
  StringRef format; // of the ops that it is about; empty for all

  /// A layer is bound by its name and by every scope that holds it.
  bool fits(approx::ArithmeticOpInterface op, StringRef opLayer) const {
    return kind == op.getOpKind() && approx::isWithin(opLayer, layer) &&
           approx::computesOn(format, op);
  }
};

struct BindInstances : impl::BindInstancesBase<BindInstances> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Binding> parsed;
    for (const std::string &text : bindings) {
      FailureOr<Binding> binding = parse(text);
      if (failed(binding) || failed(findFormat(*binding)) || failed(checkUnique(*binding, parsed)))
        return signalPassFailure();
      parsed.push_back(*binding);
    }

    SmallVector<approx::ArithmeticOpInterface> ops;
    getOperation().walk([&](approx::ArithmeticOpInterface op) { ops.push_back(op); });
    if (!parsed.empty() && ops.empty()) {
      getOperation().emitError(
          "the module has no approx op to bind; run 'convert-arith-to-approx' first");
      return signalPassFailure();
    }
    for (const Binding &binding : parsed)
      if (failed(checkOccurs(binding, ops)))
        return signalPassFailure();

    for (approx::ArithmeticOpInterface op : ops)
      if (const Binding *binding = find(parsed, op))
        op.setInstance(binding->id ? std::optional(binding->id) : std::nullopt);
  }

private:
  static StringRef layerOf(approx::ArithmeticOpInterface op) {
    StringAttr layer = approx::getLayer(op);
    return layer ? layer.getValue() : StringRef();
  }

  InFlightDiagnostic emitError(StringRef text) {
    return getOperation().emitError("binding '") << text << "': ";
  }

  FailureOr<Binding> parse(StringRef text) {
    // An op kind and an ID hold neither '=' nor '@'.
    auto [target, id] = text.rsplit('=');
    Binding binding;
    binding.text = text;
    StringRef layer;
    std::tie(binding.kind, layer) = target.split('@');
    binding.layer = approx::decodeLayerName(layer);
    bool hasLayer = target.contains('@');
    if (binding.kind.empty() || (hasLayer && binding.layer.empty()) ||
        id.getAsInteger(10, binding.id) || binding.id > INT32_MAX)
      return emitError(text) << "is malformed; expected OP=ID or OP@LAYER=ID with ID at least 0";
    if (!approx::lookupOpKind(binding.kind))
      return emitError(text) << "unknown op kind '" << binding.kind << "'; known are "
                             << approx::listOpKinds();
    return binding;
  }

  /// Finds the format of the instance, which must be declared.
  LogicalResult findFormat(Binding &binding) {
    if (binding.id == 0)
      return success();
    auto libraries = getOperation().getOps<approx::LibraryOp>();
    if (libraries.empty())
      return emitError(binding.text)
             << "instance " << binding.id << " is not declared: the module has no 'approx.library'";
    approx::LibraryOp library = *libraries.begin();
    approx::CoreOp core = library.lookupCore(binding.id);
    if (!core)
      return emitError(binding.text)
             << "instance " << binding.id << " is not declared; the library declares "
             << library.describe();
    if (core.getOp() != binding.kind)
      return emitError(binding.text) << "instance " << binding.id << " computes \"" << core.getOp()
                                     << "\", not \"" << binding.kind << "\"";
    binding.format = approx::getFormat(core);
    return success();
  }

  LogicalResult checkUnique(const Binding &binding, ArrayRef<Binding> others) {
    for (const Binding &other : others)
      if (other.kind == binding.kind && other.layer == binding.layer && other.id != binding.id &&
          (other.format == binding.format || other.format.empty() || binding.format.empty()))
        return emitError(binding.text) << "contradicts '" << other.text << "'; keep one of them";
    return success();
  }

  LogicalResult checkOccurs(const Binding &binding, ArrayRef<approx::ArithmeticOpInterface> ops) {
    llvm::SetVector<StringRef> layers; // with an op of the kind, in the network's order
    std::string otherFormat;           // of such an op where the binding looks for it
    for (approx::ArithmeticOpInterface op : ops) {
      StringRef layer = layerOf(op);
      if (binding.fits(op, layer))
        return success();
      if (op.getOpKind() != binding.kind)
        continue;
      if (approx::isWithin(layer, binding.layer))
        otherFormat = op.getOperandFormat().getName();
      if (!layer.empty())
        layers.insert(layer);
    }
    if (!otherFormat.empty())
      return emitError(binding.text)
             << "instance " << binding.id << " computes on " << binding.format << ", but "
             << binding.kind << " is on " << otherFormat << " here";
    if (binding.layer.empty())
      return success();
    InFlightDiagnostic diag = emitError(binding.text);
    diag << "layer '" << binding.layer << "' has no " << binding.kind;
    if (layers.empty())
      return diag << "; no named layer has";
    diag << nearest(binding.layer, layers) << " layers with " << binding.kind << ": ";
    ArrayRef<StringRef> shown = layers.getArrayRef().take_front(kMostLayersShown);
    diag << llvm::join(shown, ", ");
    if (layers.size() > shown.size())
      diag << " and " << layers.size() - shown.size() << " more";
    return diag;
  }

  /// What may have been meant by `name`: a layer, a scope that holds some, or the end of one's path.
  static std::string nearest(StringRef name, const llvm::SetVector<StringRef> &layers) {
    llvm::SetVector<StringRef> candidates;
    for (StringRef layer : layers) {
      if (layer.ends_with(name) && layer.drop_back(name.size()).ends_with("/"))
        return "; did you mean '" + layer.str() + "'?";
      for (StringRef scope = layer; !scope.empty(); scope = scope.rsplit('/').first) {
        candidates.insert(scope);
        if (!scope.contains('/'))
          break;
      }
    }
    StringRef best = *llvm::min_element(candidates, [&](StringRef a, StringRef b) {
      return name.edit_distance(a) < name.edit_distance(b);
    });
    if (name.edit_distance(best) > std::max<size_t>(2, name.size() / 3))
      return ";";
    return "; did you mean '" + best.str() + "'?";
  }

  static const Binding *find(ArrayRef<Binding> all, approx::ArithmeticOpInterface op) {
    auto fitting = llvm::make_filter_range(
        all, [&](const Binding &binding) { return binding.fits(op, layerOf(op)); });
    return approx::mostSpecific(fitting, [](const Binding &b) -> StringRef { return b.layer; });
  }
};
} // namespace
} // namespace asnet
