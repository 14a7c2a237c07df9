"""What backends keep of a pass: the model's arguments, the calls of its layers, and where gradients arrive.

A backend adds each call with the arrays that it took and gave. Which layers there are, what each takes, which of them
share an output and how often they ran is read from the identity of these arrays, by one rule for all frameworks.
"""

from xaicore.recording.arguments import Arguments
from xaicore.recording.arrivals import arrivals, mixture
from xaicore.recording.backend import FactsBackend, Pass
from xaicore.recording.calls import Call, Recording
from xaicore.recording.readers import read_inputs
from xaicore.recording.tokens import read_tokens

__all__ = [
    "Arguments",
    "Call",
    "FactsBackend",
    "Pass",
    "Recording",
    "arrivals",
    "mixture",
    "read_inputs",
    "read_tokens",
]
