"""A changed voice, harder to recognise: another pitch, and other resonances, which differ from moment to moment.

A voice is told by its pitch and by its resonances. Pitch alone is moved by one number, which can be guessed. So the
resonances are moved as well, after McAdams: the angle of each pole of the linear prediction is raised to a power
(Patino and others, "Speaker anonymisation using the McAdams coefficient", 2021). That power wanders, drawn from the
system's own randomness and kept nowhere: no one number takes it back. What is above 8 kHz is gone.
"""

import random
import secrets
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any, Final

import av
import numpy as np
import numpy.fft
import numpy.linalg
import numpy.typing as npt
from av.filter import Graph

from firsthand.services.archive.process.filters import pulled, ready

RATE: Final = 16_000  # samples a second
_LONG: Final = 512  # samples of a frame: 32 ms, as is usual for speech
_STEP: Final = _LONG // 2
_WHOLE: Final = 2 * _LONG  # of a transform, so that what rings on does not wrap around
_ORDER: Final = 20  # of the prediction at this rate: a pair of poles for each kHz, and two
_WEIGHT: Final = 1.001  # of the first autocorrelation, so that silence can be solved
_RADIUS: Final = 0.98  # of the poles, at most: what rings longer than a frame is no resonance of a voice
_POWERS: Final = (0.70, 0.92)  # between these the power wanders; 1 changes nothing
_EVERY: Final = (12, 50)  # frames from one power to the next: 0.2 to 0.8 seconds
_PITCHES: Final = ((0.80, 0.88), (1.14, 1.25))  # of the pitch that was; what lies between is too near to it
_AT_ONCE: Final = 125  # frames: two seconds
_CHANCE: Final = secrets.SystemRandom()
_QUIET: Final = 1e-9  # added where silence would divide by nought

