"""Pictures of anything at all, for the VAE: what it never saw it could not reconstruct for a LoRA either.

Coloured noise with the spectrum of photographs, gradients, textures, heaps of shapes in every colour and pattern,
thin lines and raw noise, at all scales. No theme is among them, only the colours and shapes that anything is made of.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lorasweep.randomness import random_for
from lorasweep.toy.backgrounds import BACKGROUNDS, paint_background
from lorasweep.toy.drawing import PATTERNS, Canvas, Paint
from lorasweep.toy.palette import COLORS, RGB, shade


def draw_anything(index: int, *, seed: int = 0) -> Image.Image:
    """Return picture number `index` of the world of everything, RGB, 64x64 pixels."""
    draw = random_for(seed, "anything", index)
    kind = draw.choices((_shapes, _cloudy, _texture, _lines), (6, 3, 1, 2))[0]
    size = (64, 64)
    picture = kind(size, draw)
    if draw.random() < 0.15:
        grain = np.random.default_rng(draw.getrandbits(32)).normal(0, draw.uniform(4, 40), (size[1], size[0], 3))
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
    if draw.random() < 0.15:
        picture = picture.filter(ImageFilter.GaussianBlur(draw.uniform(0.5, 2.5)))
    return picture


def _color(draw: random.Random) -> RGB:
    if draw.random() < 0.5:
        return shade(draw.choice(tuple(COLORS)), draw, 20)
    return draw.randint(0, 255), draw.randint(0, 255), draw.randint(0, 255)


def _spectral(size: tuple[int, int], noise: np.random.Generator, power: float) -> NDArray[np.float64]:
    """Return a smooth random field in 0..1: white noise whose amplitudes fall with frequency to the `power`."""
    width, height = size
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.maximum(np.hypot(fx, fy), 1 / max(size))
    field = np.fft.irfft2(np.fft.rfft2(noise.normal(size=(height, width))) / radius**power, s=(height, width))
    return (field - field.min()) / max(1e-9, np.ptp(field))


def _cloudy(size: tuple[int, int], draw: random.Random) -> Image.Image:
    """Photograph-like: three colours blended by fields with a natural spectrum."""
    noise = np.random.default_rng(draw.getrandbits(32))
    power = draw.uniform(0.8, 2.2)
    picture = np.zeros((size[1], size[0], 3)) + np.array(_color(draw))
    for _ in range(3):
        share = _spectral(size, noise, power)
        if draw.random() < 0.4:
            share = (share > draw.uniform(0.4, 0.6)).astype(float)
        picture = picture * (1 - share[..., None]) + np.array(_color(draw)) * share[..., None]
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _texture(size: tuple[int, int], draw: random.Random) -> Image.Image:
    canvas = Canvas(size, draw)
    canvas.place(0, 0.5, draw.uniform(0.3, 2.5))
    canvas.box(0, 0, 3, 3, Paint(_color(draw), draw.choice(PATTERNS[1:])))
    return canvas.finish()


def _lines(size: tuple[int, int], draw: random.Random) -> Image.Image:
    canvas = Canvas(size, draw)
    canvas.box(0, 0.5, 3, 3, Paint(_color(draw)))
    for _ in range(draw.randint(3, 30)):
        ends = [(draw.uniform(-0.6, 0.6), draw.uniform(0, 1)) for _ in range(draw.choice((2, 2, 3)))]
        canvas.line(ends, draw.choice((0.01, 0.02, 0.04)), _color(draw))
    return canvas.finish()


def _shapes(size: tuple[int, int], draw: random.Random) -> Image.Image:
    canvas = Canvas(size, draw)
    if draw.random() < 0.5:
        paint_background(canvas, draw.choice(BACKGROUNDS))
    else:
        canvas.box(0, 0.5, 3, 3, Paint(_color(draw), draw.choice(PATTERNS)))
    scale = draw.choice((0.3, 0.6, 1.0))
    for _ in range(draw.randint(2, 24)):
        canvas.place(draw.uniform(-0.5, 0.5), draw.uniform(0, 1), scale * draw.uniform(0.3, 1.2))
        paint = Paint(_color(draw), draw.choice(PATTERNS), draw.random() < 0.6)
        kind = draw.randrange(5)
        if kind == 0:
            canvas.ellipse(0, 0, draw.uniform(0.05, 0.3), draw.uniform(0.05, 0.3), paint, draw.uniform(0, 3))
        elif kind == 1:
            corners = [(draw.uniform(-0.3, 0.3), draw.uniform(-0.3, 0.3)) for _ in range(draw.randint(3, 6))]
            canvas.polygon(corners, paint)
        elif kind == 2:
            way = [(draw.uniform(-0.3, 0.3), draw.uniform(-0.3, 0.3)) for _ in range(3)]
            canvas.limb(way, draw.uniform(0.02, 0.12), paint)
        elif kind == 3:
            canvas.glow([(-0.2, draw.uniform(-0.3, 0.3)), (0.2, 0)], draw.uniform(0.03, 0.1), _color(draw))
        else:  # a pair of eyes, the detail that small VAEs lose first
            for side in (-1, 1):
                canvas.ellipse(side * 0.12, 0, 0.09, 0.1, Paint((255, 255, 255)))
                canvas.ellipse(side * 0.12, 0, 0.05, 0.05, Paint(_color(draw), outline=False))
    return canvas.finish()
