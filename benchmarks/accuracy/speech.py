# SPDX-License-Identifier: Apache-2.0
"""MFCC features of the spoken digits, as the keyword-spotting network of MLPerf Tiny takes them: 49 x 10 a second.

Sound is resampled linearly from 8 to 16 kHz, cut or padded with silence to one second; Hann windows of 30 ms every
20 ms, magnitudes of an FFT of 512, 40 triangular mel bands from 20 to 4,000 Hz (mel = 1127 ln(1 + f / 700)), logarithm
of the energies plus 1e-6, and the first ten coefficients of the orthonormal DCT-II without its factor for the zeroth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE, WINDOW, STRIDE, FRAMES, SIZE = 16000, 480, 320, 49, 512
BANDS, COEFFICIENTS = 40, 10


def mel(frequency: np.ndarray | float) -> np.ndarray:
    """Frequencies in Hz on the mel scale."""
    return np.asarray(1127 * np.log1p(np.asarray(frequency) / 700))


def bands() -> np.ndarray:
    """The weights of the mel bands, (SIZE / 2 + 1, BANDS)."""
    places = mel(np.linspace(0, RATE / 2, SIZE // 2 + 1))[:, None]
    edges = np.linspace(mel(20.0), mel(4000.0), BANDS + 2)
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


def mfcc(wave: np.ndarray) -> np.ndarray:
    """(49, 10) float32 features of a recording at 8 kHz, int16."""
    sound = np.interp(np.arange(RATE) / 2, np.arange(len(wave)), wave / 32768, right=0.0)
    frames = np.stack([sound[i * STRIDE : i * STRIDE + WINDOW] for i in range(FRAMES)]) * np.hanning(WINDOW)
    energies = np.log(np.abs(np.fft.rfft(frames, SIZE)) @ bands() + 1e-6)
    order, band = np.arange(COEFFICIENTS), np.arange(BANDS)[:, None]
    basis = np.cos(np.pi / BANDS * (band + 0.5) * order) * np.sqrt(2 / BANDS)
    return np.asarray(energies @ basis, np.float32)


def spoken_digits(folder: Path, count: int, seed: int = 0) -> np.ndarray:
    """(count, 49, 10, 1) features of randomly chosen recordings."""
    with np.load(folder / "fsdd_train.npz") as arrays:
        sound, lengths = arrays["wave"], arrays["length"]
    ends = np.cumsum(lengths)
    chosen = np.random.default_rng(seed).permutation(len(ends))[:count]
    waves = [sound[ends[i] - lengths[i] : ends[i]] for i in chosen]
    return np.stack([mfcc(wave) for wave in waves])[..., None]
