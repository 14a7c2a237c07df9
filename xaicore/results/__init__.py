"""Results: explanations made of the maps of a call, and several of them side by side."""

from xaicore.results.comparison import Comparison
from xaicore.results.making import Found, explanations

__all__ = ["Comparison", "Found", "explanations"]
