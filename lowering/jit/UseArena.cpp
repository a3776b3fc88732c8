// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_USEARENA
#include "lowering/Lowering.h.inc"

namespace {
constexpr int64_t kAlignment = 64;

/// A buffer, and the numbers of the ops between which it is alive.
struct Buffer {
  memref::AllocOp alloc;
  int64_t size, begin, end, offset = 0;
};

int64_t sizeOf(MemRefType type) {
  Type element = type.getElementType();
  int64_t lanes = 1;
  if (auto vector = dyn_cast<VectorType>(element)) {
    lanes = vector.getNumElements();
    element = vector.getElementType();
  }
  // As LLVM stores it: whole bytes, a vector of i1 too where that is less than a byte each.
  int64_t bytes = element.isIndex()
                      ? 8
                      : llvm::PowerOf2Ceil(llvm::divideCeil(element.getIntOrFloatBitWidth(), 8));
  int64_t stride = llvm::PowerOf2Ceil(lanes * bytes);
  return llvm::alignTo(stride * type.getNumElements(), kAlignment);
}

class ArenaBuilder {
public:
  explicit ArenaBuilder(func::FuncOp function) : function(function) {}

  void run() {
    collect();
    if (buffers.empty())
      return;
    int64_t size = place();
    OpBuilder b(function.getContext());
    unsigned position = function.getNumArguments();
    auto type = MemRefType::get({size}, b.getI8Type());
    (void)function.insertArgument(
        position, type,
        b.getDictionaryAttr(b.getNamedAttr(approx::kArenaAttrName, b.getUnitAttr())),
        function.getLoc());
    Value arena = function.getArgument(position);
    for (Buffer &buffer : buffers) {
      b.setInsertionPoint(buffer.alloc);
      Value offset = arith::ConstantIndexOp::create(b, buffer.alloc.getLoc(), buffer.offset);
      Value view = memref::ViewOp::create(b, buffer.alloc.getLoc(), buffer.alloc.getType(), arena,
                                          offset, ValueRange());
      for (Operation *user : llvm::make_early_inc_range(buffer.alloc->getUsers()))
        if (isa<memref::DeallocOp>(user))
          user->erase();
      buffer.alloc.replaceAllUsesWith(view);
      buffer.alloc.erase();
    }
  }

private:
  void collect() {
    SmallVector<memref::AllocOp> allocs;
    number(function);
    function.walk([&](memref::AllocOp alloc) {
      auto type = cast<MemRefType>(alloc.getType());
      if (type.hasStaticShape() && type.getLayout().isIdentity())
        allocs.push_back(alloc);
    });
    for (memref::AllocOp alloc : allocs) {
      int64_t begin = std::numeric_limits<int64_t>::max(), end = 0;
      SmallVector<Value> pending{alloc};
      DenseSet<Value> seen;
      while (!pending.empty()) {
        Value value = pending.pop_back_val();
        if (!seen.insert(value).second)
          continue;
        for (Operation *user : value.getUsers()) {
          if (isa<memref::DeallocOp>(user))
            continue;
          // In a loop that does not make the buffer it is alive from the first iteration to the last.
          auto [first, last] = positions.lookup(alloc->getBlock()->findAncestorOpInBlock(*user));
          begin = std::min(begin, first);
          end = std::max(end, last);
          // Who has its address has the buffer.
          bool isAddress = isa<memref::ExtractAlignedPointerAsIndexOp>(user);
          for (Value result : user->getResults())
            if (isAddress || isa<BaseMemRefType>(result.getType()))
              pending.push_back(result);
        }
      }
      buffers.push_back({alloc, sizeOf(cast<MemRefType>(alloc.getType())), begin, end});
    }
  }

  /// Numbers the ops in their order, and what they hold: of each, its own number and the last one
  /// inside.
  void number(Operation *op) {
    int64_t own = count++;
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (Operation &inner : block)
          number(&inner);
    positions[op] = {own, count - 1};
  }

  /// Places large buffers first, each at the lowest offset that is free while it is alive.
  int64_t place() {
    SmallVector<Buffer *> order;
    for (Buffer &buffer : buffers)
      order.push_back(&buffer);
    llvm::stable_sort(order, [](Buffer *left, Buffer *right) { return left->size > right->size; });
    SmallVector<Buffer *> placed;
    int64_t size = 0;
    for (Buffer *buffer : order) {
      int64_t offset = 0;
      for (Buffer *other : placed) // in the order of their offsets
        if (other->begin <= buffer->end && buffer->begin <= other->end &&
            other->offset < offset + buffer->size && offset < other->offset + other->size)
          offset = other->offset + other->size;
      buffer->offset = offset;
      auto place = llvm::lower_bound(
          placed, buffer, [](Buffer *left, Buffer *right) { return left->offset < right->offset; });
      placed.insert(place, buffer);
      size = std::max(size, offset + buffer->size);
    }
    return size;
  }

  func::FuncOp function;
  SmallVector<Buffer> buffers;
  DenseMap<Operation *, std::pair<int64_t, int64_t>> positions;
  int64_t count = 0;
};

struct UseArena : impl::UseArenaBase<UseArena> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        ArenaBuilder(function).run();
  }
};
} // namespace
} // namespace asnet
