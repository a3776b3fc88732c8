// SPDX-License-Identifier: Apache-2.0
#include "Objects.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

#include <atomic>
#include <mutex>

using namespace llvm;

namespace asnet {
namespace {
constexpr StringLiteral kInterface = "_mlir_ciface_", kEntry = "asnet_";

/// What code for processors without bf16 calls to round an f32 to it; the compiler's library has the
/// function from GCC 13 on.  To nearest, ties to even; a NaN keeps the upper bits of its payload.
/// A bf16 is returned as a _Float16 is, in the lower half of the first vector register.
_Float16 roundToBf16(float value) {
  auto bits = bit_cast<uint32_t>(value);
  bool isNan = (bits & 0x7FFFFFFF) > 0x7F800000;
  bits = isNan ? bits | 0x00400000 : bits + 0x7FFF + (bits >> 16 & 1);
  return bit_cast<_Float16>(static_cast<uint16_t>(bits >> 16));
}

void initializeTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    InitializeNativeTarget();
    InitializeNativeTargetAsmPrinter();
  });
}

std::string hostFeatures() {
  std::vector<std::string> features;
  for (const auto &feature : sys::getHostCPUFeatures())
    features.push_back((feature.second ? "+" : "-") + feature.first().str());
  llvm::sort(features);
  return llvm::join(features, ",");
}

Expected<std::unique_ptr<TargetMachine>> createTargetMachine() {
  initializeTarget();
  Triple triple(sys::getProcessTriple());
  std::string message;
  const Target *target = TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return createStringError(message);
  TargetOptions options;
  // A product is rounded before it is added (docs/semantics.md, O5).
  options.AllowFPOpFusion = FPOpFusion::Strict;
  return std::unique_ptr<TargetMachine>(target->createTargetMachine(
      triple, sys::getHostCPUName(), hostFeatures(), options, Reloc::PIC_, CodeModel::Small,
      CodeGenOptLevel::Default, /*JIT=*/true));
}

/// Adds `asnet_<name>(ptr arguments)` for each function of the C interface.
void addEntries(Module &module) {
  IRBuilder<> builder(module.getContext());
  Type *pointer = builder.getPtrTy();
  SmallVector<Function *> functions;
  for (Function &function : module)
    if (!function.isDeclaration() && function.getName().starts_with(kInterface))
      functions.push_back(&function);
  for (Function *function : functions) {
    auto *entry = Function::Create(
        FunctionType::get(builder.getVoidTy(), {pointer}, false), Function::ExternalLinkage,
        kEntry + function->getName().drop_front(kInterface.size()), module);
    builder.SetInsertPoint(BasicBlock::Create(module.getContext(), "entry", entry));
    SmallVector<Value *> arguments;
    for (unsigned i = 0; i < function->arg_size(); ++i)
      arguments.push_back(builder.CreateLoad(
          pointer, builder.CreateConstInBoundsGEP1_64(pointer, entry->getArg(0), i)));
    builder.CreateCall(function, arguments);
    builder.CreateRetVoid();
  }
}

void optimize(Module &module, TargetMachine &machine, unsigned optLevel) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PipelineTuningOptions tuning;
  // Loops come blocked; what is left in scalar form was meant so.
  tuning.LoopVectorization = tuning.LoopInterleaving = optLevel > 2;
  tuning.SLPVectorization = optLevel > 2;
  PassBuilder passes(&machine, tuning);
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(components);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, components, modules);
  OptimizationLevel level = optLevel == 0   ? OptimizationLevel::O0
                            : optLevel == 1 ? OptimizationLevel::O1
                            : optLevel == 2 ? OptimizationLevel::O2
                                            : OptimizationLevel::O3;
  ModulePassManager manager = optLevel == 0 ? passes.buildO0DefaultPipeline(level)
                                            : passes.buildPerModuleDefaultPipeline(level);
  manager.run(module, modules);
}

