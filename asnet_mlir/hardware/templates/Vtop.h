// FuseSoC calls the simulated model after the top module; tb/bench.cpp calls it Vtop.
#include "V@BENCH_TOP@.h"
using Vtop = V@BENCH_TOP@;
