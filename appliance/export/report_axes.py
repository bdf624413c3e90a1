"""The plane that dose-volume histograms are drawn in."""

from __future__ import annotations

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1180, 470, 58, 18, 16, 48
"""Of the SVG's own units; the page scales it."""


class Axes:
    """Maps (Gy, %) to SVG units."""

    def __init__(self, longest_gy: float) -> None:
        self.step_gy = next(step for step in (1, 2, 5, 10, 20, 50, 100) if longest_gy / step <= 12 or step == 100)
        self.end_gy = self.step_gy * (int(longest_gy / self.step_gy) + 1)

    def x(self, dose_gy: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * dose_gy / self.end_gy, 1)

    def y(self, percent: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - percent / 100), 1)
