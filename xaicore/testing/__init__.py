"""The contract of plugins as tests that an author inherits: is a backend right, does it leave the model as it was?

import xaicore.testing

class TestMine(xaicore.testing.BackendTests): ...

A suite is a class of plain methods, which pytest finds in a class that inherits it. It imports neither a framework nor
pytest. A failure names the clause of the contract, its place in docs/plugins.md, what was expected and what came.
`python -m xaicore.testing` prints the clauses, and with `--lacks` what the tests of a backend may leave out.
"""

from xaicore.testing.backend import BackendTests
from xaicore.testing.case import Built
from xaicore.testing.checks import ContractError, ContractWarning
from xaicore.testing.clauses import CLAUSES, KIT_VERSION, Clause
from xaicore.testing.logger import LoggerTests
from xaicore.testing.method import MethodTests
from xaicore.testing.model_source import ModelSourceTests
from xaicore.testing.nets.axial import AxialNet
from xaicore.testing.nets.blocks import BlocksNet
from xaicore.testing.nets.causal import CausalNet
from xaicore.testing.nets.conv import ConvNet
from xaicore.testing.nets.coupled import CoupledNet
from xaicore.testing.nets.forms import HalfNet, LeakyNet, OpenNet, SharesNet, TurnedNet
from xaicore.testing.nets.halves import HalvesNet
from xaicore.testing.nets.heads import HeadsNet
from xaicore.testing.nets.loop import LoopNet
from xaicore.testing.nets.masked import MaskedNet
from xaicore.testing.nets.pair import PairNet
from xaicore.testing.nets.queries import QueriesNet
from xaicore.testing.nets.recurrent import RecurrentNet
from xaicore.testing.nets.residual import ResidualNet
from xaicore.testing.nets.segments import SegmentsNet
from xaicore.testing.nets.sequence import SequenceNet
from xaicore.testing.nets.token import TokenNet
from xaicore.testing.nets.words import WordsNet
from xaicore.testing.reference import ReferenceBackend

__all__ = [
    "CLAUSES",
    "KIT_VERSION",
    "AxialNet",
    "BackendTests",
    "BlocksNet",
    "Built",
    "CausalNet",
    "Clause",
    "ContractError",
    "ContractWarning",
    "ConvNet",
    "CoupledNet",
    "HalfNet",
    "HalvesNet",
    "HeadsNet",
    "LeakyNet",
    "LoggerTests",
    "LoopNet",
    "MaskedNet",
    "MethodTests",
    "ModelSourceTests",
    "OpenNet",
    "PairNet",
    "QueriesNet",
    "RecurrentNet",
    "ReferenceBackend",
    "ResidualNet",
    "SegmentsNet",
    "SequenceNet",
    "SharesNet",
    "TokenNet",
    "TurnedNet",
    "WordsNet",
]
