// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Schedule.h"

using namespace mlir;

namespace asnet {

LogicalResult Units::collect(func::FuncOp func) {
  DenseMap<int64_t, approx::CoreOp> declared;
  func->getParentOfType<ModuleOp>().walk(
      [&](approx::CoreOp core) { declared[core.getId()] = core; });
  std::map<int64_t, approx::CoreOp> used;
  WalkResult result = func.walk([&](Operation *op) -> WalkResult {
    if (op == func || isa<affine::AffineForOp>(op) || isStructural(op) || isAlias(op) ||
        isLoad(op) || isStore(op) || isa<arith::ConstantOp>(op))
      return WalkResult::advance();
    for (Type type : op->getOperandTypes())
      if (!isFloatWord(type) && !(type.isInteger() && type.getIntOrFloatBitWidth() <= kWordBits))
        return scheduleError(op, "has an operand that is no word of at most ", kWordBits,
                             " bits: ", type);
    if (isApprox(op)) {
      auto instance = op->getAttrOfType<IntegerAttr>("instance");
      if (!instance)
        return scheduleError(op, "is not bound to an instance; hardware needs a core for every "
                                 "operation, exact ones included");
      auto it = declared.find(instance.getInt());
      if (it == declared.end())
        return scheduleError(op, "is bound to instance ", instance.getInt(),
                             ", which no 'approx.core' declares");
      used[instance.getInt()] = it->second;
      return WalkResult::advance();
    }
    if (plainFunction(op).empty()) {
      SmallVector<Type> types(op->getOperandTypes());
      llvm::append_range(types, op->getResultTypes());
      auto other = llvm::find_if(
          types, [](Type type) { return type.isIntOrFloat() && !isWord(type) && !isBit(type); });
      if (other != types.end())
        return scheduleError(op, "has no hardware: there are numbers of ", kWordFormat.name, ", ",
                             getIntegerWordName(), " and i1 only, not of ", *other,
                             "; leave out the conversion to it");
      return scheduleError(op,
                           "has no hardware; supported are approx ops and plain logic of the "
                           "arith dialect on i1 and ",
                           getIntegerWordName());
    }
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  for (auto [id, core] : used)
    cores[id] = core;
  return success();
}

ArrayAttr Units::toAttr(MLIRContext *context) {
  Builder builder(context);
  SmallVector<Attribute> units;
  for (auto [id, core] : cores) {
    NamedAttrList attrs;
    for (StringRef name : {"op", "module", "parameters", "latency"})
      attrs.set(name, core->getAttr(name));
    attrs.set("id", builder.getI64IntegerAttr(id));
    if (pads[id])
      attrs.set("pad", builder.getI64IntegerAttr(pads[id]));
    units.push_back(attrs.getDictionary(context));
  }
  return builder.getArrayAttr(units);
}

namespace {
class NodeMaker {
public:
  NodeMaker(Problem &problem, ArrayRef<Operation *> ops)
      : problem(problem), memories(problem.memories), ops(ops) {
    for (auto [i, op] : llvm::enumerate(ops))
      position[op] = i;
  }

  SmallVector<Node> make() {
    chooseOperandLoads();
    chooseResultStores();
    for (Operation *op : ops)
      if (std::optional<Node> node = makeNode(op))
        addNode(std::move(*node));
    orderAccesses();
    return std::move(nodes);
  }

private:
  void chooseOperandLoads();
  void chooseResultStores();
  std::optional<Node> makeNode(Operation *op);
  bool needsRegister(arith::ConstantOp constant);
  void addNode(Node node);
  void orderAccesses();

  bool isHere(Operation *op) { return op && position.contains(op); }
  /// Whether `user` takes the value of `op` from a register, as a condition or as an address.
  static bool takesFromRegister(Operation *user, Operation *op) {
    return isLoad(user) || (isa<arith::SelectOp>(user) && producer(user->getOperand(0)) == op);
  }
  bool isReadJustInTime(Operation *load) {
    SmallVector<Operation *> users;
    collectUsers(load, users);
    return llvm::is_contained(operandLoads[users.front()], load);
  }

  Problem &problem;
  Memories &memories;
  ArrayRef<Operation *> ops;
  DenseMap<Operation *, unsigned> position;
  DenseMap<Operation *, unsigned> effective; // where in program order an access really happens
  DenseMap<Operation *, SmallVector<Operation *, 2>>
      operandLoads; // by the operation that uses them
  DenseMap<Operation *, Operation *> resultStore; // by the operation whose result it takes
  SmallVector<Node> nodes;
  DenseMap<Operation *, unsigned> nodeOf;
};

/// A load whose only user is an operation of this segment is read just in time, unless a store that
/// may change the word lies between the two, or the user already reads another word of the same
/// bank.
void NodeMaker::chooseOperandLoads() {
  for (Operation *op : ops) {
    if (!isLoad(op))
      continue;
    effective[op] = position[op];
    SmallVector<Operation *> users;
    collectUsers(op, users);
    Operation *user = users.front();
    if (!llvm::all_equal(users) || !isHere(user) || takesFromRegister(user, op))
      continue;
    bool blocked = llvm::any_of(ops, [&](Operation *other) {
      return isStore(other) && other != user && position[other] > position[op] &&
             position[other] < position[user] && memories.mayAlias(op, other);
    });
    bool sameBank = llvm::any_of(operandLoads[user], [&](Operation *other) {
      return memories.isRom(other) == memories.isRom(op);
    });
    if (blocked || sameBank)
      continue;
    operandLoads[user].push_back(op);
    effective[op] = position[user];
  }
}

/// A store takes its value straight from the unit that makes it, if that is in this segment, feeds no
/// other store, and no access that may touch the word lies between the two.
void NodeMaker::chooseResultStores() {
  for (Operation *op : ops) {
    if (!isStore(op))
      continue;
    Operation *source = producer(op->getOperand(0));
    effective[op] = position[op];
    if (!isHere(source) || isLoad(source) || isa<arith::ConstantOp>(source) ||
        resultStore.contains(source))
      continue;
    bool blocked = llvm::any_of(ops, [&](Operation *other) {
      if (other == op || !(isLoad(other) || isStore(other)) || !memories.mayAlias(op, other))
        return false;
      auto it = effective.find(other);
      unsigned at = it == effective.end() ? position[other] : it->second;
      return at > position[source] && at < position[op];
    });
    if (blocked)
      continue;
    resultStore[source] = op;
    effective[op] = position[source];
  }
}

/// An issue carries one immediate; a second one goes through a register, as does a condition.
bool NodeMaker::needsRegister(arith::ConstantOp constant) {
  Operation *user = *constant->getUsers().begin();
  while (isAlias(user))
    user = *user->getUsers().begin();
  if (takesFromRegister(user, constant))
    return true;
  Attribute bits = constant->getAttr(approx::kBitsAttrName);
  for (Value operand : user->getOperands()) {
    Operation *other = producer(operand);
    if (other == constant)
      break;
    if (other && isa<arith::ConstantOp>(other) && other->getAttr(approx::kBitsAttrName) != bits)
      return true;
  }
  return false;
}

/// What is issued for an operation, if anything.
std::optional<Node> NodeMaker::makeNode(Operation *op) {
  Node node;
  node.op = op;
  node.latency = problem.timing.plain;
  if (isLoad(op)) {
    if (isReadJustInTime(op))
      return std::nullopt;
    node.isMove = true;
    node.loads.push_back(op);
    return node;
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    node.isMove = true;
    return needsRegister(constant) ? std::optional(node) : std::nullopt;
  }
  node.loads = operandLoads[op];
  if (isStore(op)) {
    if (Operation *source = producer(op->getOperand(0)); source && resultStore.lookup(source) == op)
      return std::nullopt;
    node.isMove = true;
    node.store = op;
    return node;
  }
  node.store = resultStore.lookup(op);
  if (isApprox(op)) {
    node.unit = op->getAttrOfType<IntegerAttr>("instance").getInt();
    node.latency = problem.units.latencyOf(*node.unit);
    node.interval = problem.units.intervalOf(*node.unit);
  }
  return node;
}

void NodeMaker::addNode(Node node) {
  auto needs = [&](Operation *source, int64_t ahead) {
    auto it = nodeOf.find(source);
    if (it == nodeOf.end())
      return;
    int64_t ready = nodes[it->second].latency + problem.timing.issueToUse;
    node.after.push_back({it->second, ready + ahead});
    node.values.push_back({it->second, ahead});
  };
  if (!isLoad(node.op))
    for (Value operand : node.op->getOperands())
      needs(producer(operand), 0);
  for (Operation *load : node.loads)
    needs(memories.offsetOf(load), problem.timing.memory);
  nodeOf[node.op] = nodes.size();
  nodes.push_back(std::move(node));
}

/// A word is read `memory` cycles before the issue and written in the cycle in which the result
/// appears; reading and writing it never coincide.
void NodeMaker::orderAccesses() {
  const MachineTiming &timing = problem.timing;
  for (auto [i, node] : llvm::enumerate(nodes)) {
    for (auto [j, earlier] : llvm::enumerate(ArrayRef(nodes).take_front(i))) {
      for (Operation *load : node.loads)
        if (earlier.store && memories.mayAlias(load, earlier.store))
          node.after.push_back({j, earlier.latency + timing.issueToUse + 1 + timing.memory});
      if (!node.store)
        continue;
      for (Operation *load : earlier.loads)
        if (memories.mayAlias(load, node.store))
          node.after.push_back({j, 1 - timing.memory - node.latency - timing.issueToUse});
      if (earlier.store && memories.mayAlias(earlier.store, node.store))
        node.after.push_back({j, 1 + earlier.latency - node.latency});
    }
  }
}
} // namespace

SmallVector<Node> makeNodes(Problem &problem, ArrayRef<Operation *> ops) {
  return NodeMaker(problem, ops).make();
}

} // namespace asnet
