"""A changed voice, attacked: who spoke is looked for among voices that are known, after undoing a shift of pitch.

What these tests cannot show: that people who know somebody do not know the voice again, and what a program finds that
was trained with voices changed in this very way. docs/decisions/0043-hiding.md says what was measured.
"""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.filter import Graph

from firsthand.services.archive.process.filters import pulled, ready
from firsthand.services.archive.process.voice import RATE, changed

Reals = npt.NDArray[np.float64]

# Formants of five vowels of an average voice, in Hz (after Peterson and Barney, 1952).
_VOWELS: Final = ((730, 1090, 2440, 3400), (270, 2290, 3010, 3500), (300, 870, 2240, 3300), (530, 1840, 2480, 3500),
                  (570, 840, 2410, 3300))  # fmt: skip
# Pitch in Hz, and how much shorter than the average the throat is.
_SPEAKERS: Final = [(95 + 18 * n, 0.82 + 0.06 * (3 * n % 8)) for n in range(8)]
_SHIFTS: Final = (0.80, 0.84, 0.88, 1.0, 1.14, 1.19, 1.25)
_LONG, _HOP, _BANDS = 512, 256, 24


def spoken(speaker: tuple[float, float], seed: int, seconds: float = 5.0) -> Reals:
    """Vowels in some order, by a voice: pulses of the glottis through resonances of the throat."""
    chance = random.Random(seed)
    pitch, shorter = speaker
    parts, vowels = [], [_VOWELS[n % len(_VOWELS)] for n in range(int(seconds / 0.2))]
    chance.shuffle(vowels)
    for vowel in vowels:
        count = RATE // 5
        tone = pitch * (1 + 0.1 * (chance.random() - 0.5))
        phase = np.cumsum(np.full(count, tone / RATE))
        pulses = np.diff(np.floor(phase), prepend=0.0) + 0.003 * np.array([chance.gauss(0, 1) for _ in range(count)])
        response = np.ones(RATE // 2 + 1, complex)
        bins = np.exp(-2j * np.pi * np.arange(RATE // 2 + 1) / RATE)
        for number, formant in enumerate(vowel):
            at, wide = formant * shorter, 60 + 40 * number
            pole = np.exp(-np.pi * wide / RATE + 2j * np.pi * at / RATE)
            response /= (1 - pole * bins) * (1 - pole.conjugate() * bins)
        parts.append(np.fft.irfft(np.fft.rfft(pulses, RATE) * response / (1 - 0.9 * bins))[:count])
    sound = np.concatenate(parts)
    return np.asarray(0.3 * sound / np.max(np.abs(sound)))


def frames(sound: Reals, rate: int) -> Iterator[Any]:
    for at in range(0, len(sound), 240):
        frame = av.AudioFrame.from_ndarray(sound[np.newaxis, at : at + 240].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        yield frame


def joined(given: Iterator[Any]) -> Reals:
    return np.concatenate([frame.to_ndarray()[0] for frame in given]).astype(np.float64)


def with_other_voice(sound: Reals, rate: int = RATE, seed: int = 0) -> Reals:
    return joined(changed(frames(sound, rate), rate, random.Random(seed)))


def shifted(sound: Reals, by: float) -> Reals:
    """Move pitch and resonances by one number, as a plain voice changer does; and as one undoes it."""
    graph, moved = Graph(), round(RATE * by)
    source = graph.add_abuffer(sample_rate=RATE, format="fltp", layout="mono", time_base=Fraction(1, RATE))
    steps = [("asetrate", f"{moved}"), ("atempo", f"{RATE / moved:.6f}"), ("aresample", f"{RATE}"),
             ("aformat", "sample_fmts=fltp"), ("abuffersink", "")]  # fmt: skip
    ready(graph, [source, *(graph.add(*step) for step in steps)])
    return joined(one for frame in [*frames(sound, RATE), None] for one in pulled(graph, frame))


def portrait(sound: Reals) -> Reals:
    """What of a voice stays over all that it says: the mean and the spread of its spectrum, in bands as ears hear."""
    count = len(sound) // _HOP - 1
    cut = np.stack([sound[_HOP * n : _HOP * n + _LONG] for n in range(count)]) * np.hanning(_LONG)
    power = np.abs(np.fft.rfft(cut, 2 * _LONG)) ** 2
    heard = 2595 * np.log10(1 + np.arange(_LONG + 1) * RATE / (2 * _LONG) / 700)
    edges = np.linspace(150, 2840, _BANDS + 2)
    bands = [np.clip(np.minimum((heard - low) / (mid - low), (high - heard) / (high - mid)), 0, None)
             for low, mid, high in zip(edges, edges[1:], edges[2:], strict=False)]  # fmt: skip
    levels = np.log(power @ np.stack(bands).T + 1e-9)
    loud = power.sum(axis=1)
    levels = levels[loud > 0.003 * loud.max()]
    levels -= levels.mean(axis=1, keepdims=True)
    return np.concatenate([levels.mean(axis=0), 0.5 * levels.std(axis=0)])


@pytest.fixture(scope="module")
def known() -> list[Reals]:
    return [portrait(spoken(speaker, 1000 + number)) for number, speaker in enumerate(_SPEAKERS)]


def recognised(known: list[Reals], change: Callable[[Reals], Reals]) -> int:
    """How many speakers are found by whoever undoes every shift of pitch and takes the nearest voice."""
    found = 0
    for number, speaker in enumerate(_SPEAKERS):
        heard = change(spoken(speaker, 2000 + number))
        tries = [portrait(shifted(heard, 1 / by)) for by in _SHIFTS]
        nearest = [min(float(np.linalg.norm(one - voice)) for one in tries) for voice in known]
        found += int(np.argmin(nearest)) == number
    return found


def test_who_undoes_a_plain_shift_of_pitch_knows_everybody_again(known: list[Reals]) -> None:
    assert recognised(known, lambda sound: shifted(sound, 0.84)) == len(_SPEAKERS)


@pytest.mark.parametrize("seed", [1, 2])
def test_who_undoes_a_shift_does_not_know_a_changed_voice_again(known: list[Reals], seed: int) -> None:
    assert recognised(known, lambda sound: with_other_voice(sound, seed=seed)) <= 3


def test_a_voice_is_changed_otherwise_each_time() -> None:
    sound = spoken(_SPEAKERS[3], 5, seconds=2)
    once, again = (joined(changed(frames(sound, RATE), RATE)) for _ in range(2))
    assert not np.allclose(once, again, atol=0.01)


@pytest.mark.parametrize(("rate", "samples"), [(48_000, 48_000), (48_000, 123_457), (16_000, 1_000), (48_000, 2_000)])
def test_it_stays_as_long_and_silence_stays_where_it_was(rate: int, samples: int) -> None:
    sound = np.zeros(samples)
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(rate // 4) / rate)
    begins = samples // 2
    sound[begins:] = (
        tone[: samples - begins] if samples - begins <= len(tone) else np.pad(tone, (0, samples - begins - len(tone)))
    )
    made = with_other_voice(sound, rate)
    assert abs(len(made) - samples) <= rate // RATE
    assert np.all(np.isfinite(made))
    if samples >= rate:
        loud = np.flatnonzero(np.abs(made) > 0.05) / rate
        assert loud[0] == pytest.approx(begins / rate, abs=0.04)  # a twenty-fifth of a second is not seen on lips
        assert loud[-1] == pytest.approx(begins / rate + 0.25, abs=0.06)


def test_what_is_loud_and_broken_stays_within_bounds() -> None:
    chance = np.random.default_rng(3)
    for sound in (np.ones(RATE), chance.uniform(-1, 1, RATE), np.tile([1.0, -1.0], RATE // 2), np.zeros(RATE)):
        made = with_other_voice(sound)
        assert np.all(np.isfinite(made))
        assert np.sqrt(np.mean(made**2)) <= 1.5 * max(np.sqrt(np.mean(sound**2)), 0.001)
