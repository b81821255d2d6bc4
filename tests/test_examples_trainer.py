"""Training by epochs: a run that stopped and goes on from its checkpoint equals the whole run, bit by bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn, optim
from tinynet.data import DataLoader, TensorDataset
from tinynet.errors import ArgumentError, DataError, DivergenceError
from tinynet.experiments import Trainer
from tinynet.experiments.image_study import NETWORKS, SCHEDULES, Images, Settings, make_trainer, square
from tinynet.experiments.options import load_parts


def make(
    seed: int = 1, stop_at: tuple[int, int] | None = None, every: int | None = None, **settings: Any
) -> Trainer:
    """A small run of 5 batches per epoch; Ctrl-C at a batch of an epoch."""
    tn.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((23, 6)).astype(np.float32), rng.integers(0, 3, 23)
    made = 0

    def noisy(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal made
        made += 1
        if stop_at is not None and made == 5 * stop_at[0] + stop_at[1]:
            raise KeyboardInterrupt
        return x + tn.data.batch_rng().normal(0, 0.1, x.shape).astype(np.float32), y

    loader = DataLoader(TensorDataset(x, y), 5, shuffle=True, seed=seed, transform=noisy)

    def test() -> float:
        model.eval()
        with tn.no_grad():
            right = float(np.mean(model(tn.from_numpy(x)).numpy().argmax(1) == y))
        model.train()
        return right

    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / 20)))
    settings = {"seed": seed, "lr": 0.1, "name": "run", **settings}
    return Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        loader,
        test,
        scheduler=scheduler,
        settings=settings,
        every=every,
    )


def assert_same(first: Any, second: Any, path: str = "checkpoint") -> None:
    """Compare two trees of checkpoints bit by bit, but for what the clock says."""
    assert type(first) is type(second), path
    if isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            if key != "clock":
                assert_same(first[key], second[key], f"{path}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), path
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_same(a, b, f"{path}[{i}]")
    elif isinstance(first, (np.ndarray, tn.Tensor)):
        a, b = np.asarray(first), np.asarray(second)
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), path
    else:
        assert first == second, path


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Any]:
    trainer = make()
    trainer.train(4, checkpoint=tmp_path / "whole.safetensors")
    return tn.load(tmp_path / "whole.safetensors")


class TestTrainer:
    @pytest.mark.parametrize("stop", [1, 3])
    def test_resumed_is_as_never_stopped(self, tmp_path, whole, stop):
        file = tmp_path / "part.safetensors"
        make().train(stop, checkpoint=file)
        tn.rand(7)  # somebody else draws
        again = make()
        again.model[0].weight.data.fill_(9.0)  # to be replaced, as everything else
        again.resume(file)
        assert again.saved == len(again.epochs) == stop
        again.train(4, checkpoint=file)
        assert_same(tn.load(file), whole)

    @pytest.mark.parametrize("place", [(1, 1), (1, 3), (2, 5)])
    def test_interrupted_in_the_middle_of_an_epoch(self, tmp_path, whole, place):
        file = tmp_path / "part.safetensors"
        broken = make(stop_at=place)
        with pytest.raises(KeyboardInterrupt):
            broken.train(4, checkpoint=file)
        assert broken.saved == place[0]
        again = make()
        again.resume(file)
        assert again.saved == place[0]
        again.train(4, checkpoint=file)
        assert_same(tn.load(file), whole)

    def test_same_weights_as_a_loop_written_out(self, whole):
        plain = make()
        losses, rates, right = [], [], []
        for _ in range(4):
            for x, y in plain.loader:
                rates.append(plain.optimizer.param_groups[0]["lr"])
                scores = plain.model(x)
                loss = plain.loss(scores, y)
                plain.optimizer.zero_grad()
                loss.backward()
                plain.optimizer.step()
                plain.scheduler.step()
                losses.append(loss.item())
                right.append(int((scores.argmax(1) == y).sum()))
        assert_same(plain.model.state_dict(), whole["model"])
        np.testing.assert_array_equal(whole["losses"], losses)
        np.testing.assert_array_equal(whole["rates"], rates)
        np.testing.assert_allclose(whole["epochs"]["accuracy"], np.reshape(right, (4, 5)).sum(1) / 23)
        sizes = np.array([5, 5, 5, 5, 3])
        np.testing.assert_allclose(whole["epochs"]["loss"], np.reshape(losses, (4, 5)) @ sizes / 23)

    def test_finished_run_has_nothing_to_do(self, tmp_path, whole):
        again = make()
        again.resume(tmp_path / "whole.safetensors")
        again.train(4)
        assert_same(again.state_dict(), whole)

    def test_measures_between_the_ends_of_epochs(self, tmp_path, whole):
        """At multiples of `every` and ends of epochs, once where they meet; all else stays the same."""
        file = tmp_path / "often.safetensors"
        often = make(every=3)
        often.train(2, checkpoint=file)
        often = make(every=3)
        often.resume(file)
        often.train(4, checkpoint=file)
        assert [step for step, _ in often.curve] == [3, 5, 6, 9, 10, 12, 15, 18, 20]
        accuracies = dict(often.curve)
        assert [accuracies[step] for step in (5, 10, 15, 20)] == [e.test_accuracy for e in often.epochs]
        state = tn.load(file)
        assert state["curve"].shape == (9, 2)
        del state["curve"], whole["curve"]
        assert_same(state, whole)

    def test_stops_where_the_loss_is_no_number(self, tmp_path, whole):
        """In the second epoch: the checkpoint stays as it was, and no update is made with that loss."""
        file = tmp_path / "part.safetensors"
        trainer = make()
        trainer.train(1, checkpoint=file)
        kept, before = file.read_bytes(), trainer.model.state_dict()["0.weight"].numpy().copy()
        honest = trainer.loss
        trainer.loss = lambda scores, y: (
            honest(scores, y) * (float("inf") if len(trainer.losses) == 7 else 0.0)
        )
        trainer.optimizer.param_groups[0]["weight_decay"] = 0.0
        trainer.optimizer.param_groups[0]["momentum"] = 0.0
        message = r"^train: the loss must stay finite; got inf at step 8, learning rate 0\.07"
        with pytest.raises(DivergenceError, match=message) as caught:
            trainer.train(4, checkpoint=file)
        assert caught.value.step == len(trainer.losses) == 8
        assert len(trainer.epochs) == 1
        assert file.read_bytes() == kept
        np.testing.assert_array_equal(trainer.model.state_dict()["0.weight"].numpy(), before)

    def test_finish_begins_or_goes_on(self, tmp_path, whole):
        file = tmp_path / "part.safetensors"
        assert make().finish(1, file) is None
        again = make()
        assert again.finish(4, file) is None
        assert again.saved == 4
        assert_same(tn.load(file), whole)

    def test_finish_with_other_settings_says_what_to_do(self, tmp_path):
        file = tmp_path / "part.safetensors"
        make().train(1, checkpoint=file)
        kept = file.read_bytes()
        message = r"^resume: lr must be 0\.1 as in .*; got 0\.2: choose another folder, or remove this file$"
        with pytest.raises(ArgumentError, match=message):
            make(lr=0.2).finish(4, file)
        assert file.read_bytes() == kept

    def test_finish_ends_with_a_divergence(self, tmp_path):
        trainer = make()
        trainer.loss = lambda scores, y: scores.sum() * (math.inf if len(trainer.losses) == 7 else 1.0)
        assert trainer.finish(4, tmp_path / "part.safetensors") == len(trainer.losses) == 8

    @pytest.mark.parametrize("every", [0, -3])
    def test_every_is_positive(self, every):
        with pytest.raises(ArgumentError, match=rf"^Trainer: every must be a positive int; got {every}$"):
            make(every=every)

    def test_reports(self, capfd):
        trainer = make()
        trainer.train(2, label="name")
        out, errors = capfd.readouterr()
        lines = out.strip().splitlines()
        assert [line.split(":")[0] for line in lines if line.startswith("epoch")] == [
            "epoch 1/2",
            "epoch 2/2",
        ]
        for word in ("name epoch 2/2", "100%", "images/s", "loss ", "accuracy "):
            assert word in errors
        for epoch in trainer.epochs:
            assert epoch.seconds > 0
            assert epoch.waiting >= 0
            assert epoch.testing >= 0

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"lr": 0.2}, r"^resume: lr must be 0\.1 as in '.*whole\.safetensors'; got 0\.2$"),
            ({"name": "other"}, r"^resume: name must be 'run' as in .* got 'other'$"),
            ({"more": 1}, r"^resume: more must be None as in .* got 1$"),
        ],
    )
    def test_other_settings_are_refused(self, tmp_path, whole, settings, message):
        trainer = make(**settings)
        before = trainer.state_dict()
        with pytest.raises(ArgumentError, match=message):
            trainer.resume(tmp_path / "whole.safetensors")
        assert_same(trainer.state_dict(), before)

    def test_setting_that_is_gone_is_refused(self, tmp_path, whole):
        trainer = make()
        del trainer.settings["lr"]
        with pytest.raises(ArgumentError, match=r"^resume: lr must be 0\.1 as in .* got None$"):
            trainer.resume(tmp_path / "whole.safetensors")

    def test_what_is_no_checkpoint(self, tmp_path):
        with pytest.raises(DataError, match="missing"):
            make().resume(tmp_path / "missing.safetensors")
        tn.save({"model": 1}, tmp_path / "other.safetensors")
        with pytest.raises(
            DataError, match=r"^resume: '.*other.safetensors' must be a checkpoint of a Trainer"
        ):
            make().resume(tmp_path / "other.safetensors")

    def test_epochs_are_positive(self):
        with pytest.raises(ArgumentError, match="epochs"):
            make().train(0)


def digits(model: str = "mnist_mlp", **changes: Any) -> tuple[Images, Settings]:
    training, test, _ = load_parts("digits", None, True)
    settings = Settings.recipe("digits", model, **{"limit": 40, "batch_size": 16, "epochs": 2, **changes})
    return Images.of(training, test, settings), settings


class TestImageStudy:
    def test_recipe(self):
        settings = Settings.recipe("cifar-10", "bn_inception_small", seed=None, epochs=2)
        assert settings == Settings(
            dataset="cifar-10",
            model="bn_inception_small",
            epochs=2,
            batch_size=128,
            lr=0.1,
            momentum=0.9,
            weight_decay=5e-4,
            schedule="cosine",
            augment=True,
            seed=0,
            limit=None,
        )
        assert not Settings.recipe("mnist", "lenet").augment
        assert Settings.recipe("mnist", "lenet").lr == 0.01
        assert Settings.recipe("mnist", "lenet", augment=True, lr=1.0).lr == 1.0

    def test_unknown_names(self):
        with pytest.raises(ArgumentError, match="model"):
            Settings(model="alexnet")
        with pytest.raises(ArgumentError, match="model must be one of"):
            Settings.recipe("cifar-10", "alexnet")
        with pytest.raises(ArgumentError, match="schedule"):
            Settings(schedule="never")

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("cosine", [0.5 * (1 + math.cos(math.pi * t / 6)) for t in range(6)]),
            ("step", [1.0, 1.0, 1.0, 0.1, 0.1, 0.01]),
            (
                "one-cycle",
                # up within 0.3 * 6 = 1.8 steps, down within the other 4.2
                [
                    0.04,
                    1 - 0.96 * (1 + math.cos(math.pi / 1.8)) / 2,
                    *(0.5 * (1 + math.cos(math.pi * (t - 1.8) / 4.2)) for t in range(2, 6)),
                ],
            ),
            ("constant", [1.0] * 6),
        ],
    )
    def test_schedules(self, name, expected):
        images, settings = digits(schedule=name, lr=0.3)
        trainer = make_trainer(images, settings)
        trainer.train(2)
        np.testing.assert_allclose(trainer.rates, np.multiply(0.3, expected), rtol=1e-12)
        assert len(trainer.losses) == 6

    def test_one_cycle_is_that_of_the_optimiser_to_within_a_step(self):
        """OneCycleLR counts from the first step to the last; here a share of all steps is done."""
        steps = 1000
        optimizer = optim.SGD([tn.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
        reference = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=steps)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < steps:
                reference.step()
        ours = [0.2 * SCHEDULES["one-cycle"](t / steps) for t in range(steps)]
        np.testing.assert_allclose(ours, rates, atol=0.2 * 0.006)  # the steepest step: 0.96 pi / 2 / 300
        assert max(ours) == pytest.approx(0.2, rel=1e-12)

    def test_nesterov(self):
        images, settings = digits(nesterov=True, lr=0.3)
        assert not digits()[1].nesterov
        trainer = make_trainer(images, settings)
        assert trainer.optimizer.param_groups[0]["nesterov"] is True
        plain = make_trainer(images, digits(lr=0.3)[1])
        for each in (trainer, plain):
            each.train(2)
        assert trainer.losses[0] == plain.losses[0]
        assert trainer.losses[2:] != plain.losses[2:]

    def test_images_are_framed_or_cut(self, rng):
        x = rng.integers(1, 256, size=(2, 28, 28)).astype(np.uint8)
        framed = square(x, 32)
        assert framed.shape == (2, 1, 32, 32)
        np.testing.assert_array_equal(framed[:, 0, 2:30, 2:30], x)
        assert framed.sum() == x.sum()
        np.testing.assert_array_equal(square(framed, 28)[:, 0], x)
        np.testing.assert_array_equal(square(x, None)[:, 0], x)
        colours = rng.integers(256, size=(2, 3, 32, 32)).astype(np.uint8)
        np.testing.assert_array_equal(square(colours, 28), colours[:, :, 2:30, 2:30])
        np.testing.assert_array_equal(square(colours, 32), colours)

    @pytest.mark.parametrize("name", ["bn_inception_small", "resnet20", "lenet", "mnist_mlp"])
    def test_every_network_takes_grey_images_and_colours(self, name):
        images, settings = digits(name, limit=2)
        build = NETWORKS[name].build
        side = images.x.shape[-1]
        assert build(1, side, 10)(tn.from_numpy(images.normalize(images.x))).shape == (2, 10)
        assert build(3, side, 7)(tn.zeros(2, 3, side, side)).shape == (2, 7)
        assert make_trainer(images, settings).settings["model"] == name

    def test_augmentation_is_a_function_of_seed_and_epoch(self):
        def batches(**changes: Any) -> list[Any]:
            images, settings = digits(**changes)
            return [x.numpy().copy() for x, _ in images.loader(settings)]

        plain, first = batches(augment=False), batches(augment=True)
        for a, b in zip(first, batches(augment=True), strict=True):
            np.testing.assert_array_equal(a, b)
        assert any((a != b).any() for a, b in zip(first, plain, strict=True))
        assert any((a != b).any() for a, b in zip(first, batches(augment=True, seed=5), strict=True))

    def test_workers_and_threads_do_not_matter(self, threads):
        images, settings = digits(augment=True)
        trainers = [make_trainer(images, settings, workers=workers) for workers in (0, 2)]
        for trainer in trainers:
            trainer.train(2)
        assert_same(trainers[0].state_dict(), trainers[1].state_dict())

    def test_other_data_set_is_refused(self):
        images, _ = digits()
        with pytest.raises(ArgumentError, match=r"data set 'mnist' of the settings; got 'digits'$"):
            make_trainer(images, Settings.recipe("mnist", "mnist_mlp"))
