"""Targets on sequences of scores: a word of a caption, all of its words, the letters that CTC reads.

N images, K targets per image, outputs (N, V, T): V tokens of the vocabulary, T positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xaicore.errors import TargetError, did_you_mean
from xaicore.outputs import Answer
from xaicore.targets.naming import class_text
from xaicore.targets.positions import aim_at_positions, of_aim
from xaicore.targets.target import Aim, Target
from xaicore.trees import as_array

__all__ = ["CTC", "Word", "Words"]

Decode = Callable[[Sequence[int]], str]
"""A tokenizer's `decode`: [token id] to text."""


class _OfSequence(Target):
    """What words and letters share: names, and the same tokens in later passes."""

    decode: Decode | None = None

    def _aim(self, answer: Answer, tokens: np.ndarray, masks: np.ndarray) -> Aim:
        names = np.empty(tokens.shape, object)
        for place, token in np.ndenumerate(tokens):
            names[place] = self._text(int(token), answer)
        return aim_at_positions(answer, tokens, masks, names)

    def _text(self, token: int, answer: Answer) -> str:
        """What a token reads; "" for -1."""
        if token < 0 or self.decode is None:
            return class_text(token, answer)
        return str(self.decode([token])).strip() or str(token)

    def again(self, aim: Aim) -> Target:
        """The same tokens at the same positions."""
        return of_aim(aim, str(self))


class Word(_OfSequence):
    """One token at one position of the sequence (K = 1). Its probability there is the score.

    Args:
        position: of the scores that predict the token; a negative one counts from the end.
        token: its id, or its text, with class names or `decode`; None: the most probable one.
        decode: the tokenizer's, which turns [id] into text.

    Raises:
        TargetError: the position is no whole number.
    """

    stays = True

    def __init__(self, position: int, token: int | str | None = None, decode: Decode | None = None) -> None:
        if isinstance(position, bool) or not isinstance(position, (int, np.integer)):
            raise TargetError(f"Word(position={position!r}): expected a whole number")
        self.position, self.token, self.decode = int(position), token, decode

    def aim(self, outputs: np.ndarray, kind: str, answer: Answer | None = None) -> Aim:
        """The token's logit at the position.

        Raises:
            TargetError: the outputs are no scores of tokens, the position lies outside of them, or the token is none.
        """
        answer = answer or Answer(outputs, kind)
        _check_sequence(answer, str(self))
        count, vocabulary, length = outputs.shape
        if not -length <= self.position < length:
            raise TargetError(f"{self}: the sequence has {length} positions, 0 to {length - 1}")
        scores = outputs[:, :, self.position]
        tokens = np.array([self._token(row, vocabulary, answer) for row in scores], np.int64)[:, None]
        masks = np.zeros((count, 1, length), bool)
        masks[:, :, self.position] = True
        return self._aim(answer, tokens, masks)

    def _token(self, scores: np.ndarray, vocabulary: int, answer: Answer) -> int:
        """The id of the token, of several that read the same the one with the highest score."""
        given = self.token
        if given is None:
            return int(scores.argmax())
        if isinstance(given, str):
            texts = [self._text(token, answer) for token in range(vocabulary)]
            same = [token for token, text in enumerate(texts) if text == given.strip()]
            if not same:
                known = self.decode is not None or answer.class_names
                advice = did_you_mean(given, texts) if known else "; pass decode=, or class_names="
                raise TargetError(f"{self}: no token reads {given!r}{advice}")
            return max(same, key=lambda token: float(scores[token]))
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or not 0 <= given < vocabulary:
            raise TargetError(f"{self}: expected the id of a token, 0 to {vocabulary - 1}, or its text")
        return int(given)

    def __str__(self) -> str:
        return f"word {self.position}" if self.token is None else f"word {self.position}, {self.token!r}"


