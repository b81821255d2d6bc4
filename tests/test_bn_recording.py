"""Recording layers, and leaving a network as it was: against the values themselves, bit by bit."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

import tinynet as tn
from tinynet import bn, nn
from tinynet.errors import ArgumentError, DTypeError, ShapeError


def network():
    """Convolution, normalisation, dropout and a linear layer; float64, in training mode."""
    tn.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(48, 5),
    ).double()


def images(seed=0, n=6):
    return tn.tensor(np.random.default_rng(seed).normal(size=(n, 2, 4, 4)))


def snapshot(model):
    """Everything that belongs to a network, as bits."""
    return (
        [(name, each.numpy().tobytes()) for name, each in model.state_dict().items()],
        [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        [
            (module.training, module._hooked, list(module._forward_hooks), list(module._forward_pre_hooks))
            for module in model.modules()
        ],
        tn.random.default_generator.get_state(),
    )


class TestRecord:
    def test_outputs_of_weight_layers_by_default(self):
        model, x = network().eval(), images()
        with bn.record_layers(model) as seen:
            y = model(x)
        assert list(seen) == ["0", "5"]
        expected = model[0](x).detach().numpy()
        assert np.array_equal(seen["0"].output, expected)  # not what ReLU made of it in place
        assert np.array_equal(seen["5"].output, y.detach().numpy())
        assert seen["0"].input is None
        assert seen["0"].grad_output is None
        with pytest.raises(dataclasses.FrozenInstanceError):
            seen["0"].output = None

    def test_gradients_of_a_chain_in_closed_form(self):
        """y = W2 W1 x and L = sum of c y: dL/dy = c, dL/d(W1 x) = c W2."""
        rng = np.random.default_rng(1)
        model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)).double()
        x, c = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
        with bn.record_layers(model, inputs=True, gradients=True) as seen:
            (model(tn.tensor(x)) * tn.tensor(c)).sum().backward()
        first, second = (layer.weight.detach().numpy() for layer in model)
        np.testing.assert_array_equal(seen["0"].input, x)
        np.testing.assert_allclose(seen["0"].output, x @ first.T, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(seen["1"].input, seen["0"].output)
        np.testing.assert_array_equal(seen["1"].grad_output, c)
        assert all(values.flags.owndata for values in vars(seen["0"]).values())  # copies
        np.testing.assert_allclose(seen["0"].grad_output, c @ second, rtol=1e-12, atol=1e-14)

    def test_gradient_of_an_output_that_is_changed_in_place(self):
        """L = sum of c relu(y): the gradient of y, not that of what ReLU made of it."""
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)).double()
        x, c = images().numpy().reshape(-1, 3), np.random.default_rng(2).normal(size=4)
        with bn.record_layers(model, gradients=True) as seen:
            (model(tn.tensor(x)) * tn.tensor(c)).sum().backward()
        np.testing.assert_array_equal(seen["0"].grad_output, c * (seen["0"].output > 0))

    @pytest.mark.parametrize("training", [True, False])
    def test_recording_changes_no_bit(self, training):
        x, labels = images(), tn.tensor(np.arange(6) % 5)
        results = []
        for recording in (False, True):
            model = network().train(training)
            tn.manual_seed(5)
            if recording:
                with bn.record_layers(model, nn.Module, inputs=True, gradients=True):
                    nn.CrossEntropyLoss()(model(x), labels).backward()
            else:
                nn.CrossEntropyLoss()(model(x), labels).backward()
            results.append(snapshot(model))
        assert results[0] == results[1]

    def test_batch_normalisation_fused_with_what_follows(self):
        model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1)).double()
        x = images()
        with bn.record_layers(model, (nn.BatchNorm2d, nn.ReLU), inputs=True, gradients=True) as seen:
            model(x).sum().backward()
        assert list(seen) == ["1", "2"]
        np.testing.assert_array_equal(seen["2"].input, seen["1"].output)
        np.testing.assert_array_equal(seen["2"].output, np.maximum(seen["1"].output, 0))
        np.testing.assert_array_equal(seen["1"].grad_output, seen["2"].grad_output * (seen["1"].output > 0))
        np.testing.assert_allclose(seen["1"].output.mean(axis=(0, 2, 3)), 0, atol=1e-12)

    def test_the_latest_call_counts(self):
        layer = nn.Linear(2, 2, bias=False).double()
        x = np.ones((1, 2))
        with bn.record_layers(layer, gradients=True) as seen:
            first = layer(tn.tensor(x))
            second = layer(tn.tensor(2 * x))
            (3 * first + 5 * second).sum().backward()
            np.testing.assert_array_equal(seen[""].output, second.detach().numpy())
            np.testing.assert_array_equal(seen[""].grad_output, [[5.0, 5.0]])
            third = layer(tn.tensor(x))  # its gradient has not come
            assert seen[""].grad_output is None
        third.sum().backward()  # too late
        assert seen[""].grad_output is None
        layer(tn.tensor(7 * x))
        np.testing.assert_array_equal(seen[""].output, third.detach().numpy())

    def test_no_gradient_where_none_is_recorded(self):
        model = network()
        with bn.record_layers(model, gradients=True) as seen, tn.no_grad():
            model(images())
        assert seen["5"].output is not None
        assert seen["5"].grad_output is None

    def test_a_layer_that_is_not_reached(self):
        model = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        with bn.record_layers(model) as seen:
            model[1](tn.ones(1, 2))
        assert vars(seen["0"]) == {"input": None, "output": None, "grad_output": None}
        assert seen["1"].output.shape == (1, 2)

    def test_hooks_go_even_after_an_error(self):
        model = network()
        x = images().numpy()[:, :1]  # a channel is missing
        with pytest.raises(ShapeError), bn.record_layers(model, inputs=True, gradients=True):
            model(tn.tensor(x))
        assert not any(module._hooked for module in model.modules())

    def test_a_call_that_fails_has_no_output_and_no_gradient(self):
        class Once(nn.Linear):
            called = False

            def forward(self, x):
                assert not self.called, "once"
                self.called = True
                return super().forward(x)

        layer = Once(2, 1)
        with bn.record_layers(layer, inputs=True, gradients=True) as seen:
            y = layer(tn.ones(1, 2))
            with pytest.raises(AssertionError, match="once"):
                layer(tn.full((1, 2), 5.0))
            y.sum().backward()
        np.testing.assert_array_equal(seen[""].input, [[5, 5]])
        assert seen[""].output is None
        assert seen[""].grad_output is None

    def test_keyword_input(self):
        layer = nn.Linear(2, 2)
        with bn.record_layers(layer, inputs=True) as seen:
            layer(input=tn.ones(1, 2))
        np.testing.assert_array_equal(seen[""].input, [[1, 1]])

    def test_not_finite_values_pass(self):
        layer = nn.Linear(2, 1, bias=False)
        with bn.record_layers(layer, inputs=True) as seen:
            layer(tn.tensor(np.array([[np.nan, 1], [np.inf, 1]], np.float32)))
        assert np.isnan(seen[""].output[0, 0])
        assert np.isinf(seen[""].input[1, 0])


@pytest.mark.parametrize(
    "kind",
    [
        bn.Cancellation, bn.ChannelStatistics, bn.ClassGradients, bn.DivergenceRecord, bn.GradientNoise,
        bn.GradientStatistics, bn.LayerRecord,
    ],
)  # fmt: skip
def test_results_that_hold_arrays_are_compared_by_identity(kind):
    """Field by field it would be an error: the truth value of an array of more than one element."""
    assert kind.__eq__ is object.__eq__
    assert kind.__hash__ is object.__hash__


class TestChoice:
    def choose(self, layers):
        with bn.record_layers(network(), layers) as seen:
            return list(seen)

    def test_names_and_classes(self):
        assert self.choose("1") == ["1"]
        assert self.choose(["5", "0"]) == ["0", "5"]  # in the network's order
        assert self.choose(nn.BatchNorm2d) == ["1"]
        assert self.choose([nn.Linear, "1"]) == ["1", "5"]
        assert self.choose("") == [""]

    def test_shared_modules(self):
        layer = nn.Linear(2, 2)
        model = nn.Sequential(layer, nn.ReLU(), layer)
        with bn.record_layers(model) as seen:
            pass
        assert list(seen) == ["0"]
        with bn.record_layers(model, ["0", "2"]) as seen:
            y = model(tn.ones(1, 2))
        np.testing.assert_array_equal(seen["0"].output, y.detach().numpy())
        np.testing.assert_array_equal(seen["2"].output, y.detach().numpy())

    def test_errors(self):
        with pytest.raises(
            ArgumentError,
            match=r"record_layers: layers must be of the network \('', '0', '1', '2', '3', '4', \.\.\.\); "
            r"got 'conv'",
        ):
            self.choose(["0", "conv"])
        with pytest.raises(ArgumentError, match=r"layers of the classes asked for; got no GroupNorm"):
            self.choose((nn.Linear, nn.GroupNorm))
        with pytest.raises(ArgumentError, match=r"layers must choose at least one; got \[\]"):
            self.choose([])
        for wrong in (3, [3], [int], b"0"):
            with pytest.raises(DTypeError, match=r"record_layers: layers must be names or classes"):
                self.choose(wrong)
        with (
            pytest.raises(ArgumentError, match=r"got no Convolution, ConvTranspose, Linear"),
            bn.record_layers(nn.ReLU()),
        ):
            pass
        with pytest.raises(DTypeError, match=r"record_layers: model must be a Module; got list"):
            bn.record_layers([]).__enter__()
        with pytest.raises(DTypeError, match=r"record_layers: inputs must be a bool; got 1"):
            bn.record_layers(network(), inputs=1).__enter__()
        with pytest.raises(DTypeError, match=r"record_layers: gradients must be a bool; got None"):
            bn.record_layers(network(), gradients=None).__enter__()

    def test_a_layer_without_tensors(self):
        class Pair(nn.Module):
            def forward(self, x):
                return x, x

        model = Pair()
        with (
            bn.record_layers(model, Pair),
            pytest.raises(DTypeError, match=r"record_layers: layer '' must return a Tensor; got tuple"),
        ):
            model(tn.ones(1))
        with (
            bn.record_layers(model, Pair, inputs=True),
            pytest.raises(DTypeError, match=r"record_layers: layer '' must take a Tensor; got int"),
        ):
            model(3)


class TestUntouched:
    def test_restores_everything(self):
        model, x = network(), images()
        model[0].register_forward_hook(lambda *_: None)
        model[5].weight.requires_grad = False
        model[3].eval()
        model(x).sum().backward()
        tn.manual_seed(9)
        before, kept = snapshot(model), [p.grad for p in model.parameters()]
        with bn.untouched(model):
            assert all(p.grad is None for p in model.parameters())
            assert tn.random.default_generator.get_state() == before[-1]
            model.requires_grad_(True)
            model.train()
            handle = model[1].register_forward_hook(lambda *_: None)
            model[0].register_full_backward_hook(lambda *_: None)
            model(x).sum().backward()
            with tn.no_grad():
                for p in model.parameters():
                    p.zero_()
            assert all(p.grad is not None for p in model.parameters())
            assert snapshot(model)[0] != before[0]
        assert snapshot(model) == before
        assert all(p.grad is old for p, old in zip(model.parameters(), kept, strict=True))
        assert not model[0]._backward_hooks
        handle.remove()  # harmless
        assert snapshot(model) == before

    def test_after_an_error(self):
        model = network()
        before = snapshot(model)

        def fail():
            model(images())
            model.eval()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), bn.untouched(model):
            fail()
        assert snapshot(model) == before

    def test_what_was_computed_before_keeps_its_backward(self):
        model, x = network().eval(), images()
        twin = copy.deepcopy(model)
        loss = model(x).sum()
        with bn.untouched(model):
            model(x).sum().backward()
        loss.backward()
        twin(x).sum().backward()
        assert snapshot(model)[1] == snapshot(twin)[1]

    def test_signed_zeros_and_nan(self):
        layer = nn.Linear(2, 1, bias=False)
        with tn.no_grad():
            layer.weight.copy_(tn.tensor(np.array([[-0.0, np.nan]], np.float32)))
        before = snapshot(layer)
        with bn.untouched(layer), tn.no_grad():
            layer.weight.zero_()
        assert snapshot(layer) == before

    def test_nested(self):
        model = network()
        before = snapshot(model)
        with bn.untouched(model):
            model(images())
            middle = snapshot(model)
            with bn.untouched(model):
                model(images())
            assert snapshot(model) == middle
        assert snapshot(model) == before

    def test_no_module(self):
        with pytest.raises(DTypeError, match=r"untouched: model must be a Module; got NoneType"):
            bn.untouched(None).__enter__()
