"""Scripts in PyTorch's style run after their imports are changed, and nothing else.

The scripts in tests/pytorch_style import torch.  Here their import lines, and only these, are replaced by
those of `IMPORTS`, and the result is run.  Further edits that were needed: none.  What makes that so and has
no other purpose here: `tinynet.cuda.is_available` (False) and `tinynet.device` ("cpu").

Known differences that the scripts do not meet: `torch.save` writes a pickle, `tinynet.save` safetensors; the
same seed gives other random numbers; a loader's workers are threads.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tinynet as tn

SCRIPTS = Path(__file__).parent / "pytorch_style"
IMPORTS = {
    "import torch": "import tinynet as torch",
    "import torch.nn as nn": "import tinynet.nn as nn",
    "import torch.nn.functional as F": "import tinynet.nn.functional as F",
    "import torch.optim as optim": "import tinynet.optim as optim",
    "from torch.optim.lr_scheduler import StepLR": "from tinynet.optim.lr_scheduler import StepLR",
    "from torch.utils.data import DataLoader, TensorDataset": (
        "from tinynet.data import DataLoader, TensorDataset"
    ),
    "from torch import optim": "from tinynet import optim",
    "from torch.utils.data import DataLoader, Dataset": "from tinynet.utils.data import DataLoader, Dataset",
}
OPTIONS = ["--epochs", "6", "--batch-size", "32", "--hidden", "64", "--no-cuda", "--log-interval", "20"]


def load_script(imports: dict[str, str], name: str = "mnist_torch") -> ModuleType:
    """The script as a module, with these import lines replaced."""
    script = SCRIPTS / f"{name}.py"
    source = "\n".join(imports.get(line, line) for line in script.read_text().splitlines())
    module = ModuleType(name)
    exec(compile(source, str(script), "exec"), module.__dict__)
    return module


def printed_by(function: Callable[..., object], *arguments: object) -> list[str]:
    """What a function of a script prints, line by line."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        function(*arguments)
    return printed.getvalue().splitlines()


def run(module: ModuleType, *options: str) -> list[str]:
    """What the script with a command line prints."""
    return printed_by(module.main, list(options))


def accuracies(lines: list[str]) -> list[float]:
    """The shares that stand at the ends of lines."""
    return [float(share) for line in lines for share in re.findall(r"\((\d+\.\d)%\)$", line)]


def form(lines: list[str]) -> list[str]:
    """The lines with every measured number, the fractions and the count of correct guesses, taken out."""
    return [re.sub(r"\d+\.\d+|(?<=Accuracy: )\d+", "#", line) for line in lines]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """scikit-learn's digits, 28 x 28, as the file that the script reads; tinynet has no part in it."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    large = (bunch.images * 15.9375).astype(np.uint8).repeat(3, axis=1).repeat(3, axis=2)
    images = np.pad(large, ((0, 0), (2, 2), (2, 2)))
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:1400], order[1400:]
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(
        path,
        train_images=images[train],
        train_labels=bunch.target[train],
        test_images=images[test],
        test_labels=bunch.target[test],
    )
    return str(path)


@pytest.fixture(scope="module")
def coloured(digits: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same digits in the form of CIFAR-10: 3 x 32 x 32, half of them, each in a colour of its own."""
    rng, arrays = np.random.default_rng(1), {}
    with np.load(digits) as grey:
        for part, count in (("train", 800), ("test", 200)):
            images = np.pad(grey[f"{part}_images"][:count], ((0, 0), (2, 2), (2, 2)))
            colours = rng.uniform(0.4, 1.0, (count, 3, 1, 1))
            arrays[f"{part}_images"] = (images[:, None] * colours).astype(np.uint8)
            arrays[f"{part}_labels"] = grey[f"{part}_labels"][:count]
    path = tmp_path_factory.mktemp("coloured") / "coloured.npz"
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("name", ["mnist_torch", "mnist_cnn_torch", "cifar_torch"])
def test_every_import_of_torch_is_replaced_and_nothing_else(name):
    lines = (SCRIPTS / f"{name}.py").read_text().splitlines()
    imports = [line for line in lines if re.match(r"(import|from) torch\b", line)]
    assert len(imports) >= 5
    assert set(imports) <= set(IMPORTS)
    others = {line for line in lines if re.match(r" *(import|from .* import)\b", line)} - set(IMPORTS)
    assert others <= {"from __future__ import annotations", "import argparse", "import numpy as np"}


def test_it_learns(digits, tmp_path):
    saved = tmp_path / "mnist.safetensors"
    module = load_script(IMPORTS)
    lines = run(module, digits, *OPTIONS, "--save-model", str(saved))
    assert accuracies(lines)[-1] > 93
    assert lines[0].startswith("Train Epoch: 1 [0/1400 (0%)]\tLoss: 2.")
    model = module.Net(64, 0.25)
    model.load_state_dict(tn.load(saved))
    loader = module.DataLoader(module.load(digits, "test"), batch_size=1000)
    assert accuracies(printed_by(module.test, model, "cpu", loader)) == accuracies(lines)[-1:]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_it_gives_the_same_numbers_again(digits, workers):
    module = load_script(IMPORTS)
    first = run(module, digits, "--epochs", "1", "--num-workers", "1")
    assert run(module, digits, "--epochs", "1", "--num-workers", workers) == first


def test_dry_run(digits):
    lines = run(load_script(IMPORTS), digits, "--dry-run", "--epochs", "2")
    assert [line.split()[2] for line in lines if line.startswith("Train")] == ["1", "2"]


def test_convolutional_network_learns(digits):
    lines = printed_by(load_script(IMPORTS, "mnist_cnn_torch").main, digits, 2)
    assert lines[0] == "21840 parameters"
    assert accuracies(lines)[-1] > 90


def test_residual_network_learns_and_is_saved(coloured, tmp_path):
    file = tmp_path / "best.safetensors"
    lines = printed_by(load_script(IMPORTS, "cifar_torch").main, coloured, file, 3)
    assert [line.split()[1] for line in lines[1:4]] == ["1/3", "2/3", "3/3"]
    assert accuracies(lines)[-1] > 60
    assert tn.load(file)["accuracy"] == max(accuracies(lines)[:-1])


@contextlib.contextmanager
def one_thread_of(torch: ModuleType) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_it_does_what_pytorch_does(digits):
    with one_thread_of(pytest.importorskip("torch")):
        theirs = run(load_script({}), digits, *OPTIONS, "--num-workers", "0")
    ours = run(load_script(IMPORTS), digits, *OPTIONS, "--num-workers", "0")
    assert form(ours) == form(theirs)
    np.testing.assert_allclose(accuracies(ours)[-1], accuracies(theirs)[-1], atol=2.5)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "tolerance"), [("mnist_cnn_torch", 3.0), ("cifar_torch", 15.0)])
def test_convolutional_scripts_do_what_pytorch_does(name, tolerance, digits, coloured, tmp_path):
    arguments = [digits, 2] if name == "mnist_cnn_torch" else [coloured, tmp_path / "best", 3]
    with one_thread_of(pytest.importorskip("torch")):
        theirs = printed_by(load_script({}, name).main, *arguments)
    ours = printed_by(load_script(IMPORTS, name).main, *arguments)
    assert form(ours) == form(theirs)
    np.testing.assert_allclose(accuracies(ours)[-1], accuracies(theirs)[-1], atol=tolerance)
