"""A script in PyTorch's style runs after its imports are changed, and nothing else.

tests/pytorch_style/mnist_torch.py imports torch.  Here its import lines, and only these, are replaced by
those of `IMPORTS`, and the result is run.  Further edits that were needed: none.  What makes that so and has
no other purpose here: `tinynet.cuda.is_available` (False) and `tinynet.device` ("cpu").

Known differences that the script does not meet: `torch.save` writes a pickle, `tinynet.save` safetensors; the
same seed gives other random numbers; a loader's workers are threads.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tinynet as tn

SCRIPT = Path(__file__).parent / "pytorch_style" / "mnist_torch.py"
IMPORTS = {
    "import torch": "import tinynet as torch",
    "import torch.nn as nn": "import tinynet.nn as nn",
    "import torch.nn.functional as F": "import tinynet.nn.functional as F",
    "import torch.optim as optim": "import tinynet.optim as optim",
    "from torch.optim.lr_scheduler import StepLR": "from tinynet.optim.lr_scheduler import StepLR",
    "from torch.utils.data import DataLoader, TensorDataset": (
        "from tinynet.data import DataLoader, TensorDataset"
    ),
}
OPTIONS = ["--epochs", "6", "--batch-size", "32", "--hidden", "64", "--no-cuda", "--log-interval", "20"]


def load_script(imports: dict[str, str]) -> ModuleType:
    """The script as a module, with these import lines replaced."""
    lines = SCRIPT.read_text().splitlines()
    source = "\n".join(imports.get(line, line) for line in lines)
    module = ModuleType("mnist")
    exec(compile(source, str(SCRIPT), "exec"), module.__dict__)
    return module


def run(module: ModuleType, *options: str) -> list[str]:
    """What the script prints, line by line."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        module.main(list(options))
    return printed.getvalue().splitlines()


def accuracies(lines: list[str]) -> list[float]:
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


def test_every_import_of_torch_is_replaced_and_nothing_else():
    lines = SCRIPT.read_text().splitlines()
    imports = [line for line in lines if re.match(r"(import|from) torch\b", line)]
    assert imports == list(IMPORTS)
    others = [line for line in lines if "import" in line and line not in IMPORTS]
    assert others == ["from __future__ import annotations", "import argparse", "import numpy as np"]


def test_it_learns(digits, tmp_path):
    saved = tmp_path / "mnist.safetensors"
    module = load_script(IMPORTS)
    lines = run(module, digits, *OPTIONS, "--save-model", str(saved))
    assert accuracies(lines)[-1] > 93
    assert lines[0].startswith("Train Epoch: 1 [0/1400 (0%)]\tLoss: 2.")
    model = module.Net(64, 0.25)
    model.load_state_dict(tn.load(saved))
    loader = module.DataLoader(module.load(digits, "test"), batch_size=1000)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        module.test(model, "cpu", loader)
    assert accuracies(printed.getvalue().splitlines()) == accuracies(lines)[-1:]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_it_gives_the_same_numbers_again(digits, workers):
    module = load_script(IMPORTS)
    first = run(module, digits, "--epochs", "1", "--num-workers", "1")
    assert run(module, digits, "--epochs", "1", "--num-workers", workers) == first


def test_dry_run(digits):
    lines = run(load_script(IMPORTS), digits, "--dry-run", "--epochs", "2")
    assert [line.split()[2] for line in lines if line.startswith("Train")] == ["1", "2"]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_it_does_what_pytorch_does(digits):
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        theirs = run(load_script({}), digits, *OPTIONS, "--num-workers", "0")
    finally:
        torch.set_num_threads(threads)
    ours = run(load_script(IMPORTS), digits, *OPTIONS, "--num-workers", "0")
    assert form(ours) == form(theirs)
    np.testing.assert_allclose(accuracies(ours)[-1], accuracies(theirs)[-1], atol=2.5)
