# SPDX-License-Identifier: Apache-2.0
"""Tensors as functions of one sample: the values of the analysis in `asnet_mlir.frontends.samples`.

A `Tensor` says of each element of a batch's tensor which samples it depends on, and which function
of its sample it is, by a fingerprint of 64 bits that two elements share if the same operations made
them of the same elements of their samples.

A dimension is a product of *atoms*, outermost first: `[batch, heads, tokens]` reshaped to
`[batch * heads, tokens]` has the atoms (batch, heads) and (tokens).  Along an atom a tensor is
*explicit* (it has a fingerprint for each index), *uniform* (all its elements are alike), or
*symbolic*: one fingerprint stands for a function of the index.  The batch is explicit, nearly
everything else symbolic, so that the analysis costs as much as there are operations, not elements.
Atoms of size 1 are left out: the same program for another batch size gives the same fingerprints.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "Tensor",
    "TooLargeError",
    "blur",
    "combine",
    "concatenate",
    "constant",
    "expand_dims",
    "fold",
    "merge",
    "pick",
    "reshape",
    "symbol",
    "tag",
    "transpose",
]

#: `lowest` where no sample is involved; `highest` is -1 there.
NOBODY = 1 << 30
_LARGEST = 1 << 22


class TooLargeError(Exception):
    """More elements would have to be told apart than the analysis does."""


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor's elements.

    Attributes:
      dims: for each dimension the sizes of its atoms, none of them 1.
      prints: uint64, fingerprints; one axis for each atom, of its size where it is explicit, else
        of size 1.
      lowest, highest: int64, broadcastable to them: the samples that an element depends on lie in
        this range.
      axes: the symbolic atoms, in the order in which the fingerprint's function takes its indices.
      known: the elements themselves, of a constant: one axis for each atom.
    """

    dims: tuple[tuple[int, ...], ...]
    prints: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    axes: tuple[int, ...] = ()
    known: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(math.prod(atoms) for atoms in self.dims)

    @property
    def atoms(self) -> tuple[int, ...]:
        return tuple(itertools.chain(*self.dims))

    @property
    def explicit(self) -> frozenset[int]:
        """The atoms whose indices are told apart."""
        shapes = (self.prints.shape, self.lowest.shape, self.highest.shape)
        return frozenset(k for k in range(len(self.atoms)) if any(shape[k] > 1 for shape in shapes))

    @property
    def value(self) -> np.ndarray | None:
        """The elements of a constant, in its shape."""
        return None if self.known is None else self.known.reshape(self.shape)

    def range_of(self, dim: int) -> range:
        """Return the atoms of a dimension."""
        start = sum(len(atoms) for atoms in self.dims[:dim])
        return range(start, start + len(self.dims[dim]))

    @property
    def has_owner(self) -> bool:
        return bool((self.highest >= 0).any())


# Fingerprints


