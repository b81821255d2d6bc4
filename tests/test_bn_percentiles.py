"""Percentiles of what enters a layer, against numpy.percentile and loops written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet import nn
from tinynet.bn import PercentileHistory, PercentileTracker, column_percentiles
from tinynet.errors import ArgumentError, DTypeError, ShapeError


class TestColumnPercentiles:
    @given(
        rows=st.integers(1, 40),
        columns=st.integers(1, 5),
        q=st.lists(st.floats(0, 100), min_size=1, max_size=4),
        seed=st.integers(0, 10**6),
        dtype=st.sampled_from(["float32", "float64"]),
    )
    def test_equals_numpy(self, rows, columns, q, seed, dtype):
        values = np.random.default_rng(seed).standard_normal((rows, columns)).astype(dtype)
        expected = np.percentile(values.astype(np.float64), q, axis=0)
        result = column_percentiles(values, q)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)

    def test_definition_on_a_known_column(self):
        column = np.arange(101.0)[::-1, None]  # the p-th percentile of 0..100 is p
        np.testing.assert_allclose(column_percentiles(column)[:, 0], [15, 50, 85], rtol=1e-14)

    def test_layouts(self):
        values = np.random.default_rng(0).standard_normal((30, 6))
        expected = column_percentiles(values)
        values.setflags(write=False)
        np.testing.assert_array_equal(column_percentiles(values), expected)
        np.testing.assert_array_equal(column_percentiles(np.asfortranarray(values)), expected)
        np.testing.assert_array_equal(column_percentiles(values[:, ::2]), expected[:, ::2])

    def test_nan_stays_in_its_column_and_infinity_passes(self):
        values = np.array([[1.0, 0.0, np.inf], [np.nan, 1.0, 0.0], [3.0, 2.0, -np.inf]])
        result = column_percentiles(values, (50,))
        assert math.isnan(result[0, 0])
        np.testing.assert_array_equal(result[0, 1:], [1.0, 0.0])

    def test_errors(self):
        with pytest.raises(ShapeError, match=r"values must have shape \(N, U\) with N >= 1; got \(0, 3\)$"):
            column_percentiles(np.zeros((0, 3)))
        with pytest.raises(ShapeError, match=r"got \(3,\)$"):
            column_percentiles(np.zeros(3))
        message = r"^column_percentiles: q must be a sequence of numbers in \[0, 100\]; got \(50, 101\)$"
        with pytest.raises(ArgumentError, match=message):
            column_percentiles(np.zeros((2, 2)), (50, 101))


class TestPercentileHistory:
    def test_summaries_by_loops(self, rng):
        history, layers = PercentileHistory(), []
        for step in (1, 10, 20, 30):
            layers.append(rng.standard_normal((50, 7)) * step)
            history.add(step, layers[-1])
        assert history.steps == [1, 10, 20, 30]
        for index, q in enumerate((15, 50, 85)):
            per_unit = [[np.percentile(inputs[:, unit], q) for inputs in layers] for unit in range(7)]
            ranges = sorted(max(values) - min(values) for values in per_unit)
            assert history.drift()[index] == pytest.approx(ranges[3])  # the middle one of seven
            np.testing.assert_allclose(history.unit(2)[:, index], per_unit[2])
            np.testing.assert_allclose(history.unit(-1)[:, index], per_unit[6])
            for time in range(4):
                middle = sorted(values[time] for values in per_unit)[3]
                assert history.median_over_units()[time, index] == pytest.approx(middle)

    def test_channels_of_images(self, rng):
        images = rng.standard_normal((5, 3, 4, 2))
        history = PercentileHistory(q=(0, 30, 100))
        history.add(0, images)
        for channel in range(3):
            expected = np.percentile([x for image in images for x in image[channel].flat], (0, 30, 100))
            np.testing.assert_allclose(history.percentiles[0][:, channel], expected, rtol=1e-12)
        sequences = PercentileHistory(q=(0, 30, 100))
        sequences.add(0, images.reshape(5, 3, 8))
        np.testing.assert_array_equal(sequences.percentiles[0], history.percentiles[0])

    def test_made_of_what_was_measured_before(self, rng):
        before = PercentileHistory(q=(10, 90))
        for step in (1, 5):
            before.add(step, rng.standard_normal((20, 3)))
        again = PercentileHistory(before.q, np.array(before.steps), np.stack(before.percentiles))
        assert again.steps == [1, 5]
        assert type(again.steps[0]) is int
        np.testing.assert_array_equal(again.drift(), before.drift())
        again.add(6, rng.standard_normal((20, 3)))
        assert (len(again.steps), len(before.steps)) == (3, 2)

    def test_infinite_values_of_a_network_that_diverged(self):
        history = PercentileHistory(q=(50,))
        history.add(1, np.array([[0.0, 0.0, np.inf]]))
        history.add(2, np.array([[1.0, -np.inf, np.inf]]))
        with np.errstate(all="raise"):
            assert np.isnan(history.drift()).all()  # of 1, infinity, and infinity - infinity
        np.testing.assert_array_equal(history.median_over_units(), [[0], [1]])

    def test_steps_rise(self):
        history = PercentileHistory()
        history.add(5, np.zeros((2, 3)))
        for step in (5, 4):
            message = rf"^PercentileHistory.add: step must be above the last one, 5; got {step}$"
            with pytest.raises(ArgumentError, match=message):
                history.add(step, np.zeros((2, 3)))
        with pytest.raises(DTypeError, match=r"^PercentileHistory.add: step must be an int >= 0; got 5.5$"):
            history.add(5.5, np.zeros((2, 3)))
        assert history.steps == [5]

    def test_shapes(self):
        history = PercentileHistory()
        history.add(1, np.zeros((2, 3)))
        with pytest.raises(ShapeError, match=r"^PercentileHistory.add: .* shape \(3, 3\); got \(3, 4\)$"):
            history.add(2, np.zeros((2, 4)))
        for shape in ((4,), (4, 0)):
            with pytest.raises(
                ShapeError, match=r"^PercentileHistory.add: values must have shape \(N, U\) or \(N, C, ...\)"
            ):
                history.add(2, np.zeros(shape))
        with pytest.raises(ShapeError, match=r"^column_percentiles: values must have shape .* got \(0, 3\)$"):
            history.add(2, np.zeros((0, 3)))
        assert len(history.percentiles) == 1

    @pytest.mark.parametrize(
        ("steps", "percentiles", "message"),
        [
            ((1, 2), np.zeros((1, 3, 5)), "steps and percentiles must have one length; got 2 and 1"),
            ((1,), np.zeros((1, 2, 5)), "percentiles must have shape (3, U); got (2, 5)"),
            ((1,), np.zeros((1, 3)), "percentiles must have shape (3, U); got (3,)"),
            ((1, 2), [np.zeros((3, 5)), np.zeros((3, 4))], "percentiles must have shape (3, 5); got (3, 4)"),
        ],
    )
    def test_what_was_measured_before_must_fit(self, steps, percentiles, message):
        with pytest.raises(ShapeError) as caught:
            PercentileHistory(steps=steps, percentiles=percentiles)
        assert str(caught.value) == f"PercentileHistory: {message}"

    @pytest.mark.parametrize("q", [(-1, 50), (math.nan,), 50, ((50,),), ((1,), (2, 3)), ("a",), None])
    def test_bad_percentiles(self, q):
        with pytest.raises(ArgumentError, match=r"^PercentileHistory: q must be a sequence of numbers in"):
            PercentileHistory(q)

    def test_unit_that_is_not_there(self):
        history = PercentileHistory()
        history.add(1, np.zeros((2, 3)))
        np.testing.assert_array_equal(history.unit(-3), history.unit(0))
        for index in (3, -4):
            with pytest.raises(
                ArgumentError, match=rf"^PercentileHistory.unit: index must lie in \[-3, 2\]; got {index}$"
            ):
                history.unit(index)

    @pytest.mark.parametrize("ask", ["median_over_units", "drift"])
    def test_nothing_measured(self, ask):
        message = r"^PercentileTracker: there must be percentiles of one step; got none$"
        with pytest.raises(ArgumentError, match=message):
            getattr(PercentileTracker(nn.Identity()), ask)()


class TestPercentileTracker:
    @pytest.fixture
    def network(self) -> tuple[nn.Sequential, nn.Sigmoid]:
        tn.manual_seed(5)
        activation = nn.Sigmoid()
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), activation, nn.Linear(6, 3)), activation

    @pytest.mark.parametrize("parts", [1, 2, 23])
    def test_what_enters_by_hand(self, network, rng, parts):
        model, activation = network
        model.eval()
        x = rng.standard_normal((23, 4)).astype(np.float32)
        weight, bias = (p.detach().numpy().astype(np.float64) for p in (model[0].weight, model[0].bias))
        entered = (x @ weight.T + bias) / math.sqrt(1 + 1e-5)  # running mean 0, variance 1, gamma 1, beta 0
        tracker = PercentileTracker(activation, q=(5, 50))
        with tracker.record(7):
            for part in np.array_split(x, parts):
                model(tn.tensor(part))
        assert tracker.steps == [7]
        expected = np.percentile(entered, (5, 50), axis=0)
        np.testing.assert_allclose(tracker.percentiles[0], expected, rtol=1e-5, atol=1e-6)

    def test_only_inside_the_block(self, network, rng):
        model, activation = network
        tracker = PercentileTracker(activation)
        x, other = (tn.tensor(rng.standard_normal((9, 4))).float() for _ in range(2))
        model(other)
        for step in (1, 2):
            with tracker.record(step):
                model(x)
            model(other)
        assert not activation._forward_pre_hooks
        np.testing.assert_array_equal(tracker.percentiles[0], tracker.percentiles[1])

    def test_recording_changes_no_bit_of_the_training(self, network, rng):
        model, activation = network
        start = {name: value.numpy().copy() for name, value in model.state_dict().items()}
        x = tn.tensor(rng.standard_normal((9, 4)).astype(np.float32))
        results = []
        for recorded in (False, True):
            model.load_state_dict({name: tn.tensor(value) for name, value in start.items()})
            model.zero_grad()
            if recorded:
                with PercentileTracker(activation).record(1):
                    y = model(x)
            else:
                y = model(x)
            (y * y).sum().backward()
            results.append([p.grad.numpy().copy() for p in model.parameters()])
        for a, b in zip(*results, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_module_that_works_in_place(self, rng):
        """What entered is recorded, not what became of it."""
        relu = nn.ReLU(inplace=True)
        model = nn.Sequential(nn.Conv2d(2, 3, 3), relu)
        x = tn.tensor(rng.standard_normal((4, 2, 6, 5)).astype(np.float32))
        for inputs in (x, x.contiguous(memory_format=tn.channels_last)):
            tracker = PercentileTracker(relu, q=(0, 50))
            with tracker.record(1), tn.no_grad():
                model(inputs)
            with tn.no_grad():
                entered = model[0](x).numpy().transpose(0, 2, 3, 1).reshape(-1, 3)
            assert entered.min() < 0
            expected = np.percentile(entered.astype(np.float64), (0, 50), axis=0)
            np.testing.assert_allclose(tracker.percentiles[0], expected, rtol=1e-5, atol=1e-6)

    def test_keyword_argument(self):
        tracker = PercentileTracker(linear := nn.Linear(2, 2))
        with tracker.record(0):
            linear(input=tn.ones(3, 2))
        np.testing.assert_array_equal(tracker.percentiles[0], np.ones((3, 2)))

    def test_exception_adds_nothing(self, network):
        model, activation = network
        tracker = PercentileTracker(activation)

        def interrupted():
            with tracker.record(1):
                model(tn.ones(5, 4))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert (tracker.steps, tracker.percentiles) == ([], [])
        assert not activation._forward_pre_hooks
        with tracker.record(1):
            model(tn.ones(5, 4))
        assert tracker.steps == [1]

    def test_module_that_is_not_called(self, network):
        model, _ = network
        tracker = PercentileTracker(nn.Sigmoid())
        message = r"^PercentileTracker.record: module must be called inside the block; got no call$"
        with pytest.raises(ArgumentError, match=message), tracker.record(1):
            model(tn.ones(5, 4))
        assert tracker.steps == []

    def test_errors(self):
        with pytest.raises(DTypeError, match=r"^PercentileTracker: module must be a Module; got function$"):
            PercentileTracker(lambda x: x)
        tracker = PercentileTracker(nn.Identity())

        def record(step: int, *inputs: object) -> None:
            with tracker.record(step):
                for x in inputs:
                    tracker.module(x)

        with pytest.raises(ShapeError, match=r"values must have shape \(N, U\) or .*; got \(4,\)$"):
            record(1, tn.ones(4))
        with pytest.raises(DTypeError, match=r"what enters module must be a Tensor; got list$"):
            record(1, [1.0])
        with pytest.raises(ShapeError, match=r"what enters module must have 3 units; got 4$"):
            record(1, tn.ones(2, 3), tn.ones(2, 4))
        record(1, tn.ones(2, 3))
        with pytest.raises(ShapeError, match=r"^PercentileTracker.record: .* \(3, 3\); got \(3, 4\)$"):
            record(2, tn.ones(2, 4))
        with pytest.raises(ArgumentError, match=r"step must be above the last one, 1; got 1$"):
            record(1, None)  # refused before any work
        assert tracker.steps == [1]
