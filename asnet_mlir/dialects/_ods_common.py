# SPDX-License-Identifier: Apache-2.0
"""What the generated builders import; upstream's module under the name that they expect."""

from mlir.dialects._ods_common import *
from mlir.dialects._ods_common import _cext  # noqa: F401
