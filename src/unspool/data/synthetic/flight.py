"""The physics of a ball in a box: along each axis it falls, and bounces off both walls without a loss."""

from typing import NamedTuple

import torch
from torch import Tensor


class Ball(NamedTuple):
    """Where balls are, in box widths, and how fast, in box widths a frame; (..., 2) each: across and up."""

    place: Tensor
    speed: Tensor


def fly(ball: Ball, pull: Tensor, time: float = 1.0) -> Ball:
    """The ball after that many frames, exactly: every bounce is met at its own moment.

    `pull` is the acceleration towards 0, in box widths a frame squared. Energy, speed**2 / 2 + pull * place, stays.

    >>> one = Ball(torch.tensor([0.9, 0.1]), torch.tensor([0.2, -0.3]))
    >>> [round(float(v), 3) for v in fly(one, torch.zeros(2)).place]
    [0.9, 0.2]
    """
    place, speed = ball
    left = torch.full_like(place, time)
    while bool((left > 0).any()):
        root = (speed.square() - 2 * pull * (1 - place)).clamp(min=0).sqrt()
        rises = (speed > 0) & (speed.square() >= 2 * pull * (1 - place))
        to_top = torch.where(rises, 2 * (1 - place) / (speed + root), torch.inf)
        root = (speed.square() + 2 * pull * place).sqrt()
        away = torch.where((pull > 0) & (speed + root > 0), (speed + root) / pull, torch.inf)  # up first, then down
        to_floor = torch.where(speed < 0, 2 * place / (root - speed), away)
        until, at_top = torch.minimum(to_top, to_floor), to_top < to_floor
        bounces = until < left
        span = torch.minimum(until, left)
        place = torch.where(bounces, at_top.to(place), place + speed * span - pull * span.square() / 2).clamp(0, 1)
        speed = speed - pull * span
        speed = torch.where(bounces, torch.where(at_top, -speed.abs(), speed.abs()), speed)
        left = torch.where(bounces, left - span, 0.0)
    return Ball(place, speed)


def flight(ball: Ball, pull: Tensor, frames: int) -> Tensor:
    """Where the ball is in each of so many frames, the first one included: (..., frames, 2)."""
    if not bool(pull.any()):  # then a box is a straight line, folded
        line = ball.place.unsqueeze(-2) + torch.arange(frames).unsqueeze(-1) * ball.speed.unsqueeze(-2)
        return 1 - (line.remainder(2) - 1).abs()
    places = [ball.place]
    for _ in range(frames - 1):
        ball = fly(ball, pull)
        places.append(ball.place)
    return torch.stack(places, dim=-2)
