"""What is written: SystemVerilog, memories, manifest, kit."""