class Words(_OfSequence):
    """Every token of a sequence, each explained at the position that predicts it: K = T, from one pass.

    Args:
        tokens: (L,) or (N, L) ids, -1 for none; None: the most probable token at each position.
        start: the position of the scores that predict the first of them.
        stop: the position after the last; None: of all tokens, or the end of the sequence.
        end: the id of the token that ends a sequence: what follows it is left out.
        decode: the tokenizer's, which turns [id] into text.

    Raises:
        TargetError: the tokens are no whole numbers, or a position is none.
    """

    stays = True

    def __init__(
        self,
        tokens: Any = None,
        start: int = 0,
        stop: int | None = None,
        end: int | None = None,
        decode: Decode | None = None,
    ) -> None:
        given = None if tokens is None else as_array(tokens, "tokens")
        if given is not None and (given.dtype.kind not in "iu" or given.ndim not in (1, 2) or not given.size):
            raise TargetError(f"Words of tokens {given.dtype} {given.shape}: expected ids (L,) or (N, L)")
        if start < 0 or (stop is not None and stop <= start):
            raise TargetError(f"Words(start={start}, stop={stop}): expected 0 <= start < stop")
        self.tokens = given if given is None or given.ndim == 2 else given[None]
        self.start, self.stop, self.end, self.decode = start, stop, end, decode

    def aim(self, outputs: np.ndarray, kind: str, answer: Answer | None = None) -> Aim:
        """One token after the other; a row of zeros for what lies behind the end of a shorter sequence.

        Raises:
            TargetError: the outputs are no scores of tokens, or the tokens do not fit them.
        """
        answer = answer or Answer(outputs, kind)
        _check_sequence(answer, str(self))
        count, vocabulary, length = outputs.shape
        if self.start >= length:
            raise TargetError(f"{self}: the sequence has {length} positions, 0 to {length - 1}")
        tokens = outputs[:, :, self.start : self.stop].argmax(axis=1) if self.tokens is None else self.tokens
        tokens = np.broadcast_to(tokens, (count, tokens.shape[1])) if len(tokens) == 1 else tokens
        if self.stop is not None:
            tokens = tokens[:, : self.stop - self.start]
        if len(tokens) != count or self.start + tokens.shape[1] > length or tokens.max() >= vocabulary:
            raise TargetError(
                f"{self}: {tokens.shape} tokens up to {tokens.max()} from position {self.start} on, for {count} "
                f"sequences of {length} positions and {vocabulary} tokens"
            )
        tokens = self._before_end(tokens)
        masks = np.zeros((count, tokens.shape[1], length), bool)
        steps = np.arange(tokens.shape[1])
        masks[:, steps, self.start + steps] = tokens >= 0
        return self._aim(answer, tokens, masks)

    def _before_end(self, tokens: np.ndarray) -> np.ndarray:
        if self.end is None:
            return tokens
        ended = np.cumsum(tokens == self.end, axis=1) > 0
        kept = np.where(ended, -1, tokens)
        return kept[:, : max(1, int((kept >= 0).sum(axis=1).max()))]

    def take(self, chosen: slice | np.ndarray) -> Target:
        """The target of some of the images, by position."""
        if self.tokens is None or len(self.tokens) == 1:
            return self
        return Words(self.tokens[chosen], self.start, self.stop, self.end, self.decode)

    def __str__(self) -> str:
        return "words"


class CTC(_OfSequence):
    """The letters that a net trained with connectionist temporal classification reads (Graves et al. 2006).

    The most probable token of each step; runs of one token are one letter, and blanks are left out. A letter is
    explained by its mean logit over the steps of its run, and scored by its mean probability there. K is the number of
    letters of the longest reading; shorter ones have empty rows.

    Args:
        blank: the id of the blank.
        decode: turns [id] into a letter.
    """

    def __init__(self, blank: int = 0, decode: Decode | None = None) -> None:
        self.blank, self.decode = blank, decode

    def aim(self, outputs: np.ndarray, kind: str, answer: Answer | None = None) -> Aim:
        """One letter after the other.

        Raises:
            TargetError: the outputs are no scores of tokens, the blank is none of them, or nothing is read.
        """
        answer = answer or Answer(outputs, kind)
        _check_sequence(answer, str(self))
        count, vocabulary, length = outputs.shape
        if not 0 <= self.blank < vocabulary:
            raise TargetError(f"CTC(blank={self.blank}): the outputs have the tokens 0 to {vocabulary - 1}")
        runs = [_runs(steps, self.blank) for steps in outputs.argmax(axis=1)]
        most = max(map(len, runs))
        if not most:
            raise TargetError(f"{self}: nothing is read, all {length} steps of every image are blank ({self.blank})")
        tokens = np.full((count, most), -1, np.int64)
        masks = np.zeros((count, most, length), bool)
        for n, found in enumerate(runs):
            for k, (token, steps) in enumerate(found):
                tokens[n, k] = token
                masks[n, k, steps] = True
        return self._aim(answer, tokens, masks)

    def __str__(self) -> str:
        return "letters"


def _runs(steps: np.ndarray, blank: int) -> list[tuple[int, slice]]:
    """(token, its steps) of each run that is no blank."""
    edges = np.flatnonzero(np.diff(steps)) + 1
    bounds = [0, *edges.tolist(), len(steps)]
    runs = [(int(steps[a]), slice(a, b)) for a, b in itertools.pairwise(bounds)]
    return [(token, where) for token, where in runs if token != blank]


def _check_sequence(answer: Answer, target: str) -> None:
    shape = answer.outputs.shape
    if len(shape) != 3 or answer.kind == "values":
        raise TargetError(
            f"{target} needs scores of tokens at each position, (N, tokens, positions) once the axes are settled; "
            f"outputs {shape} are {answer.kind}. Where the axes are others, pass output_axes=, such as 'nlc'"
        )
