# SPDX-License-Identifier: Apache-2.0
"""What is around a network's hardware: widths of its streams, argmax, control, names of ports."""
