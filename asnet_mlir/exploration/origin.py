# SPDX-License-Identifier: Apache-2.0
"""Which code and which models of cores a result came from, so that it can be found again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.support.cache import code_version

__all__ = ["Origin", "origin_of", "program_version"]


def program_version() -> str:
    """Return 16 hex digits that stand for all code that a result depends on."""
    packages = ("_mlir_libs", "cores", "dialects", "evaluation", "frontends", "lowering")
    return code_version(*packages)[:16]


@dataclass(frozen=True)
class Origin:
    """What made a result; empty in rows of older versions.

    Attributes:
      code: `program_version`.
      models: by the content hash of each instance, its model: strategy and hash of its code.
    """

    code: str = ""
    models: Mapping[str, str] = field(default_factory=dict)

    def of(self, instances: Iterable[Instance]) -> Origin:
        """Return the part that is about some instances."""
        hashes = {instance.content_hash for instance in instances}
        return Origin(self.code, {h: m for h, m in self.models.items() if h in hashes})

    def contradicts(self, now: Origin) -> bool:
        """Say whether a model is another one now, though it was made by the same strategy.

        Another strategy is another way to the same bits: which is taken depends on the machine.
        """
        for key, model in self.models.items():
            other = now.models.get(key, model)
            if other != model and other.split()[0] == model.split()[0]:
                return True
        return False

    def to_text(self) -> str:
        """Return it as JSON, as stores keep it."""
        return json.dumps({"code": self.code, "models": dict(self.models)})

    @classmethod
    def from_text(cls, text: str) -> Origin:
        """Read what `to_text` wrote.

        Raises:
          ValueError, TypeError: `text` is something else.
        """
        value: Any = json.loads(text)
        if not isinstance(value, dict) or not isinstance(value.get("models"), dict):
            raise ValueError(f"no origin: {text[:50]}")
        return cls(str(value.get("code", "")), {str(k): str(m) for k, m in value["models"].items()})


def origin_of(instances: Iterable[Instance]) -> Origin:
    """Return what this program makes of instances now; their models are derived where missing."""
    unique = {instance.content_hash: instance for instance in instances}
    models = derive_models({f"core_{n}": one for n, one in enumerate(unique.values())})
    found = zip(unique, models.values(), strict=True)
    return Origin(program_version(), {key: model.version for key, model in found})
