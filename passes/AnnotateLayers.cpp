// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_ANNOTATELAYERS
#include "passes/Passes.h.inc"

namespace {
using Scopes = SmallVector<StringRef>;

/// Transformations of JAX wrap scopes, `jvp(dense)`; calls name a function and no scope, `jit(f)`.
/// Other parentheses are part of a name.
constexpr StringLiteral kTransformations[] = {"jvp", "vmap", "transpose"};
constexpr StringLiteral kCalls[] = {
    "jit",        "pjit", "pmap", "xla_call", "closed_call", "custom_jvp_call", "custom_vjp_call",
    "checkpoint", "remat"};

/// Where the parenthesis that `name` opens at `open` closes a component: at the end or before a
/// slash; npos if it does not.
size_t findClosing(StringRef name, size_t open) {
  size_t depth = 0;
  for (size_t i = open; i < name.size(); ++i) {
    if (name[i] == '(')
      ++depth;
    else if (name[i] == ')' && --depth == 0)
      return i + 1 == name.size() || name[i + 1] == '/' ? i : StringRef::npos;
  }
  return StringRef::npos;
}

/// A part of a location's name between slashes: a scope, or what a transformation or call wraps.
struct Component {
  StringRef text, wrapper, wrapped;
};

SmallVector<Component> splitComponents(StringRef name) {
  SmallVector<Component> components;
  while (true) {
    StringRef head = name.take_front(name.find_first_of("(/"));
    size_t close = StringRef::npos;
    if ((llvm::is_contained(kTransformations, head) || llvm::is_contained(kCalls, head)) &&
        head.size() < name.size() && name[head.size()] == '(')
      close = findClosing(name, head.size());
    size_t end;
    if (close != StringRef::npos) {
      components.push_back({name.take_front(close + 1), head, name.slice(head.size() + 1, close)});
      end = close + 1;
    } else {
      end = std::min(name.find('/'), name.size());
      components.push_back({name.take_front(end), "", ""});
    }
    if (end == name.size())
      return components;
    name = name.substr(end + 1);
  }
}

void appendScopes(ArrayRef<Component> components, Scopes &scopes) {
  for (const Component &component : components) {
    if (llvm::is_contained(kTransformations, component.wrapper))
      appendScopes(splitComponents(component.wrapped), scopes);
    else if (component.wrapper.empty() && !component.text.empty())
      scopes.push_back(component.text);
  }
}

/// The scopes that a location names, from the outermost.
Scopes getScopes(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    Scopes scopes;
    SmallVector<Component> components = splitComponents(name.getName());
    // JAX writes the primitive in front, `max:`, around the name; of a name that has `:/` in it, the
    // part up to there is around the rest.
    auto rest = dyn_cast<NameLoc>(name.getChildLoc());
    if (rest && name.getName().getValue().ends_with(":")) {
      if (components.size() > 1)
        appendScopes(components, scopes);
      llvm::append_range(scopes, getScopes(rest));
      return scopes;
    }
    // What else a NameLoc wraps are the Python frames, whose names are functions, not scopes.
    appendScopes(ArrayRef(components).drop_back(), scopes);
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

/// JAX names the parts of a loop: what is computed in its body is of the layer that has the loop.
void dropLoops(Scopes &scopes) {
  for (size_t i = 0; i + 1 < scopes.size();) {
    if (scopes[i] != "while" || (scopes[i + 1] != "body" && scopes[i + 1] != "cond")) {
      ++i;
      continue;
    }
    bool isTraced = i + 2 < scopes.size() &&
                    (scopes[i + 2] == "eval_jaxpr" || scopes[i + 2] == "closed_call");
    scopes.erase(scopes.begin() + i, scopes.begin() + i + (isTraced ? 3 : 2));
  }
}

bool belongsToLayer(Operation *op) {
  return isa<linalg::LinalgOp, tensor::PadOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::ExtractSliceOp, tensor::InsertSliceOp, tensor::ConcatOp, scf::ForOp>(op);
}

struct AnnotateLayers : impl::AnnotateLayersBase<AnnotateLayers> {
  void runOnOperation() override {
    getOperation()->walk([&](Operation *op) {
      if (!belongsToLayer(op) || op->hasAttr(approx::kLayerAttrName))
        return;
      Scopes scopes = getScopes(op->getLoc());
      dropLoops(scopes);
      if (!scopes.empty())
        op->setAttr(approx::kLayerAttrName,
                    StringAttr::get(&getContext(), llvm::join(scopes, "/")));
    });
  }
};
} // namespace
} // namespace asnet
