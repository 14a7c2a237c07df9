"""Results: explanations made of the maps of a call, and several of them side by side, or of different sizes."""

from xaicore.results.comparison import Comparison
from xaicore.results.each import Explanations
from xaicore.results.making import Found, explanations

__all__ = ["Comparison", "Explanations", "Found", "explanations"]
