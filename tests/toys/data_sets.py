"""Data sets that look as those of frameworks: by position, in batches, forward only; of the same ten pictures."""

from __future__ import annotations

import numpy as np
from picture_sets import SIDE, Deadly, preprocess

COUNT = 10
PICTURES = np.random.default_rng(0).integers(0, 250, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
INPUTS = np.stack([preprocess(picture)[0] for picture in PICTURES])
LABELS = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


class Elements:
    """A data set by position, as torch's `Dataset`."""

    def __init__(self, elements, **attributes):
        self.elements, self.reads = list(elements), []
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self.elements)

    def __getitem__(self, position):
        if position >= len(self.elements):
            raise IndexError(position)
        self.reads.append(position)
        return self.elements[position]


class DeadlyElements(Elements):
    """The decoder of the first element exits, that of the last one is killed."""

    def __getitem__(self, position):
        if position in (0, len(self) - 1):
            Deadly(str(position), "kill" if position else "exit").read()
        return super().__getitem__(position)


class SequentialSampler:
    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)


class RandomSampler(SequentialSampler):
    pass


class BatchSampler:
    def __init__(self, sampler, batch_size, drop_last=False):
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last


def default_collate(elements):
    raise AssertionError("an element is enough")


class DataLoader:
    def __init__(self, dataset, sampler=None, drop_last=False, collate_fn=default_collate, batch_sampler=None):
        self.dataset, self.collate_fn = dataset, collate_fn
        self.sampler = sampler or SequentialSampler(dataset)
        self.batch_sampler = batch_sampler or BatchSampler(self.sampler, 4, drop_last)

    def __iter__(self):
        raise AssertionError("a loader is not read in its order")


class Batches:
    """A data set of batches, as Keras' `PyDataset`."""

    workers = 1
    use_multiprocessing = False

    def __init__(self, sizes, shuffle=False):
        ends = np.cumsum(sizes)
        self.parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self.shuffle = shuffle

    def __len__(self):
        return len(self.parts)

    @property
    def num_batches(self):
        return len(self)

    def on_epoch_end(self):
        raise AssertionError("nothing is shuffled")

    def __getitem__(self, number):
        part = self.parts[number]
        return INPUTS[part], np.array(LABELS[part]), np.ones(len(LABELS[part]))


class DeadlyBatches(Batches):
    """The last batch ends the process."""

    def __getitem__(self, number):
        if number == len(self) - 1:
            Deadly(str(number), "exit").read()
        return super().__getitem__(number)


class IterableDataset:
    """As torch's: a pass is an iterator, and there are no positions."""

    def __init__(self, elements, **attributes):
        self.elements, self.passes, self.read = list(elements), 0, 0
        self.__dict__.update(attributes)

    def __getitem__(self, position):
        raise NotImplementedError

    def __iter__(self):
        self.passes += 1
        for element in self.elements:
            self.read += 1
            yield element


class Batched:
    """As `tf.data.Dataset`, in batches."""

    element_spec = None

    def __init__(self, size, cardinality=-2):
        self.size, self.known = size, cardinality

    def cardinality(self):
        return self.known

    def __iter__(self):
        for start in range(0, COUNT, self.size):
            chosen = slice(start, start + self.size)
            yield INPUTS[chosen], np.array(LABELS[chosen]), np.ones(len(LABELS[chosen]))
