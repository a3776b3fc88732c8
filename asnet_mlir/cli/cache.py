# SPDX-License-Identifier: Apache-2.0
"""`asnet cache`: what is kept between runs."""

from __future__ import annotations

from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb, number
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs, "cache", run, "what is kept between runs: where, how much; or remove it"
    )
    command.add_argument("--clean", action="store_true", help="remove what is kept")
    command.add_argument(
        "--days", type=number, metavar="N", help="of --clean: only what nobody used for N days"
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.support.cache import cache_use, clean_cache

    if options.days is not None and not options.clean:
        raise InputError("--days goes with --clean")
    result: dict[str, Any] = {}
    if options.clean:
        result["removed"], result["removed_bytes"] = clean_cache(options.days or 0.0)
    use = cache_use()
    kinds = {kind: {"entries": n, "bytes": size} for kind, (n, size) in use.kinds.items()}
    result |= {"place": str(use.place), "kinds": kinds, "leftovers": use.leftovers}
    result["limit"] = use.limit
    if options.json:
        print_json(result)
        return
    if options.clean:
        print(f"removed {result['removed']} entries, {result['removed_bytes'] / 1e6:.1f} MB")
    print(f"{use.place} (ASNET_CACHE_DIR names another place)")
    for kind, (count, size) in use.kinds.items():
        print(f"  {kind}: {count} entries, {size / 1e6:.1f} MB")
    limit = "no limit" if use.limit is None else f"at most {use.limit / 1e6:.0f} MB"
    total = sum(size for _, size in use.kinds.values())
    print(f"  in all {total / 1e6:.1f} MB, {limit} (ASNET_CACHE_SIZE)")
    if use.leftovers:
        print(f"  {use.leftovers} left over from runs that were killed; --clean removes them")