Reals = npt.NDArray[np.float64]
_WINDOW: Final[Reals] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_LONG) / _LONG)
_DELAY: Final = np.exp(-2j * np.pi * np.arange(_WHOLE // 2 + 1) / _WHOLE)  # of one sample, at each frequency
_DELAYS: Final = _DELAY ** np.arange(_ORDER + 1)[:, np.newaxis]


def changed(sound: Iterator[Any], rate: int, chance: random.Random = _CHANCE) -> Iterator[Any]:
    """Change the voices in `sound`, planar floating-point frames of one channel and this rate, which begin at nought
    and have no gaps. What comes is of the same form, and as long to a sample of 16 kHz.
    """
    pitch = round(RATE * chance.uniform(*chance.choice(_PITCHES)))
    down = _chain(
        rate,
        ("aresample", f"{RATE}"),
        ("asetrate", f"{pitch}"),
        ("atempo", f"{RATE / pitch:.6f}"),
        ("aresample", f"{RATE}"),
        ("aformat", "sample_fmts=fltp"),
    )
    came = 0

    def counted() -> Iterator[Any]:
        nonlocal came
        for frame in sound:
            came += frame.samples
            yield frame

    def whole() -> int:
        return -(-came * RATE // rate)

    # What a broken file has instead of numbers is silence.
    heard = (np.nan_to_num(frame.to_ndarray()[0], posinf=0, neginf=0) for frame in _through(down, counted()))
    up = _chain(RATE, ("aresample", f"{rate}"), ("aformat", "sample_fmts=fltp"))
    yield from _through(up, _frames(_fitted(_warped(heard, _powers(chance)), whole)))


def _chain(rate: int, *filters: tuple[str, str]) -> Graph:
    graph = Graph()
    source = graph.add_abuffer(sample_rate=rate, format="fltp", layout="mono", time_base=Fraction(1, rate))
    return ready(graph, [source, *(graph.add(*one) for one in filters), graph.add("abuffersink")])


def _through(graph: Graph, frames: Iterator[Any]) -> Iterator[Any]:
    for frame in frames:
        yield from pulled(graph, frame)
    yield from pulled(graph, None)


def _frames(pieces: Iterator[Reals]) -> Iterator[Any]:
    at = 0
    for piece in pieces:
        if not len(piece):
            continue
        frame = av.AudioFrame.from_ndarray(piece.astype(np.float32)[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at
        at += len(piece)
        yield frame


def _fitted(pieces: Iterator[Reals], whole: Callable[[], int]) -> Iterator[Reals]:
    """Give as many samples as `whole` says that there are, at the end exactly so many."""
    given, kept = 0, np.zeros(0)
    for piece in pieces:
        kept = np.concatenate((kept, piece))
        now, kept = np.split(kept, [min(len(kept), whole() - given)])
        given += len(now)
        yield now
    rest = whole() - given
    yield np.pad(kept[:rest], (0, max(0, rest - len(kept))))


def _warped(pieces: Iterator[Reals], powers: Iterator[float]) -> Iterator[Reals]:
    """Move the resonances, frame by frame; each begins half a frame after the one before, and they are added up."""
    waiting, tail = np.zeros(_STEP), np.zeros(_WHOLE)
    first = True
    for piece in chain(pieces, (np.zeros(_WHOLE),)):
        waiting = np.concatenate((waiting, piece))
        while (count := min(_AT_ONCE, (len(waiting) - _STEP) // _STEP)) > 0:
            frames = np.stack([waiting[_STEP * n : _STEP * n + _LONG] for n in range(count)])
            waiting = waiting[_STEP * count :]
            made = _moved(frames * _WINDOW, np.array([next(powers) for _ in range(count)]))
            for one in made:
                tail += one
                now, tail = tail[:_STEP], np.concatenate((tail[_STEP:], np.zeros(_STEP)))
                if not first:  # which came before the beginning
                    yield now
                first = False


def _powers(chance: random.Random) -> Iterator[float]:
    """How each frame is changed: from one power to the next, in a line."""
    now = chance.uniform(*_POWERS)
    while True:
        after = chance.uniform(*_POWERS)
        yield from np.linspace(now, after, chance.randint(*_EVERY), endpoint=False).tolist()
        now = after


def _moved(frames: Reals, powers: Reals) -> Reals:
    """Move the resonances of frames, a row each; they ring on to twice their length."""
    spectra = np.fft.rfft(frames, _WHOLE)
    prediction = _prediction(np.fft.irfft(np.abs(spectra) ** 2)[:, : _ORDER + 1])
    companions = np.zeros((len(frames), _ORDER, _ORDER))
    companions[:, 0], companions[:, range(1, _ORDER), range(_ORDER - 1)] = -prediction[:, 1:], 1
    poles = np.linalg.eigvals(companions)
    angles = np.abs(np.angle(poles))
    turned = np.where(np.abs(poles.imag) > 0, angles ** powers[:, np.newaxis], angles)
    poles = np.minimum(np.abs(poles), _RADIUS) * np.exp(1j * np.copysign(np.minimum(turned, np.pi), poles.imag))
    resonances = np.prod(1 - poles[:, :, np.newaxis] * _DELAY, axis=1)
    said = np.fft.irfft(spectra * (prediction @ _DELAYS) / resonances)
    loud, was = np.sqrt(np.sum(said**2, axis=1)), np.sqrt(np.sum(frames**2, axis=1))
    moved: Reals = said * (was / np.maximum(loud, _QUIET))[:, np.newaxis]
    return moved


def _prediction(correlations: Reals) -> Reals:
    """The linear prediction of each row, by Levinson and Durbin; its first coefficient is 1."""
    left = correlations[:, 0] * _WEIGHT + _QUIET
    found = np.zeros_like(correlations)
    found[:, 0] = 1
    for order in range(1, correlations.shape[1]):
        reflection = -np.sum(found[:, :order] * correlations[:, order:0:-1], axis=1) / left
        found[:, 1 : order + 1] += reflection[:, np.newaxis] * found[:, order - 1 :: -1]
        left = left * (1 - reflection**2)
    return found