@functools.cache
def tag(text: str | bytes) -> int:
    """Return the fingerprint of a text."""
    data = text.encode() if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def mix(*parts: int | np.ndarray) -> np.ndarray:
    """Return a fingerprint of several, in their order."""
    result = np.asarray(0x9E3779B97F4A7C15, np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            result = result * np.uint64(0xD1342543DE82EF95) + np.asarray(part, np.uint64)
            # The finalizer of splitmix64.
            result = (result ^ (result >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            result = (result ^ (result >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            result = result ^ (result >> np.uint64(31))
    return result


def _bits(array: np.ndarray) -> np.ndarray:
    """Return an array of the same bits that can be compared: NaN equals NaN."""
    return array.view(f"u{array.itemsize}") if array.dtype.kind in "fV" else array


def _hash_of(array: np.ndarray) -> int:
    data = hashlib.blake2b(str(array.dtype).encode(), digest_size=8)
    data.update(np.ascontiguousarray(array).tobytes())
    return int.from_bytes(data.digest(), "little")


# Making them


def _atoms_of(shape: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    return tuple((size,) if size != 1 else () for size in shape)


def _whole(atoms: int, value: int, kind: type) -> np.ndarray:
    return np.full((1,) * atoms, value, kind)


def symbol(print_: int | np.ndarray, shape: Sequence[int]) -> Tensor:
    """Return a tensor that no sample takes part in, whose elements all differ: a weight."""
    dims = _atoms_of(shape)
    count = sum(map(len, dims))
    return Tensor(
        dims,
        np.asarray(print_, np.uint64).reshape((1,) * count),
        _whole(count, NOBODY, np.int64),
        _whole(count, -1, np.int64),
        tuple(range(count)),
    )


def batch(print_: int, shape: Sequence[int]) -> Tensor:
    """Return the network's input: sample i along the first dimension."""
    size = shape[0]
    dims = _atoms_of(shape)
    count = sum(map(len, dims))
    owners = np.arange(size).reshape((size,) + (1,) * (count - 1) if size > 1 else (1,) * count)
    prints = np.full(owners.shape, print_, np.uint64)
    return Tensor(dims, prints, owners, owners, tuple(range(size > 1, count)))


def constant(value: np.ndarray, dims: tuple[tuple[int, ...], ...] | None = None) -> Tensor:
    """Return a constant; what its elements have in common is found by looking at them."""
    dims = _atoms_of(value.shape) if dims is None else dims
    known = value.reshape(tuple(itertools.chain(*dims)))
    part, axes = known, []
    for k, size in enumerate(known.shape if known.size else ()):
        first = part[(slice(None),) * k + (slice(1),)]  # a view: `take` copies what is broadcast
        alike = known.strides[k] == 0 or bool((_bits(part) == _bits(first)).all())
        if alike or size == 1:
            part = first
        else:
            axes.append(k)
    count = known.ndim
    return Tensor(
        dims,
        np.full((1,) * count, _hash_of(part), np.uint64),
        _whole(count, NOBODY, np.int64),
        _whole(count, -1, np.int64),
        tuple(axes),
        known,
    )


# Changing how one is written down


def _expand(tensor: Tensor, atoms: Iterable[int]) -> Tensor:
    """Return the tensor explicit along `atoms` as well."""
    wanted = [k for k in sorted(atoms) if k in tensor.axes]
    if not wanted:
        return tensor
    sizes = tensor.atoms
    if tensor.prints.size * math.prod(sizes[k] for k in wanted) > _LARGEST:
        raise TooLargeError
    if tensor.known is not None:
        # Rows that are equal must have equal fingerprints, whatever their index.
        shape = tuple(sizes[k] if k in wanted else 1 for k in range(len(sizes)))
        rest = [k for k in tensor.axes if k not in wanted]
        moved = tensor.known[
            tuple(slice(None) if k in (*wanted, *rest) else slice(1) for k in range(len(sizes)))
        ]
        rows = np.moveaxis(moved, wanted, range(len(wanted)))
        rows = rows.reshape(math.prod(shape), -1)
        prints = np.array([_hash_of(row) for row in rows], np.uint64).reshape(shape)
        return dataclasses.replace(tensor, prints=prints, axes=tuple(rest), known=None)
    prints, axes = tensor.prints, list(tensor.axes)
    for k in wanted:
        index = np.arange(sizes[k]).reshape([-1 if j == k else 1 for j in range(len(sizes))])
        prints = mix(prints, tag("at"), axes.index(k), index)
        axes.remove(k)
    return dataclasses.replace(tensor, prints=prints, axes=tuple(axes))


def _split_atom(tensor: Tensor, atom: int, sizes: Sequence[int]) -> Tensor:
    """Return the tensor with one atom as the product of several, none of them 1."""
    if len(sizes) == 1:
        return tensor
    dim = next(d for d in range(len(tensor.dims)) if atom in tensor.range_of(d))
    inside = atom - tensor.range_of(dim).start
    own = tensor.dims[dim]
    dims = list(tensor.dims)
    dims[dim] = (*own[:inside], *sizes, *own[inside + 1 :])
    if tensor.known is not None:
        return constant(tensor.known, tuple(dims))

    def cut(array: np.ndarray) -> np.ndarray:
        new = sizes if array.shape[atom] > 1 else [1] * len(sizes)
        return array.reshape((*array.shape[:atom], *new, *array.shape[atom + 1 :]))

    prints, more = tensor.prints, len(sizes) - 1
    axes: list[int] = []
    for place, k in enumerate(tensor.axes):
        if k == atom:
            prints = mix(prints, tag(f"split {place} {list(sizes)}"))
            axes += range(atom, atom + len(sizes))
        else:
            axes.append(k if k < atom else k + more)
    return Tensor(tuple(dims), cut(prints), cut(tensor.lowest), cut(tensor.highest), tuple(axes))


def merge(tensor: Tensor, dim: int) -> Tensor:
    """Return the tensor with one atom at most in a dimension."""
    atoms = list(tensor.range_of(dim))
    if len(atoms) < 2:
        return tensor
    size = math.prod(tensor.dims[dim])
    dims = tuple((size,) if d == dim else own for d, own in enumerate(tensor.dims))
    if tensor.known is not None:
        return constant(tensor.known, dims)
    first, last, less = atoms[0], atoms[-1], len(atoms) - 1
    if tensor.explicit.intersection(atoms):
        tensor = _expand(tensor, atoms)
        sizes = tensor.atoms

        def join(array: np.ndarray) -> np.ndarray:
            full = [sizes[k] if k in atoms else n for k, n in enumerate(array.shape)]
            wide = np.broadcast_to(array, full)
            return wide.reshape((*array.shape[:first], size, *array.shape[last + 1 :]))

        axes = tuple(k if k < first else k - less for k in tensor.axes)
        return Tensor(dims, join(tensor.prints), join(tensor.lowest), join(tensor.highest), axes)

    def drop(array: np.ndarray) -> np.ndarray:
        return array.reshape((*array.shape[:first], 1, *array.shape[last + 1 :]))

    symbolic = [k for k in tensor.axes if k in atoms]
    if not symbolic:
        axes = tuple(k if k < first else k - less for k in tensor.axes)
        return Tensor(dims, drop(tensor.prints), drop(tensor.lowest), drop(tensor.highest), axes)
    places = [(tensor.axes.index(k) if k in symbolic else -1, tensor.atoms[k]) for k in atoms]
    prints = mix(tensor.prints, tag(f"merge {places}"))
    renamed = [first if k in symbolic else k if k < first else k - less for k in tensor.axes]
    axes = tuple(dict.fromkeys(renamed))
    return Tensor(dims, drop(prints), drop(tensor.lowest), drop(tensor.highest), axes)


def _steps(atoms: Sequence[int]) -> set[int]:
    """Return how far apart indices of each atom but the outermost are."""
    return {math.prod(atoms[k:]) for k in range(1, len(atoms))}


def _atoms_at(size: int, steps: Iterable[int]) -> tuple[int, ...]:
    """Return the atoms of a size whose indices are `steps` apart, each a multiple of the last."""
    ordered = sorted({1, size, *steps})
    return tuple(large // small for small, large in itertools.pairwise(ordered))[::-1]


def _fits(step: int, steps: Iterable[int]) -> bool:
    """Return whether a step is a multiple or a divisor of each of others."""
    return all(max(step, other) % min(step, other) == 0 for other in steps)


def _with_atoms(tensor: Tensor, dim: int, atoms: tuple[int, ...]) -> Tensor:
    """Return the tensor with a dimension of other atoms, of the same product.

    Only those are merged whose steps the new ones do not have: the batch stays by itself.
    """
    own = tensor.dims[dim]
    if own == atoms:
        return tensor
    shared = _steps(own) & _steps(atoms)

    def runs(sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
        result: list[tuple[int, ...]] = [()]
        for k, size in enumerate(sizes):
            result[-1] = (*result[-1], size)
            if math.prod(sizes[k + 1 :]) in shared and k + 1 < len(sizes):
                result.append(())
        return result

    old, new = runs(own), runs(atoms)
    others = tensor.dims[:dim], tensor.dims[dim + 1 :]
    tensor = dataclasses.replace(tensor, dims=(*others[0], *old, *others[1]))
    for place, sizes in enumerate(new, start=dim):
        if tensor.dims[place] != sizes:
            tensor = merge(tensor, place)
            tensor = _split_atom(tensor, tensor.range_of(place).start, sizes)
    return dataclasses.replace(tensor, dims=(*others[0], atoms, *others[1]))


def _aligned(tensors: Sequence[Tensor], dims: Iterable[int]) -> list[Tensor]:
    """Return tensors with the same atoms in each of `dims`, in which they have the same sizes."""
    result = list(tensors)
    for dim in dims:
        ways = {tensor.dims[dim] for tensor in result}
        if len(ways) > 1:
            steps = set[int]().union(*map(_steps, ways))
            kept = {step for step in steps if _fits(step, steps)}
            atoms = _atoms_at(math.prod(next(iter(ways))), kept)
            result = [_with_atoms(tensor, dim, atoms) for tensor in result]
    return result


def _wider(tensor: Tensor, axes: Sequence[int]) -> np.ndarray:
    """Return the fingerprints as those of functions of more indices."""
    if tuple(axes) == tensor.axes:
        return tensor.prints
    return mix(tensor.prints, tag(f"of {[axes.index(k) for k in tensor.axes]}"))


# Operations


def combine(print_: int, tensors: Sequence[Tensor]) -> Tensor:
    """Return what an operation element by element makes of tensors of one shape."""
    tensors = _aligned(tensors, range(len(tensors[0].dims)))
    explicit = frozenset[int]().union(*(tensor.explicit for tensor in tensors))
    tensors = [_expand(tensor, explicit) for tensor in tensors]
    axes = sorted({k for tensor in tensors for k in tensor.axes})
    sizes = math.prod(tensors[0].atoms[k] for k in explicit)
    if sizes > _LARGEST:
        raise TooLargeError
    return Tensor(
        tensors[0].dims,
        mix(print_, *(_wider(tensor, axes) for tensor in tensors)),
        functools.reduce(np.minimum, (tensor.lowest for tensor in tensors)),
        functools.reduce(np.maximum, (tensor.highest for tensor in tensors)),
        tuple(axes),
    )


def fold(tensor: Tensor, dims: Iterable[int], print_: int, *, idempotent: bool = False) -> Tensor:
    """Return a reduction over dimensions; they stay, of size 1.

    Args:
      idempotent: the reduction of equal elements is the element.
    """
    gone = [k for dim in dims for k in tensor.range_of(dim)]
    prints, lowest, highest = tensor.prints, tensor.lowest, tensor.highest
    repeated = math.prod(
        tensor.atoms[k] for k in gone if k not in tensor.explicit and k not in tensor.axes
    )
    for k in sorted(set(gone) & tensor.explicit):
        size = tensor.atoms[k]
        if idempotent and prints.shape[k] == 1:
            pass
        else:
            wide = np.broadcast_to(
                prints, [size if j == k else n for j, n in enumerate(prints.shape)]
            )
            index = np.arange(size).reshape([-1 if j == k else 1 for j in range(prints.ndim)])
            prints = mix(wide, index).sum(axis=k, keepdims=True, dtype=np.uint64)
        lowest = lowest.min(axis=k, keepdims=True)
        highest = highest.max(axis=k, keepdims=True)
    kept = [k for k in tensor.axes if k not in gone]
    order = sorted(kept)
    roles = [order.index(k) if k in kept else f"r{gone.index(k)}" for k in tensor.axes]
    # Reduced indices are numbered among those that matter.
    numbers = {role: n for n, role in enumerate(r for r in roles if isinstance(r, str))}
    names = [f"r{numbers[role]}" if isinstance(role, str) else str(role) for role in roles]
    repeats = 1 if idempotent else repeated
    prints = mix(prints, print_, tag(f"fold {names} {repeats}"))
    left = [k for k in range(len(tensor.atoms)) if k not in gone]
    places = {k: n for n, k in enumerate(left)}
    done = set(dims)

    def drop(array: np.ndarray) -> np.ndarray:
        return array.reshape([array.shape[k] for k in left])

    return Tensor(
        tuple(() if dim in done else own for dim, own in enumerate(tensor.dims)),
        drop(prints),
        drop(lowest),
        drop(highest),
        tuple(places[k] for k in order),
    )


def transpose(tensor: Tensor, order: Sequence[int]) -> Tensor:
    """Return the tensor with dimension `order[i]` as its dimension i."""
    if tensor.known is not None:
        value = tensor.known.reshape(tensor.shape)
        return constant(value.transpose(order))
    atoms = [k for dim in order for k in tensor.range_of(dim)]
    return Tensor(
        tuple(tensor.dims[dim] for dim in order),
        tensor.prints.transpose(atoms),
        tensor.lowest.transpose(atoms),
        tensor.highest.transpose(atoms),
        tuple(atoms.index(k) for k in tensor.axes),
    )


def expand_dims(tensor: Tensor, shape: Sequence[int], places: Sequence[int]) -> Tensor:
    """Return the tensor broadcast to `shape`; its dimension i becomes dimension `places[i]`."""
    if tensor.known is not None:
        order = sorted(range(len(places)), key=lambda dim: places[dim])
        value = tensor.known.reshape(tensor.shape).transpose(order)
        full = [1] * len(shape)
        for dim, size in zip(order, value.shape, strict=True):
            full[places[dim]] = size
        return constant(np.broadcast_to(value.reshape(full), shape))
    order = sorted(range(len(places)), key=lambda dim: places[dim])
    tensor = transpose(tensor, order)
    dims: list[tuple[int, ...]] = []
    sources: list[int | None] = []  # the old atom of each new one
    for dim, size in enumerate(shape):
        if dim in places:
            old = order.index(places.index(dim))
            if tensor.shape[old] == size:
                dims.append(tensor.dims[old])
                sources += tensor.range_of(old)
                continue
        dims.append((size,) if size != 1 else ())
        sources += [None] * (size != 1)

    def widen(array: np.ndarray) -> np.ndarray:
        return array.reshape([1 if k is None else array.shape[k] for k in sources])

    return Tensor(
        tuple(dims),
        widen(tensor.prints),
        widen(tensor.lowest),
        widen(tensor.highest),
        tuple(sources.index(k) for k in tensor.axes),
    )


def reshape(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the tensor in another shape of as many elements."""
    if tensor.known is not None:
        return constant(tensor.known.reshape(shape))
    old, new = list(tensor.atoms), [size for size in shape if size != 1]
    # Runs of atoms that are a run of new dimensions.
    runs: list[tuple[int, tuple[int, ...]]] = []
    while old:
        left, right = [old.pop(0)], [new.pop(0)]
        while math.prod(left) != math.prod(right):
            if math.prod(left) < math.prod(right):
                left.append(old.pop(0))
            else:
                right.append(new.pop(0))
        runs.append((len(left), tuple(right)))
    flat, position, atoms = [], 0, tensor.atoms
    for count, _ in runs:
        flat.append(tuple(atoms[position : position + count]))
        position += count
    tensor = dataclasses.replace(tensor, dims=tuple(flat))
    for dim, (_, sizes) in enumerate(runs):
        own, wanted = tensor.dims[dim], _steps(sizes)
        kept = {step for step in _steps(own) if _fits(step, wanted)}
        tensor = _with_atoms(tensor, dim, _atoms_at(math.prod(own), kept | wanted))
    rest = list(tensor.atoms)
    dims = []
    for size in shape:
        part: list[int] = []
        while math.prod(part) < size:
            part.append(rest.pop(0))
        dims.append(tuple(part))
    return dataclasses.replace(tensor, dims=tuple(dims))


def pick(tensor: Tensor, dim: int, index: np.ndarray, fill: Tensor | None = None) -> Tensor:
    """Return the tensor with the elements `index` of a dimension; `fill`, a scalar, where it is -1.

    Args:
      index: at least one; int64.
    """
    size = tensor.shape[dim]
    filled = bool((index < 0).any())
    if not filled:
        fill = None
    if len(index) == size and bool((index == np.arange(size)).all()):
        return tensor
    if tensor.known is not None and (fill is None or fill.known is not None):
        value = tensor.known.reshape(tensor.shape).take(np.maximum(index, 0), axis=dim)
        if fill is not None and fill.known is not None:
            hole = (index < 0).reshape([-1 if d == dim else 1 for d in range(value.ndim)])
            value = np.where(hole, fill.known.reshape(()), value)
        return constant(value)
    atoms = tensor.dims[dim]
    if len(atoms) > 1 and not filled and bool((np.diff(index) == 1).all()):
        inner = math.prod(atoms[1:])
        start, outer = divmod(int(index[0]), inner)[1], int(index[0]) // inner
        if start == 0 and len(index) % inner == 0:
            return _pick_atom(
                tensor, tensor.range_of(dim).start, np.arange(outer, outer + len(index) // inner)
            )
        if int(index[-1]) // inner == outer:
            one = _pick_atom(tensor, tensor.range_of(dim).start, np.array([outer]))
            return pick(one, dim, index - outer * inner)
    tensor = merge(tensor, dim)
    if not tensor.dims[dim]:
        if fill is None:
            dims = list(tensor.dims)
            dims[dim] = (len(index),) if len(index) > 1 else ()
            return _insert(tensor, dim, dims)
        # One element among others, as a concatenation.
        dims = list(tensor.dims)
        pieces = [tensor if i >= 0 else _spread(fill, tensor.shape) for i in index]
        return concatenate(pieces, dim)
    return _pick_atom(tensor, tensor.range_of(dim).start, index, fill)


def _insert(tensor: Tensor, dim: int, dims: Sequence[tuple[int, ...]]) -> Tensor:
    """Return the tensor uniform along a dimension that had the size 1."""
    if not dims[dim]:
        return tensor
    place = tensor.range_of(dim).start
    return Tensor(
        tuple(dims),
        np.expand_dims(tensor.prints, place),
        np.expand_dims(tensor.lowest, place),
        np.expand_dims(tensor.highest, place),
        tuple(k if k < place else k + 1 for k in tensor.axes),
    )


def _spread(scalar: Tensor, shape: Sequence[int]) -> Tensor:
    return expand_dims(scalar, shape, ())


def _pick_atom(tensor: Tensor, atom: int, index: np.ndarray, fill: Tensor | None = None) -> Tensor:
    dim = next(d for d in range(len(tensor.dims)) if atom in tensor.range_of(d))
    inside = atom - tensor.range_of(dim).start
    count = len(index)
    own = tensor.dims[dim]
    new = (*own[:inside], *((count,) if count > 1 else ()), *own[inside + 1 :])
    dims = tuple(new if d == dim else other for d, other in enumerate(tensor.dims))
    prints, lowest, highest = tensor.prints, tensor.lowest, tensor.highest
    axes = list(tensor.axes)
    if atom in axes:
        place = axes.index(atom)
        if count == 1 and fill is None:
            prints = mix(prints, tag("at"), place, int(index[0]))
            axes.remove(atom)
        else:
            text = f"pick {place} " + hashlib.sha256(index.astype(np.int64).tobytes()).hexdigest()
            prints = mix(prints, tag(text))
    elif atom in tensor.explicit:
        chosen = np.maximum(index, 0)

        def take(array: np.ndarray) -> np.ndarray:
            return array.take(chosen, axis=atom) if array.shape[atom] > 1 else array

        prints, lowest, highest = take(prints), take(lowest), take(highest)
        if fill is not None:
            hole = (index < 0).reshape([-1 if k == atom else 1 for k in range(prints.ndim)])
            point = (1,) * prints.ndim
            bare = mix(fill.prints.reshape(point), tag("of []")) if axes else fill.prints
            prints = np.where(hole, bare.reshape(point), prints)
            lowest = np.where(hole, fill.lowest.reshape(point), lowest)
            highest = np.where(hole, fill.highest.reshape(point), highest)
            fill = None
    elif fill is not None:
        text = "fill " + hashlib.sha256(index.astype(np.int64).tobytes()).hexdigest()
        prints = mix(_wider(tensor, sorted([*axes, atom])), tag(text))
        axes = sorted([*axes, atom])
    if fill is not None:
        point = (1,) * prints.ndim
        prints = mix(prints, fill.prints.reshape(point))
        lowest = np.minimum(lowest, fill.lowest.reshape(point))
        highest = np.maximum(highest, fill.highest.reshape(point))
    result = Tensor(dims, prints, lowest, highest, tuple(axes))
    if count == 1:

        def drop(array: np.ndarray) -> np.ndarray:
            return array.reshape((*array.shape[:atom], *array.shape[atom + 1 :]))

        axes = [k if k < atom else k - 1 for k in axes]
        result = Tensor(dims, drop(prints), drop(lowest), drop(highest), tuple(axes))
    return result


def concatenate(tensors: Sequence[Tensor], dim: int) -> Tensor:
    """Return tensors one after the other along a dimension."""
    if len(tensors) == 1:
        return tensors[0]
    values = [tensor.value for tensor in tensors]
    if all(value is not None for value in values):
        return constant(np.concatenate([value for value in values if value is not None], dim))
    rank = len(tensors[0].dims)
    others = [d for d in range(rank) if d != dim]
    tensors = _aligned(tensors, others)
    sizes = [tensor.shape[dim] for tensor in tensors]
    if len(set(sizes)) == 1:
        # An explicit outer atom says which of them.
        tensors = _aligned(tensors, [dim])
        stacked = [_outer_atom(tensor, dim) for tensor in tensors]
        return _joined(stacked, stacked[0].range_of(dim).start, explicit=True)
    tensors = [merge(tensor, dim) for tensor in tensors]
    place = tensors[0].range_of(dim).start
    tensors = [
        tensor if tensor.dims[dim] else _outer_atom(tensor, dim, kept=True) for tensor in tensors
    ]
    explicit = any(place in tensor.explicit for tensor in tensors)
    return _joined(tensors, place, explicit=explicit)


def _outer_atom(tensor: Tensor, dim: int, *, kept: bool = False) -> Tensor:
    """Return the tensor with one more atom, of size 1 for now, outermost in a dimension."""
    place = tensor.range_of(dim).start
    dims = list(tensor.dims)
    dims[dim] = (1, *dims[dim])
    return Tensor(
        tuple(dims),
        np.expand_dims(tensor.prints, place),
        np.expand_dims(tensor.lowest, place),
        np.expand_dims(tensor.highest, place),
        tuple(k if k < place else k + 1 for k in tensor.axes),
    )


def _joined(tensors: Sequence[Tensor], atom: int, *, explicit: bool) -> Tensor:
    """Return tensors one after the other along an atom, all other atoms being the same."""
    sizes = [tensor.atoms[atom] for tensor in tensors]
    told = frozenset[int]().union(*(tensor.explicit for tensor in tensors))
    told = told | {atom} if explicit else told - {atom}
    tensors = [_expand(tensor, told) for tensor in tensors]
    axes = sorted({k for tensor in tensors for k in tensor.axes} - ({atom} if explicit else set()))
    if not explicit:
        axes = sorted({*axes, atom})
    first = tensors[0]
    dim = next(d for d in range(len(first.dims)) if atom in first.range_of(d))
    own = list(first.dims[dim])
    own[atom - first.range_of(dim).start] = sum(sizes)
    dims = tuple(tuple(own) if d == dim else other for d, other in enumerate(first.dims))
    full = [first.atoms[k] if k in told else 1 for k in range(len(first.atoms))]

    def along(arrays: Sequence[np.ndarray]) -> np.ndarray:
        wide = [
            np.broadcast_to(array, [*full[:atom], size, *full[atom + 1 :]])
            for array, size in zip(arrays, sizes, strict=True)
        ]
        return np.concatenate(wide, axis=atom)

    prints = [_wider(tensor, axes) for tensor in tensors]
    lowest = [tensor.lowest for tensor in tensors]
    highest = [tensor.highest for tensor in tensors]
    if explicit:
        return Tensor(dims, along(prints), along(lowest), along(highest), tuple(axes))
    return Tensor(
        dims,
        mix(tag(f"concatenate {sizes} along {axes.index(atom)}"), *prints),
        functools.reduce(np.minimum, lowest),
        functools.reduce(np.maximum, highest),
        tuple(axes),
    )


def blur(tensor: Tensor, dim: int, size: int, print_: int) -> Tensor:
    """Return a tensor of `size` elements along a dimension, each made of any of those there."""
    tensor = merge(tensor, dim)
    if tensor.explicit.intersection(tensor.range_of(dim)):
        tensor = fold(tensor, [dim], print_)
    if not tensor.dims[dim]:
        if size == 1:
            return dataclasses.replace(tensor, prints=mix(tensor.prints, print_), known=None)
        dims = list(tensor.dims)
        dims[dim] = (size,)
        tensor = _insert(tensor, dim, dims)
    place = tensor.range_of(dim).start
    axes = sorted({*tensor.axes, place})
    result = Tensor(
        tuple((size,) if d == dim else own for d, own in enumerate(tensor.dims)),
        mix(_wider(tensor, axes), print_),
        tensor.lowest,
        tensor.highest,
        tuple(axes),
    )
    return _pick_atom(result, place, np.array([0])) if size == 1 else result
