# SPDX-License-Identifier: Apache-2.0
"""What is written: SystemVerilog, memories, manifest, kit."""
