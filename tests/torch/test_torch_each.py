"""Images of different sizes: what a call for each alone returns, shown, saved and logged as one."""

import json
import warnings

import numpy as np
import pytest
import torch
from explanations import example
from recorder import Recorder
from torch import nn

import xaicore
from xaicore.targets import Box, Boxes

SIZES = [(40, 60), (56, 32), (40, 60)]


class Detector(nn.Module):
    """A box for each position of its map whose score exceeds `least`; takes a list of pictures, of any sizes."""

    def __init__(self, least=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.least = least
        self.conv = nn.Conv2d(3, 4, 8, stride=8)
        self.score = nn.Conv2d(4, 1, 1)
        self.eval()

    def forward(self, images):
        assert isinstance(images, list)
        return [self._found(one) for one in images]

    def _found(self, image):
        scores = self.score(self.conv(image[None]).relu()).sigmoid()[0, 0]
        y, x = torch.nonzero(scores.detach() > self.least, as_tuple=True)
        boxes = torch.stack([8 * x, 8 * y, 8 * x + 8, 8 * y + 8], dim=1).float()
        return {"boxes": boxes, "scores": scores[y, x], "labels": torch.ones(len(y), dtype=torch.int64)}


def pictures(sizes=SIZES):
    torch.manual_seed(1)
    return [torch.rand(3, *size) for size in sizes]


def explainer(model):
    return xaicore.Explainer(model, layer="conv", progress=False)


def autograd(model, x, k):
    """The map of the k-th best box of one picture."""
    kept = []
    handle = model.conv.register_forward_hook(lambda module, args, output: kept.append(output))
    scores = model([x])[0]["scores"]
    handle.remove()
    (gradient,) = torch.autograd.grad(scores.sort(descending=True).values[k], kept)
    return (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1).relu()[0].detach().numpy()


def least_for(model, x, image, count):
    """A threshold that leaves this many boxes in an image."""
    best = model([x[image]])[0]["scores"].sort(descending=True).values.detach()
    return float(best[count - 1] + best[count]) / 2 if count else float(best[0]) + 1e-6


def test_each_picture_is_explained_as_if_alone(unchanged):
    model, x = Detector(), pictures()
    with unchanged(model):
        found = xaicore.explain_each(explainer(model), x, Boxes(2), ids=["a", "b", "c"], class_names=["no", "cat"])
    assert found.ids == ("a", "b", "c")
    for one, picture, size in zip(found, x, SIZES, strict=True):
        alone = explainer(model)([picture], Boxes(2))
        assert one.input_size == size
        assert one.maps.shape == (2, size[0] // 8, size[1] // 8)
        np.testing.assert_array_equal(one.maps, alone.maps)
        np.testing.assert_array_equal(one.target_boxes, alone.target_boxes)
        np.testing.assert_array_equal(one.images, alone.images)
        assert one.target_name(0) == "cat"
        for k in range(2):
            np.testing.assert_allclose(one.maps[k], autograd(model, picture, k), rtol=1e-4, atol=1e-9)


def test_boxes_that_only_some_pictures_have():
    model, x = Detector(), pictures()
    model.least = least_for(model, x, 1, 1)
    counts = [len(one["scores"]) for one in model(x)]
    assert counts[1] == 1
    found = xaicore.explain_each(explainer(model), x, Boxes(2))
    for one, count in zip(found, counts, strict=True):
        assert len(one) == 2
        assert [one.target_box(m) is not None for m in range(2)] == [m < count for m in range(2)]
        assert not one.maps[count:].any()
        assert list(one.names[count:]) == ["no box"] * (2 - min(count, 2))


def test_a_picture_without_any_box_has_empty_rows_and_a_missing_one_is_named():
    model, x = Detector(), pictures(SIZES[:2])
    best = [float(one["scores"].detach().max()) for one in model(x)]
    n = int(np.argmin(best))  # this one has none
    model.least = best[n] + 1e-6
    found = xaicore.explain_each(explainer(model), x, Boxes(1))
    assert found[n].scores.tolist() == [0]
    assert found[n].empty.tolist() == [True]
    assert found[1 - n].scores[0] == pytest.approx(best[1 - n])
    with pytest.raises(xaicore.TargetError, match=rf"^in the pass of '{n}', which is image 0 there: "):
        xaicore.explain_each(explainer(model), x, Box())
    model.least = 1.0
    with pytest.raises(xaicore.TargetError, match="the detector found nothing in any image: lower its own threshold"):
        xaicore.explain_each(explainer(model), x, Boxes(1))


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "eigencam", "layercam"])
def test_a_picture_without_any_box_may_have_outputs_of_its_own(method, unchanged):
    """Code behind a detector often begins with empty tensors and replaces those of pictures with boxes."""

    class Replaced(Detector):
        def _found(self, image):
            found = super()._found(image)
            nothing = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0).long()}
            return found if len(found["scores"]) else nothing

    model, x = Replaced(), pictures(SIZES[:2])
    best = [float(one["scores"].detach().max()) for one in model(x)]
    n = int(np.argmin(best))  # this one has none
    model.least = best[n] + 1e-6
    with unchanged(model):
        found = xaicore.explain_each(xaicore.Explainer(model, method, layer="conv"), x, Boxes(1))
    assert [one.empty.tolist() for one in found] == [[i == n] for i in range(2)]
    assert found[n].maps.shape == (1, SIZES[n][0] // 8, SIZES[n][1] // 8)
    assert found[1 - n].scores[0] == pytest.approx(best[1 - n])


def test_a_target_and_labels_per_picture():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    x = pictures()
    found = xaicore.explain_each(xaicore.Explainer(net), x, [2, 0, 1], truth=[2, 1, 1])  # it takes no list
    for n, (one, picture) in enumerate(zip(found, x, strict=True)):
        alone = xaicore.explain(net, picture[None], [2, 0, 1][n])
        np.testing.assert_array_equal(one.maps, alone.maps)
        assert one.targets.tolist() == [[2, 0, 1][n]]
        assert one.truth.tolist() == [[2, 1, 1][n]]
    given = [np.full((*size, 3), n, np.uint8) for n, size in enumerate(SIZES)]
    shown = xaicore.explain_each(xaicore.Explainer(net), x, 1, images=given)
    assert [int(one.images.mean()) for one in shown] == [0, 1, 2]
    places = np.float32([[0, 0, 8, 8], [8, 8, 16, 16], [0, 8, 8, 16]])
    boxes = xaicore.explain_each(explainer(Detector()), x, Box(near=places))
    assert [one.target_box(0) for one in boxes] == [tuple(map(float, place)) for place in places]


def test_pictures_that_are_prepared():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    raw = [(one.numpy().transpose(1, 2, 0) * 255).astype(np.uint8) for one in pictures()]

    def prepare(picture):
        return picture.transpose(2, 0, 1).astype(np.float32) / 255, picture

    found = xaicore.explain_each(xaicore.Explainer(net, preprocess=prepare), raw, 1)
    for one, picture in zip(found, raw, strict=True):
        np.testing.assert_array_equal(one.images[0], picture)
        alone = xaicore.explain(net, prepare(picture)[0][None], 1)
        np.testing.assert_allclose(one.maps, alone.maps, rtol=1e-3, atol=1e-9)
    with pytest.raises(xaicore.InputError, match=r"or explain each in a pass of its own: xaicore\.explain_each\("):
        xaicore.explain(net, raw, 1, preprocess=prepare)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.zeros(2, 3, 40, 60), {}, r"x is a torch\.Tensor: expected a list with the input of each image, such as"),
        ([], {}, "x is an empty list: expected a list with the input of each image"),
        (pictures(), {"ids": ["a", "b"]}, "2 ids for 3 images"),
        (pictures(), {"truth": [1, 1]}, r"truth of shape \(2,\) for 3 images"),
        (pictures(), {"images": [np.zeros((40, 60, 3), np.uint8)]}, "1 images for 3 inputs: expected a picture for"),
    ],
)
def test_arguments_that_do_not_fit(x, options, message):
    with pytest.raises(xaicore.InputError, match=message):
        xaicore.explain_each(explainer(Detector()), x, Boxes(1), **options)


