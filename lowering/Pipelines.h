// SPDX-License-Identifier: Apache-2.0
// The ways of a network through the passes, each under a name that `asnet-opt`, the plugin and Python
// know.

#ifndef LOWERING_PIPELINES_H
#define LOWERING_PIPELINES_H

namespace asnet {
void registerApproxPipelines();
} // namespace asnet

#endif // LOWERING_PIPELINES_H
