.PHONY: control
control: $(BUILD)/control/bench ## the registers, by reads and writes at random beside samples
	@echo "registers:"
	@$(BUILD)/control/bench 1 $(LIMIT)

$(BUILD)/control/bench: $(SOURCES) $(BENCH_SV) tb/control.cpp $(TOP)_registers.h | $(BUILD)/verilator
	@$(VERILATOR) --cc --exe --build --no-timing -O3 --x-assign fast --x-initial fast \
	  -Wno-lint -Wno-style -Wno-fatal --output-split 20000 --prefix Vtop --top-module $(BENCH_TOP) \
	  -CFLAGS "$(OPT) -I$(CURDIR)" --Mdir $(BUILD)/control -o bench $(SOURCES) $(BENCH_SV) tb/control.cpp \
	  > $(BUILD)/control.log 2>&1 || { cat $(BUILD)/control.log >&2; exit 1; }
