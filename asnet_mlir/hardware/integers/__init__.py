# SPDX-License-Identifier: Apache-2.0
"""Hardware of networks on integer codes: an engine a layer, between streams of codes
(docs/decisions/0030-integer-streams.md).
"""