class Rowless(nn.Module):
    """Has a row for each image of 40 x 60 pixels alone."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        y = self.head(self.second(self.first(x)).mean((2, 3)))
        return y if x.shape[2:] == (40, 60) else y[0]


def test_an_error_of_a_class_of_the_backend_names_the_image():
    x = [one[None] for one in pictures()[:2]]
    with pytest.raises(
        xaicore.BackendError, match=r"^in the pass of 'b', which is image 0 there: the model returned \(3,\)"
    ):
        xaicore.explain_each(xaicore.Explainer(Rowless().eval()), x, 1, ids=["a", "b"])


def test_layers_that_are_kept_apart():
    model, x = Rowless().eval(), pictures([(40, 60)] * 2)
    layers = ["first", "second"]
    with pytest.raises(xaicore.InputError, match=r"the maps of 2 layers are kept apart.*fuse='mean'\), or one layer"):
        xaicore.explain_each(xaicore.Explainer(model, layer=layers, fuse=None), x, 1)
    fused = xaicore.Explainer(model, layer=layers, fuse="mean")
    np.testing.assert_array_equal(xaicore.explain_each(fused, x, 1)[1].maps, fused(x[1], 1).maps)


def test_a_model_is_no_explainer():
    model, x = Detector(), pictures()
    with pytest.raises(xaicore.InputError, match=r"explainer is a test_torch_each\.Detector: expected .*xaicore\.Expl"):
        xaicore.explain_each(model, x, Boxes(1))


def test_a_call_says_what_to_type():
    with pytest.raises(xaicore.InputError, match=r"xaicore\.explain_each\(xaicore\.Explainer\(model\), x\)"):
        xaicore.explain(Detector(), pictures(), Boxes(1), layer="conv")


def test_progress_is_that_of_the_pictures():
    seen = []
    model = xaicore.Explainer(Detector(), layer="conv", progress=lambda done, total: seen.append((done, total)))
    xaicore.explain_each(model, pictures(), Boxes(1))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_they_are_shown_saved_and_logged_as_one(tmp_path):
    found = xaicore.explain_each(explainer(Detector()), pictures(), Boxes(2))
    name = f"{Detector.__module__}.Detector"
    about = f"gradcam at conv of {name}, sizes 40 x 60, 56 x 32"
    assert repr(found) == f"<Explanations of 3 images (2 best boxes): {about}>"
    page = found._repr_html_()
    assert "Detector: gradcam at conv" in page
    assert "3 images, 2 targets each: 2 best boxes" in page
    assert page.count("<section") == 3
    assert len(found.plot().axes) >= 9
    root = tmp_path / "run"
    assert found.save(root) == root / "index.html"
    rows = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    assert [(row["id"], row["k"], tuple(row["input_size"])) for row in rows] == [
        (str(n), k, SIZES[n]) for n in range(3) for k in range(2)
    ]
    assert rows[2]["target_box"] == pytest.approx(found[1].target_box(0))
    recorder = Recorder()
    with xaicore.open_loggers(recorder) as log:
        log(found, step=3)
    assert [(step, one.ids) for step, one in recorder.logged] == [(3, ("0",)), (3, ("1",)), (3, ("2",))]


def test_some_of_them():
    found = xaicore.Explanations(example(n=1, k=1, ids=[name]) for name in "abc")
    assert found.take([2, 0]).ids == ("c", "a")
    assert found.take(slice(1, None)).ids == ("b", "c")
    with pytest.raises(xaicore.InputError, match=r"take\(\[\]\) of 3 images: expected a slice or positions"):
        found.take([])
    assert repr(found.__class__()) == "<Explanations of nothing>"


def test_passes_of_one_size_may_find_other_numbers_of_boxes():
    """Prepared pictures are explained in passes of `batch_size`."""
    model, x = Detector(), pictures([(40, 60)] * 3)
    raw = [(one.numpy().transpose(1, 2, 0) * 255).astype(np.uint8) for one in x]

    def prepare(picture):
        return picture.transpose(2, 0, 1).astype(np.float32) / 255

    class OfArray(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = model

        def forward(self, images):
            return self.net(list(images))

    x = [torch.from_numpy(prepare(one)) for one in raw]
    best = sorted(float(one["scores"].detach().max()) for one in model(x))
    model.least = (best[0] + best[1]) / 2  # one of the pictures has none
    options = {"layer": "net.conv", "preprocess": prepare, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xaicore.explain(OfArray(), raw, Boxes(1), batch_size=1, **options)
    assert sorted(found.scores) == pytest.approx([0, *best[1:]])
    model.least = 1.0
    with pytest.raises(xaicore.TargetError, match="the detector found nothing in any image"):
        xaicore.explain(OfArray(), raw, Boxes(1), batch_size=1, **options)
