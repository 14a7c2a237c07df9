"""What explaining imports: not what torch would need half a second for."""

import subprocess
import sys

CODE = """
import sys
import torch
from torch import nn
import xaicore
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
xaicore.explain(net, torch.rand(1, 3, 8, 8))
print(*sorted({"sympy", "matplotlib", "PIL"} & sys.modules.keys()))
"""


def test_the_first_explanation_imports_no_sympy():
    # torch imports it for `grad_outputs`.
    process = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert process.stdout.split() == []
