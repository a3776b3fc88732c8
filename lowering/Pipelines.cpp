// SPDX-License-Identifier: Apache-2.0
// No pipeline here forms an FMA, reorders floating-point operations, or interchanges a reduction.

#include "lowering/Pipelines.h"

#include "lowering/Lowering.h"
#include "passes/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace asnet {
namespace {
struct CpuStagePipelineOptions : PassPipelineOptions<CpuStagePipelineOptions> {
  Option<int64_t> lanes{*this, "lanes", llvm::cl::init(1),
                        llvm::cl::desc("samples at once, one in each lane of a vector")};
  Option<int64_t> registers{*this, "registers", llvm::cl::init(32),
                            llvm::cl::desc("vector registers of the processor")};
};

struct SchedulePipelineOptions : PassPipelineOptions<SchedulePipelineOptions> {
  Option<int64_t> memoryLatency{*this, "memory-latency", llvm::cl::init(1),
                                llvm::cl::desc("cycles from an address to the word as an operand")};
  Option<int64_t> fetchLatency{*this, "fetch-latency", llvm::cl::init(2),
                               llvm::cl::desc("cycles from a row's name to its execution")};
  Option<int64_t> plainLatency{*this, "plain-latency", llvm::cl::init(1),
                               llvm::cl::desc("registers of the plain logic")};
  Option<int64_t> resultRegisters{
      *this, "result-registers", llvm::cl::init(0),
      llvm::cl::desc("registers behind the result of each unit, at least")};
};

struct SplitStreamPipelineOptions : PassPipelineOptions<SplitStreamPipelineOptions> {
  Option<int64_t> lanes{*this, "lanes", llvm::cl::init(1),
                        llvm::cl::desc("most outputs that an engine computes at once")};
};

void simplify(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Tensors become memrefs of identity layout, results arguments.
void bufferize(OpPassManager &pm, bool marksResults = false) {
  pm.addPass(createCarryInPlace());
  bufferization::OneShotBufferizePassOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createOneShotBufferizePass(options));
  bufferization::BufferResultsToOutParamsPassOptions results;
  results.addResultAttribute = marksResults;
  results.hoistStaticAllocs = true;
  results.modifyPublicFunctions = true;
  pm.addPass(bufferization::createBufferResultsToOutParamsPass(results));
}

/// Bound ops become calls of their models, which are inlined where they compute single numbers.
void callModels(OpPassManager &pm, bool promotesParameters) {
  ConvertApproxToCallsOptions options;
  options.keepBlocks = true;
  pm.addPass(createConvertApproxToCalls(options));
  if (promotesParameters)
    pm.addPass(createPromoteParameters());
  pm.addPass(createInlinerPass());
  pm.addPass(createWidenFloats());
  simplify(pm);
}

void toApprox(OpPassManager &pm) {
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createLinalgGeneralizeNamedOpsPass());
  OpPassManager &functions = pm.nest<func::FuncOp>();
  functions.addPass(createAnnotateLayers());
  functions.addPass(createFuseElementwise());
  functions.addPass(createHoistFromLoops());
  functions.addPass(createSplitSums());
  simplify(pm);
  pm.addPass(createWidenBooleans());
  pm.addPass(createExpandMath());
  pm.addPass(createConvertArithToApprox());
  simplify(pm);
}

void foldWeights(OpPassManager &pm) {
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createLinalgGeneralizeNamedOpsPass());
  pm.addNestedPass<func::FuncOp>(createAnnotateLayers());
  HoistFromLoopsOptions hoisting;
  hoisting.movements = false;
  pm.addNestedPass<func::FuncOp>(createHoistFromLoops(hoisting));
  pm.addPass(createCSEPass());
  pm.addPass(createFoldWeights());
}

void toLlvm(OpPassManager &pm) {
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  simplify(pm);
}

void modelsToLlvm(OpPassManager &pm) {
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createWidenFloats());
  simplify(pm);
  toLlvm(pm);
}

void cpuLoops(OpPassManager &pm, const CpuStagePipelineOptions &options) {
  callModels(pm, /*promotesParameters=*/true);
  pm.addPass(createHoistUniform());
  simplify(pm);
  if (options.lanes > 1) {
    AddLanesOptions lanes;
    lanes.lanes = options.lanes;
    pm.addPass(createAddLanes(lanes));
    simplify(pm);
  }
  pm.addPass(createEntryPoints());
  pm.addPass(createDistinctResults());
  bufferize(pm);
  pm.addPass(memref::createFoldMemRefAliasOpsPass());
  simplify(pm);
  pm.addPass(createCallContractions());
  pm.addPass(createBlockCalls());
  pm.addPass(createSymbolDCEPass());
  RegisterBlockOptions blocking;
  blocking.registers = options.registers;
  pm.addNestedPass<func::FuncOp>(createRegisterBlock(blocking));
  pm.addPass(createLinalgToLoops());
  simplify(pm);
  pm.addPass(createLoopInvariantCodeMotionPass());
  pm.addPass(createUseArena());
}