/// The one JIT of the process; every object is in a library of its own.
Expected<orc::LLJIT &> getJit() {
  static std::mutex mutex;
  static std::unique_ptr<orc::LLJIT> jit;
  std::lock_guard<std::mutex> lock(mutex);
  if (!jit) {
    initializeTarget();
    Expected<std::unique_ptr<orc::LLJIT>> made = orc::LLJITBuilder().create();
    if (!made)
      return made.takeError();
    jit = std::move(*made);
  }
  return *jit;
}
} // namespace

std::string describeHost() {
  return (sys::getHostCPUName() + ";" + hostFeatures() + ";LLVM " + LLVM_VERSION_STRING).str();
}

Expected<SmallVector<char, 0>> compileObject(mlir::ModuleOp source, unsigned optLevel) {
  mlir::MLIRContext &mlirContext = *source.getContext();
  mlir::registerBuiltinDialectTranslation(mlirContext);
  mlir::registerLLVMDialectTranslation(mlirContext);
  LLVMContext context;
  std::unique_ptr<Module> module = mlir::translateModuleToLLVMIR(source, context);
  if (!module)
    return createStringError("the module has no form in LLVM IR");
  Expected<std::unique_ptr<TargetMachine>> machine = createTargetMachine();
  if (!machine)
    return machine.takeError();
  module->setTargetTriple((*machine)->getTargetTriple());
  module->setDataLayout((*machine)->createDataLayout());
  addEntries(*module);
  for (Function &function : *module)
    if (!function.isDeclaration()) {
      function.addFnAttr("prefer-vector-width", "512");
      function.addFnAttr(Attribute::NoUnwind);
    }
  std::string message;
  raw_string_ostream stream(message);
  if (verifyModule(*module, &stream))
    return createStringError("LLVM's verifier: " + message);
  optimize(*module, **machine, optLevel);

  SmallVector<char, 0> object;
  raw_svector_ostream out(object);
  legacy::PassManager codegen;
  if ((*machine)->addPassesToEmitFile(codegen, out, nullptr, CodeGenFileType::ObjectFile))
    return createStringError("this target gives no object files");
  codegen.run(*module);
  return object;
}

struct LoadedObject::Impl {
  orc::LLJIT *jit;
  orc::JITDylib *library;
};

LoadedObject::LoadedObject(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}

LoadedObject::~LoadedObject() {
  // The code must be gone before the memory is: nothing else refers to the library.
  consumeError(impl->jit->getExecutionSession().removeJITDylib(*impl->library));
}

Expected<std::unique_ptr<LoadedObject>>
LoadedObject::load(StringRef object, const std::vector<std::pair<std::string, uint64_t>> &symbols) {
  Expected<orc::LLJIT &> jit = getJit();
  if (!jit)
    return jit.takeError();
  static std::atomic<uint64_t> count{0};
  Expected<orc::JITDylib &> library =
      jit->createJITDylib("asnet." + std::to_string(count.fetch_add(1)));
  if (!library)
    return library.takeError();
  auto loaded = std::unique_ptr<LoadedObject>(
      new LoadedObject(std::unique_ptr<Impl>(new Impl{&*jit, &*library})));
  orc::SymbolMap map;
  for (const auto &[name, address] : symbols)
    map[jit->mangleAndIntern(name)] = {orc::ExecutorAddr(address),
                                       JITSymbolFlags::Exported | JITSymbolFlags::Callable};
  map[jit->mangleAndIntern("__truncsfbf2")] = {orc::ExecutorAddr::fromPtr(&roundToBf16),
                                               JITSymbolFlags::Exported | JITSymbolFlags::Callable};
  if (Error error = library->define(orc::absoluteSymbols(std::move(map))))
    return std::move(error);
  auto process = orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      jit->getDataLayout().getGlobalPrefix());
  if (!process)
    return process.takeError();
  library->addGenerator(std::move(*process));
  auto buffer = MemoryBuffer::getMemBufferCopy(object, "object");
  if (Error error = jit->addObjectFile(*library, std::move(buffer)))
    return std::move(error);
  return loaded;
}

Expected<uint64_t> LoadedObject::lookup(StringRef name) {
  Expected<orc::ExecutorAddr> address = impl->jit->lookup(*impl->library, name);
  if (!address)
    return address.takeError();
  return address->getValue();
}
} // namespace asnet
