# SPDX-License-Identifier: Apache-2.0
"""Functions of `Operator` nodes that pick and place entries, in torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def whole(index: Tensor) -> Tensor:
    """Indices as integers; those that were transmitted as rates are close to whole numbers."""
    return torch.round(index).long() if index.is_floating_point() else index.long()


def within(index: Tensor, size: int) -> Tensor:
    """Indices along an axis of `size` entries; negative ones count from the end."""
    i = whole(index)
    return torch.where(i < 0, i + size, i)


def gather_elements(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """y[i][j] = x[index[i][j]][j] for axis 0, and so on."""
    return x.gather(axis, within(index, x.shape[axis]))


def scatter_elements(x: Tensor, index: Tensor, updates: Tensor, *, axis: int, reduction: str) -> Tensor:
    """x with x[index[i][j]][j] = updates[i][j] (axis 0), or with that added ("add")."""
    i = within(index, x.shape[axis])
    return x.scatter_add(axis, i, updates) if reduction == "add" else x.scatter(axis, i, updates)


def combine_elements(x: Tensor, index: Tensor, updates: Tensor, *, axis: int, reduction: str) -> Tensor:
    """As `scatter_elements`, the old and the new entry multiplied ("mul"), or the larger or smaller one taken."""
    how = {"mul": "prod", "max": "amax", "min": "amin"}[reduction]
    return x.scatter_reduce(axis, within(index, x.shape[axis]), updates, how)


def flat_index(index: Tensor, extents: Sequence[int]) -> Tensor:
    """Coordinates on the last axis as positions in an array of these extents."""
    position = torch.zeros_like(index[..., 0], dtype=torch.long)
    for i, extent in enumerate(extents):
        position = position * extent + within(index[..., i], extent)
    return position


def gather_nd(x: Tensor, index: Tensor, *, batch_dims: int) -> Tensor:
    """The slices x[..., *index[..., m, :]], the first `batch_dims` axes in common."""
    lead, rest = x.shape[:batch_dims], x.shape[batch_dims + index.shape[-1] :]
    extents = x.shape[batch_dims : batch_dims + index.shape[-1]]
    shape = (*index.shape[:-1], *rest)
    flat = x.reshape(lead.numel(), torch.Size(extents).numel(), rest.numel())
    position = flat_index(index, extents).reshape(flat.shape[0], -1, 1)
    return flat.gather(1, position.expand(-1, -1, flat.shape[2])).reshape(shape)


def scatter_nd(x: Tensor, index: Tensor, updates: Tensor, *, reduction: str) -> Tensor:
    """x with the slices x[*index[m, :]] = updates[m], or with those added ("add")."""
    count = index.shape[-1]
    flat = x.reshape(x.shape[:count].numel(), x.shape[count:].numel())
    position = flat_index(index, x.shape[:count]).reshape(-1)
    new = updates.reshape(position.shape[0], -1)
    y = flat.index_add(0, position, new) if reduction == "add" else flat.index_copy(0, position, new)
    return y.reshape(x.shape)


def combine_nd(x: Tensor, index: Tensor, updates: Tensor, *, reduction: str) -> Tensor:
    """As `scatter_nd`, the old and the new slice multiplied ("mul"), or the larger or smaller entries taken."""
    count = index.shape[-1]
    flat = x.reshape(x.shape[:count].numel(), x.shape[count:].numel())
    position = flat_index(index, x.shape[:count]).reshape(-1)
    how = {"mul": "prod", "max": "amax", "min": "amin"}[reduction]
    new = updates.reshape(position.shape[0], -1)
    return flat.scatter_reduce(0, position.unsqueeze(1).expand(new.shape), new, how).reshape(x.shape)


def top_values(x: Tensor, *, k: int, axis: int, largest: bool) -> Tensor:
    """The k largest (or smallest) entries along `axis`, in order."""
    return torch.sort(x, dim=axis, descending=largest, stable=True).values.narrow(axis, 0, k)


def top_indices(x: Tensor, *, k: int, axis: int, largest: bool) -> Tensor:
    """Where the k largest (or smallest) entries along `axis` are, in order; of equals the first comes first."""
    return torch.sort(x, dim=axis, descending=largest, stable=True).indices.narrow(axis, 0, k)


def one_hot(index: Tensor, values: Tensor, *, depth: int, axis: int) -> Tensor:
    """values[1] where a new axis of extent `depth` is at the index, values[0] elsewhere."""
    shape = [1] * (index.ndim + 1)
    shape[axis] = depth
    places = torch.arange(depth, device=index.device).reshape(shape)
    return torch.where(within(index, depth).unsqueeze(axis) == places, values[1], values[0])


def reverse_sequence(x: Tensor, lengths: Tensor, *, batch_axis: int, time_axis: int) -> Tensor:
    """The first lengths[b] entries along the time axis in reverse order, for each b of the batch axis."""
    time = torch.arange(x.shape[time_axis], device=x.device)
    ends = whole(lengths).unsqueeze(-1)
    source = torch.where(time < ends, ends - 1 - time, time)
    shape = [1] * x.ndim
    shape[batch_axis], shape[time_axis] = x.shape[batch_axis], x.shape[time_axis]
    source = (source if batch_axis < time_axis else source.T).reshape(shape)
    return x.gather(time_axis, source.expand(x.shape))


def max_unpool(x: Tensor, index: Tensor, *, extents: Sequence[int]) -> Tensor:
    """Zeros of `extents` per sample, x at the flat places `index` (which count on over samples)."""
    size = 1
    for extent in extents[1:]:
        size *= extent
    flat = x.new_zeros((x.shape[0], size))
    place = (whole(index) % size).reshape(x.shape[0], -1)
    return flat.scatter(1, place, x.reshape(x.shape[0], -1)).reshape(-1, *extents[1:])


def grid_sample(x: Tensor, grid: Tensor, *, mode: str, padding_mode: str, align_corners: bool) -> Tensor:
    """x at the points of a grid, whose coordinates -1 and 1 are the corners (or the outer edges of the corners)."""
    return F.grid_sample(x, grid.to(x.dtype), mode=mode, padding_mode=padding_mode, align_corners=align_corners)