void cpuStage(OpPassManager &pm, const CpuStagePipelineOptions &options) {
  cpuLoops(pm, options);
  toLlvm(pm);
}

void reference(OpPassManager &pm) {
  pm.addPass(createEntryPoints());
  callModels(pm, /*promotesParameters=*/false);
  pm.addPass(createDistinctResults());
  bufferize(pm);
  pm.addPass(memref::createFoldMemRefAliasOpsPass());
  simplify(pm);
  pm.addPass(createBlockCalls());
  pm.addPass(createSymbolDCEPass());
  bufferization::buildBufferDeallocationPipeline(pm);
  pm.addPass(createLinalgToLoops());
  toLlvm(pm);
}

void schedule(OpPassManager &pm, const SchedulePipelineOptions &options) {
  pm.addPass(createSymbolDCEPass());
  pm.addNestedPass<func::FuncOp>(createWidenIntegers());
  pm.addPass(createProtectWeights());
  // Views of buffers stay: the scheduler resolves them, and folding a reshape into indices would
  // divide.
  bufferize(pm, /*marksResults=*/true);
  simplify(pm);
  pm.addPass(createAffineLoops());
  pm.addPass(createLinalgToLoops());
  simplify(pm);
  pm.addPass(createDataAddresses());
  ScheduleOptions scheduling;
  scheduling.memoryLatency = options.memoryLatency;
  scheduling.fetchLatency = options.fetchLatency;
  scheduling.plainLatency = options.plainLatency;
  scheduling.resultRegisters = options.resultRegisters;
  pm.addPass(createSchedule(scheduling));
}

void splitStream(OpPassManager &pm, const SplitStreamPipelineOptions &options) {
  pm.addPass(createSymbolDCEPass());
  pm.addNestedPass<func::FuncOp>(createWidenIntegers());
  pm.addPass(createUnrollLoops());
  simplify(pm);
  CutEnginesOptions cutting;
  cutting.lanes = options.lanes;
  pm.addPass(createCutEngines(cutting));
  pm.addPass(createSplitStages());
  simplify(pm);
}

void loopsToLlvm(OpPassManager &pm) {
  pm.addPass(createConvertApproxToCalls());
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createWidenFloats());
  simplify(pm);
  bufferization::buildBufferDeallocationPipeline(pm);
  toLlvm(pm);
}
} // namespace

void registerApproxPipelines() {
  PassPipelineRegistration<>(
      "asnet-fold-weights",
      "From linalg with arith: outline the arithmetic that depends on weights only", foldWeights);
  PassPipelineRegistration<>(
      "asnet-to-approx",
      "From linalg with arith into the approx dialect: from here on the order is defined",
      toApprox);
  PassPipelineRegistration<CpuStagePipelineOptions>(
      "asnet-cpu-loops",
      "From a bound stage and its models to loops on memrefs, as the evaluator runs it", cpuLoops);
  PassPipelineRegistration<CpuStagePipelineOptions>(
      "asnet-cpu-stage",
      "From a bound stage and its models to the LLVM dialect: asnet-cpu-loops and asnet-to-llvm",
      cpuStage);
  PassPipelineRegistration<>(
      "asnet-reference",
      "From a bound network and its models to the LLVM dialect: scalar loops, one sample after the "
      "other, which faster code is compared with",
      reference);
  PassPipelineRegistration<SchedulePipelineOptions>(
      "asnet-schedule", "From a bound network to the schedule of the sequential machine", schedule);
  PassPipelineRegistration<SplitStreamPipelineOptions>(
      "asnet-split-stream",
      "From a bound network to the stages of the streaming hardware, for approx-schedule-engines",
      splitStream);
  PassPipelineRegistration<>("asnet-models-to-llvm",
                             "From models with loops around them to the LLVM dialect",
                             modelsToLlvm);
  PassPipelineRegistration<>(
      "asnet-loops-to-llvm",
      "From scheduled loops and models to the LLVM dialect: what the sequential machine computes",
      loopsToLlvm);
  PassPipelineRegistration<>("asnet-to-llvm", "From affine and scf loops to the LLVM dialect",
                             toLlvm);
}
} // namespace asnet
