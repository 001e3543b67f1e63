# SPDX-License-Identifier: Apache-2.0
"""The passes, in the order in which they usually stand in a recipe."""

from __future__ import annotations

from snncc.transform.base import Transform
from snncc.transform.passes.absorb_amplitudes import absorb_amplitudes
from snncc.transform.passes.absorb_batchnorm import absorb_batchnorm
from snncc.transform.passes.balance_locally import balance_locally
from snncc.transform.passes.balance_thresholds import balance_thresholds
from snncc.transform.passes.convert_quantized import convert_quantized
from snncc.transform.passes.correct_bias import correct_bias
from snncc.transform.passes.delay_readout import delay_readout
from snncc.transform.passes.encode_poisson import encode_poisson
from snncc.transform.passes.encode_uniform import encode_uniform
from snncc.transform.passes.fire_outputs import fire_outputs
from snncc.transform.passes.fold_batchnorm import fold_batchnorm
from snncc.transform.passes.initialize_membrane import initialize_membrane
from snncc.transform.passes.match_currents import match_currents
from snncc.transform.passes.measure_spike_confidence import measure_spike_confidence
from snncc.transform.passes.minimize_threshold_error import minimize_threshold_error
from snncc.transform.passes.quantize_activations import quantize_activations
from snncc.transform.passes.recognize_quantized_activations import recognize_quantized_activations
from snncc.transform.passes.rewrite_functions import rewrite_functions
from snncc.transform.passes.rewrite_max_pooling import rewrite_max_pooling
from snncc.transform.passes.round_thresholds import round_thresholds
from snncc.transform.passes.select_adaptive_neuron import select_adaptive_neuron
from snncc.transform.passes.select_multistage_neuron import select_multistage_neuron
from snncc.transform.passes.select_neuron import select_neuron
from snncc.transform.passes.shift_clips import shift_clips
from snncc.transform.passes.spike_functions import spike_functions

TRANSFORMS: tuple[Transform, ...] = (
    recognize_quantized_activations,
    absorb_batchnorm,
    fold_batchnorm,
    shift_clips,
    rewrite_max_pooling,
    rewrite_functions,
    quantize_activations,
    convert_quantized,
    round_thresholds,
    select_neuron,
    select_adaptive_neuron,
    select_multistage_neuron,
    encode_poisson,
    encode_uniform,
    fire_outputs,
    balance_thresholds,
    minimize_threshold_error,
    balance_locally,
    initialize_membrane,
    measure_spike_confidence,
    match_currents,
    correct_bias,
    delay_readout,
    spike_functions,
    absorb_amplitudes,
)
