# SPDX-License-Identifier: Apache-2.0
"""`asnet prove`: the cores in a bundle, as they are bound, are exact ones on masked operands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asnet_mlir.cores import library_cores, parse_instance
from asnet_mlir.cores.core import Core, Instance
from asnet_mlir.cores.proofs import formal
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.cores.verilog.interface import instantiations
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle.manifest import check_files, helper_modules, read_manifest

__all__ = ["NOT_COVERED", "Proofs", "prove"]

#: What the proofs of a bundle say nothing about.
NOT_COVERED = (
    "the way of operands to the cores and of results from them: 'asnet simulate' compares the words"
)


@dataclasses.dataclass(frozen=True)
class Proofs:
    """What was proved of a design.

    Attributes:
      links: the proofs.
      places: of each, how often the hardware has the module with these parameters; 0 for a core
        alone.
      unclaimed: labels of a bundle's cores that claim to be no exact core behind masks.
      not_covered: what of a bundle the proofs say nothing about; empty for a core alone.
    """

    links: tuple[formal.Link, ...]
    places: tuple[int, ...]
    unclaimed: tuple[str, ...] = ()
    not_covered: str = ""

    @property
    def proved(self) -> bool:
        """Whether everything that is claimed was proved."""
        return all(link.status == "proved" for link in self.links)

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {
            "proofs": [
                {**link.to_json(), "places": count}
                for link, count in zip(self.links, self.places, strict=True)
            ],
            "unclaimed": list(self.unclaimed),
            "not_covered": self.not_covered,
        }


def prove(
    design: str | Path | Instance,
    *,
    against: str | None = None,
    ignored: int | None = None,
    seconds: float = 60.0,
    modified: bool = False,
) -> Proofs:
    """Prove by CIRCT and z3 that cores are the exact ones on operands without low bits.

    Of a bundle, every core is proved as its RTL instantiates it: the text in the bundle, the
    parameters where it is instantiated, the latency that the schedule counts on, against the
    library's exact core and the bits that the manifest says are ignored.  What leads to a core and
    away from it is not covered; that the files are those which were generated is checked.

    Args:
      design: a bundle's folder, a core's text (`fmul_trunc:P=20`) or an instance.
      against: of a core alone, the exact core; by default the library's of its name.
      ignored: of a core alone, the number of low operand bits it ignores; by default its P.
      seconds: bound on each proof.
      modified: take a bundle whose files are not those that were generated.

    Raises:
      InputError: neither a bundle nor a core, a bundle that was changed, or a core that claims
        nothing.
      ToolError: Yosys, CIRCT or z3 failed.
    """
    if not isinstance(design, Instance) and Path(design).is_dir():
        if against is not None or ignored is not None:
            raise InputError(f"{design}: is a bundle, which says itself what its cores claim to be")
        if not modified:
            check_files(design)
        return _prove_bundle(Path(design), seconds)
    instance = design if isinstance(design, Instance) else parse_instance(str(design))
    claim = formal.claim(instance, against=against, ignored=ignored)
    return Proofs(tuple(formal.prove_claims([claim], seconds=seconds)), (0,))


def _prove_bundle(bundle: Path, seconds: float) -> Proofs:
    manifest = read_manifest(bundle)
    try:
        names = (bundle / "filelist.f").read_text().split()
        sources = [Source(bundle / name, (bundle / name).read_text()) for name in names]
        entries = [dict(entry) for entry in manifest["instances"]]
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{bundle}: damaged ({error}); generate the bundle anew") from None
    cores = tuple(source for source in sources if source.path.parent.name == "cores")
    helpers = helper_modules(manifest["top"])
    # The bundle's own modules that hold cores; helpers read files, which are no matter here.
    rtl = [
        source
        for source in sources
        if source.path.parent.name == "rtl" and source.path.stem not in helpers
    ]
    written = instantiations(rtl)
    claims: list[formal.Claim] = []
    places: list[int] = []
    unclaimed: list[str] = []
    by_module: dict[str, list[tuple[Mapping[str, Any], Core]]] = {}
    for entry in entries:
        core = _library_core(entry)
        if core is None:
            unclaimed.append(entry["core"])
        else:
            core = dataclasses.replace(core, module=entry["module"], sources=cores)
            by_module.setdefault(entry["module"], []).append((entry, core))
    for module, members in by_module.items():
        # As they are instantiated, which is not always what the manifest says.
        uses: dict[Instance, int] = {}
        for place in written:
            if place.module == module:
                instance = members[0][1].instance(dict(place.parameters))
                uses[instance] = uses.get(instance, 0) + 1
        for instance, meant in _told_apart(bundle, members, list(uses)):
            claims.append(_claim(instance, meant))
            places.append(uses[instance])
    links = formal.prove_claims(claims, seconds=seconds)
    return Proofs(tuple(links), tuple(places), tuple(unclaimed), NOT_COVERED)


def _told_apart(
    bundle: Path, members: Sequence[tuple[Mapping[str, Any], Core]], uses: Sequence[Instance]
) -> list[tuple[Instance, Mapping[str, Any]]]:
    """Return what instance of the manifest each instance of a module in the RTL is.

    They are told apart by their parameters; one that fits none is taken for the first that is
    missing, else for the first of all.
    """
    wanted = [(core.instance(entry["parameters"]).parameters, entry) for entry, core in members]
    fitting = {instance.parameters for instance in uses}
    missing = [entry for parameters, entry in wanted if parameters not in fitting]
    strange = [
        instance for instance in uses if instance.parameters not in [known for known, _ in wanted]
    ]
    if len(missing) > len(strange):
        raise InputError(f"{bundle}: its RTL has no instance of {missing[-1]['core']}")
    pairs = [
        (instance, entry)
        for parameters, entry in wanted
        for instance in uses
        if instance.parameters == parameters
    ]
    spare = [*missing, *[wanted[0][1]] * len(strange)]
    return [*pairs, *zip(strange, spare, strict=False)]


def _claim(instance: Instance, entry: Mapping[str, Any]) -> formal.Claim:
    """Return what the manifest claims of an instance in the RTL."""
    own: Mapping[str, int] = entry["parameters"]
    claim = formal.claim(
        instance,
        ignored=0 if instance.core.exact else int(own["P"]),
        latency=int(entry["latency"]),
    )
    exact = claim.exact
    values = {
        name: value
        for name, value in own.items()
        if name in dict(exact.parameters) and name != exact.core.latency_cycles
    }
    reference = exact.core.instance({**dict(exact.parameters), **values})
    return dataclasses.replace(claim, exact=reference)


def _library_core(entry: Mapping[str, Any]) -> Core | None:
    """Return the library core that an instance of a bundle is, if it claims something."""
    core = library_cores().get(str(entry["core"]).partition(":")[0])
    if core is None or core.op != entry["op"] or core.format != "f32":
        return None
    if formal.exact_core(core) is None or not (core.exact or "P" in entry["parameters"]):
        return None
    return core
