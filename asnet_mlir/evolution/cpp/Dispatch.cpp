// SPDX-License-Identifier: Apache-2.0
#include "Kernels.h"

#include <cstring>

namespace asnet::evolution {

extern const Kernels kernels_avx512, kernels_avx2, kernels_baseline;

const Kernels *chooseKernels(const char *name) {
  struct Choice {
    const Kernels *kernels;
    bool isThere;
  };
  const Choice choices[] = {
      {&kernels_avx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vpopcntdq")},
      {&kernels_avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")},
      {&kernels_baseline, true},
  };
  for (const Choice &choice : choices)
    if (choice.isThere && (!name || std::strcmp(name, choice.kernels->name) == 0))
      return choice.kernels;
  return nullptr;
}

} // namespace asnet::evolution
