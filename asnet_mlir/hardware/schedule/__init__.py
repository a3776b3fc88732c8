# SPDX-License-Identifier: Apache-2.0
"""From a bound network to a schedule, in both styles."""
