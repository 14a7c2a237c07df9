"""The contract of plugins as tests that an author inherits: is a backend right, does it leave the model as it was?

import xaicore.testing

class TestMine(xaicore.testing.BackendTests): ...

A suite is a class of plain methods, which pytest finds in a class that inherits it. It imports neither a framework nor
pytest. A failure names the clause of the contract, its place in docs/plugins.md, what was expected and what came.
"""

from xaicore.testing.backend import BackendTests
from xaicore.testing.blocks_net import BlocksNet
from xaicore.testing.case import Built
from xaicore.testing.checks import ContractError, ContractWarning
from xaicore.testing.clauses import CLAUSES, KIT_VERSION, Clause
from xaicore.testing.conv_net import ConvNet
from xaicore.testing.heads_net import HeadsNet
from xaicore.testing.logger import LoggerTests
from xaicore.testing.loop_net import LoopNet
from xaicore.testing.method import MethodTests
from xaicore.testing.model_source import ModelSourceTests
from xaicore.testing.pair_net import PairNet
from xaicore.testing.reference import ReferenceBackend
from xaicore.testing.residual_net import ResidualNet
from xaicore.testing.segments_net import SegmentsNet
from xaicore.testing.token_net import TokenNet
from xaicore.testing.words_net import WordsNet

__all__ = [
    "CLAUSES",
    "KIT_VERSION",
    "BackendTests",
    "BlocksNet",
    "Built",
    "Clause",
    "ContractError",
    "ContractWarning",
    "ConvNet",
    "HeadsNet",
    "LoggerTests",
    "LoopNet",
    "MethodTests",
    "ModelSourceTests",
    "PairNet",
    "ReferenceBackend",
    "ResidualNet",
    "SegmentsNet",
    "TokenNet",
    "WordsNet",
]
