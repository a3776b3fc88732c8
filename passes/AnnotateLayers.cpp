#include "passes/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_ANNOTATELAYERS
#include "passes/Passes.h.inc"

namespace {
using Scopes = SmallVector<StringRef>;

/// Split at the slashes that are outside of parentheses.
Scopes splitComponents(StringRef name) {
  Scopes components;
  size_t depth = 0, begin = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '(')
      ++depth;
    else if (name[i] == ')' && depth)
      --depth;
    else if (name[i] == '/' && !depth) {
      components.push_back(name.slice(begin, i));
      begin = i + 1;
    }
  }
  components.push_back(name.substr(begin));
  return components;
}

/// Append the scopes of one component: itself, what a transformation wraps (`jvp(dense)`), or
/// nothing for a call (`jit(relu)`, which names a function and no scope).
void appendScopes(StringRef component, Scopes &scopes) {
  size_t open = component.find('(');
  if (open == StringRef::npos || !component.ends_with(")")) {
    if (!component.empty())
      scopes.push_back(component);
    return;
  }
  StringRef wrapper = component.take_front(open);
  if (wrapper != "jvp" && wrapper != "vmap" && wrapper != "transpose")
    return;
  for (StringRef inner : splitComponents(component.slice(open + 1, component.size() - 1)))
    appendScopes(inner, scopes);
}

/// The scopes that a location names, from the outermost.
Scopes getScopes(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    // What a NameLoc wraps are the Python frames, whose names are functions, not scopes.
    Scopes scopes, components = splitComponents(name.getName());
    for (StringRef component : ArrayRef(components).drop_back())
      appendScopes(component, scopes);
    return scopes;
  }
  if (auto call = dyn_cast<CallSiteLoc>(loc)) {
    Scopes scopes = getScopes(call.getCaller()), callee = getScopes(call.getCallee());
    // A callee that was traced in place repeats its caller's scopes.
    ArrayRef<StringRef> own = callee;
    if (own.take_front(scopes.size()) == ArrayRef(scopes))
      own = own.drop_front(scopes.size());
    llvm::append_range(scopes, own);
    return scopes;
  }
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    Scopes best;
    for (Location child : fused.getLocations())
      if (Scopes scopes = getScopes(child); scopes.size() > best.size())
        best = scopes;
    return best;
  }
  return {};
}

/// A binding must be able to name a layer: what separates its parts becomes an underscore.
std::string makeLayerName(ArrayRef<StringRef> scopes) {
  std::string name = llvm::join(scopes, "/");
  for (char &c : name)
    if (llvm::isSpace(c) || StringRef(",=@{}'\"").contains(c))
      c = '_';
  return name;
}

bool belongsToLayer(Operation *op) {
  return isa<linalg::LinalgOp, tensor::PadOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::ExtractSliceOp, tensor::InsertSliceOp, tensor::ConcatOp>(op);
}

struct AnnotateLayers : impl::AnnotateLayersBase<AnnotateLayers> {
  void runOnOperation() override {
    getOperation()->walk([&](Operation *op) {
      if (!belongsToLayer(op) || op->hasAttr(approx::kLayerAttrName))
        return;
      if (Scopes scopes = getScopes(op->getLoc()); !scopes.empty())
        op->setAttr(approx::kLayerAttrName,
                    StringAttr::get(&getContext(), makeLayerName(scopes)));
    });
  }
};
} // namespace
} // namespace asnet
