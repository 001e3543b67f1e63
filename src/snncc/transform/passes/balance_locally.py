# SPDX-License-Identifier: Apache-2.0
"""The pass `balance_locally`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from snncc.calibrate.statistics import rebatched
from snncc.calibrate.threshold_error import observations
from snncc.ir.network import Network
from snncc.transform.base import Context, Fidelity, Granularity, transform
from snncc.transform.thresholds import activation_requests, neurons, with_thresholds


@transform(fidelity=Fidelity.EMPIRICAL, needs={"neurons"}, gives={"thresholds"})
def balance_locally(
    net: Network,
    ctx: Context,
    *,
    granularity: Granularity = "channel",
    eta: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5,
    updates: Annotated[int, msgspec.Meta(ge=1, le=100000)] = 128,
) -> Network:
    """Let each threshold follow the activations that exceed it, batch by batch, from 0.

        th <- th + 2 eta mean((x - th) [x > th])

    x are the ANN's activations (leaky neurons: magnitudes of the pre-activation); it is gradient descent on
    E (x - clip(x, 0, th))^2. Rare outliers move a threshold little: it grows about as the logarithm of the number of
    batches, so eta and `updates` set how low it stays. A saturating activation caps it.

    Options    granularity = layer | channel | neuron; eta; updates: batches of up to 64 samples, the
               data again and again
    Shapes     threshold: (1, ...), extent 1 where one value is shared
    Guarantee  measured; depends on the order of the samples
    Refuses    nothing; neurons that were never active get threshold 0 and never fire (noted)
    Source     arXiv:2409.03368
    """
    requests = activation_requests(net, ctx, granularity)
    shapes = {r: s.max.shape for r, s in ctx.statistics(requests.values()).items()}
    names = list(dict.fromkeys(r.value for r in shapes))
    axes = {r.value: r.batch_axis for r in shapes}
    levels = {r: np.zeros(int(np.prod(shape))) for r, shape in shapes.items()}
    done = 0
    while done < updates:
        for feeds in rebatched(ctx.values, ctx.calibration.batches(ctx.batch_size), names, axes):
            found = ctx.values.run(feeds, names, batch_axes=axes)
            for request, level in levels.items():
                rows = observations(found[request.value], request, shapes[request])
                excess = (np.abs(rows) if request.absolute else rows) - level[:, None].astype(rows.dtype)
                level += 2 * eta * np.maximum(excess, 0, out=excess).mean(1, dtype=np.float64)
            done += 1
            ctx.progress("balancing thresholds", done, updates)
            if done == updates:
                break
    shaped = {n.name: ctx.shaped(levels[requests[n.name]].reshape(shapes[requests[n.name]]), n) for n in neurons(net)}
    return with_thresholds(net, ctx, shaped)
