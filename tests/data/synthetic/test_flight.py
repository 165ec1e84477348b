"""The physics of a ball in a box."""

import torch

from unspool.data.synthetic.flight import Ball, flight, fly


def test_a_ball_keeps_its_energy_and_stays_in_its_box():
    place = 0.05 + 0.9 * torch.rand(50, 2, dtype=torch.float64)
    ball, pull = Ball(place, 0.4 * torch.rand(50, 2, dtype=torch.float64) - 0.2), torch.tensor([0.0, 0.01]).double()
    energy = ball.speed.square() / 2 + pull * ball.place
    for _ in range(100):
        ball = fly(ball, pull)
        assert float(ball.place.min()) >= 0 and float(ball.place.max()) <= 1
        torch.testing.assert_close(ball.speed.square() / 2 + pull * ball.place, energy, atol=1e-12, rtol=0)


def test_a_frame_at_once_is_a_frame_in_many_small_steps():
    ball = Ball(torch.rand(50, 2).double(), 0.6 * torch.rand(50, 2).double() - 0.3)
    pull = torch.tensor([0.0, 0.02]).double()
    small = ball
    for _ in range(1000):
        small = fly(small, pull, 0.001)
    torch.testing.assert_close(fly(ball, pull).place, small.place, atol=1e-9, rtol=0)


def test_without_gravity_a_flight_is_a_folded_line():
    ball, still = Ball(torch.rand(20, 2).double(), torch.rand(20, 2).double() - 0.5), torch.zeros(2).double()
    places = flight(ball, still, 30)
    for frame in range(30):
        torch.testing.assert_close(places[:, frame], ball.place, atol=1e-12, rtol=0)
        ball = fly(ball, still)
