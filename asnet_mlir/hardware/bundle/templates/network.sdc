# Constraints for Quartus.  A stub: the pins are those of your board.
# The clock's period in ns; change it here.
set clock_period @PERIOD@

create_clock -name clk -period $clock_period [get_ports @CLOCK@]
derive_clock_uncertainty
# Both streams meet what is around them in the same chip: what is measured lies between registers.
set_false_path -from [get_ports {@INPUTS@}]
set_false_path -to [get_ports {@OUTPUTS@}]
