# Runs test_stream.py; `make cocotb` in the bundle's folder calls it.
SIM                     := verilator
TOPLEVEL_LANG           := verilog
VERILOG_SOURCES         := $(SOURCES)
COCOTB_TOPLEVEL         := $(TOP)
COCOTB_TEST_MODULES     := test_stream
COCOTB_RESULTS_FILE     := $(BUILD)/cocotb-results.xml
COCOTB_HDL_TIMEUNIT     := 1ns
COCOTB_HDL_TIMEPRECISION := 1ps
SIM_BUILD               := $(BUILD)/cocotb
VERILATOR_BIN_DIR       := $(CURDIR)/$(BUILD)/bin
COMPILE_ARGS            := -O3 --x-assign fast --x-initial fast -Wno-lint -Wno-style -Wno-fatal
export PYTHONPATH       := $(CURDIR)/tb:$(PYTHONPATH)
export PYTHONDONTWRITEBYTECODE := 1

include $(shell cocotb-config --makefiles)/Makefile.sim
