"""The study of Ioffe and Szegedy (2015), section 4.2, at the size of a CPU: Inception without and with BN.

The paper trains its network on ImageNet in seven ways; here `bn_inception_tiny` is trained on small images in
the same seven and an eighth.  Two recipes (section 4.2.1):

=====================  ==========================  =======================================
what                   the original's              the revised one, of BN-x5 and after
=====================  ==========================  =======================================
dropout                40 %                        none
L2 weight              5e-4                        a fifth
learning rate          falls to a tenth            falls 6 times as fast (as exponent)
response norm.         after the first max pool    none
order                  one, drawn once             drawn anew for every epoch
crops                  from a frame of 4 pixels    from a frame of 2: images less distorted
=====================  ==========================  =======================================

The learning rate of all falls exponentially, ``rate * 0.1^(t / T)`` after t of the T steps of the original's
run.  At six times the speed it is down to a thousandth after T / 2, where the runs with the revised recipe
end; so do those of the two variants that fail in the paper.

The base rate is the original's best of a grid, on a tenth of the training images that nothing is trained on;
all other rates are multiples of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinynet.data import DataLoader
from tinynet.experiments.images import Images

CHUNK = 50  # images per forward pass of a test: what they leave in the caches is read again there
FASTER = 6  # how many times as fast the revised recipe's learning rate falls


@dataclass(frozen=True)
class Recipe:
    """What a network is trained with, but for its learning rate; see the module."""

    dropout: float
    weight_decay: float
    speed: int  # of the learning rate's fall
    lrn: bool
    reshuffle: bool
    padding: int

    def loader(self, images: Images, batch_size: int, seed: int) -> DataLoader:
        """Return the training batches of `images` by this recipe."""
        return images.loader(batch_size, seed, padding=self.padding, reshuffle=self.reshuffle)


ORIGINAL = Recipe(dropout=0.4, weight_decay=5e-4, speed=1, lrn=True, reshuffle=False, padding=4)
REVISED = Recipe(dropout=0.0, weight_decay=1e-4, speed=FASTER, lrn=False, reshuffle=True, padding=2)


@dataclass(frozen=True)
class Variant:
    """One way to train the network.

    Attributes
    ----------
    name, title : str
        In files, and for people.
    batch_norm : bool
        With batch normalisation before every non-linearity, or without.
    factor : float
        The learning rate as a multiple of the base rate.
    activation : str
        "relu" or "sigmoid".
    recipe : Recipe
        `ORIGINAL` or `REVISED`, or one like it.
    length : float
        The share of the original's epochs that it is trained for.
    paper_steps : float or None
        Steps to 72.2 % on ImageNet that the paper reports; None for never, or where there is no figure.
    paper_accuracy : float or None
        The best accuracy there; None where there is no figure.
    in_paper : bool
        Whether the paper has this variant.
    """

    name: str
    title: str
    batch_norm: bool
    factor: float = 1.0
    activation: str = "relu"
    recipe: Recipe = ORIGINAL
    length: float = 1.0
    paper_steps: float | None = None
    paper_accuracy: float | None = None
    in_paper: bool = True


VARIANTS = (
    Variant("inception", "Inception", False, paper_steps=31.0e6, paper_accuracy=0.722),
    Variant("bn-baseline", "BN-Baseline", True, paper_steps=13.3e6, paper_accuracy=0.727),
    Variant("bn-x5", "BN-x5", True, 5, "relu", REVISED, 0.5, 2.1e6, 0.730),
    Variant("bn-x30", "BN-x30", True, 30, "relu", REVISED, 0.5, 2.7e6, 0.748),
    Variant("bn-x5-sigmoid", "BN-x5-Sigmoid", True, 5, "sigmoid", REVISED, 0.5, None, 0.698),
    Variant("inception-x5", "Inception x5", False, 5, length=0.5),
    Variant("inception-sigmoid", "Inception, sigmoid", False, 1, "sigmoid", length=0.5, paper_accuracy=0.001),
    Variant(
        "bn-x30-long",
        "BN-x30, twice as long",
        True,
        30,
        recipe=replace(REVISED, speed=FASTER // 2),
        in_paper=False,
    ),
)
"""The rows of the paper's Figure 3, the two that it says fail, and one of our own.

The last is BN-x30 with as many steps as BN-Baseline has, the fall of its rate stretched over them.  Beside
the two it shows what of their difference comes from the length of the runs.
"""

BY_NAME = {variant.name: variant for variant in VARIANTS}


@dataclass(frozen=True)
class Settings:
    """What a study is made with.

    Attributes
    ----------
    epochs : int
        Of the original recipe; a variant's share of it is rounded up.
    batch_size : int
        Images per update.
    momentum : float
        Of SGD.
    decay : float
        What the original's learning rate is multiplied with over its whole run.
    rates : tuple of float
        The grid for the base rate.
    grid_length : float
        Share of the epochs of a run of the grid, in which the rate falls as in a whole run.
    per_epoch : int
        Measurements of the test accuracy in an epoch, at equal distances; there is one more at its end, where
        that is no multiple of the distance.
    dropouts : tuple of float
        Of the ensemble's networks; those at 0 are BN-x30 of the table.
    stable_steps : int
        Steps of a trial for the largest stable rate.
    limit : int or None
        Take that many images of each part only, the first ones.
    """

    epochs: int = 8
    batch_size: int = 32
    momentum: float = 0.9
    decay: float = 0.1
    rates: tuple[float, ...] = (0.005, 0.01, 0.02, 0.04)
    grid_length: float = 0.5
    per_epoch: int = 4
    dropouts: tuple[float, ...] = (0.0, 0.0, 0.05, 0.05, 0.1, 0.1)
    stable_steps: int = 200
    limit: int | None = None


SMOKE = Settings(
    epochs=2, rates=(0.01, 0.02), per_epoch=3, dropouts=(0.0, 0.05, 0.1), stable_steps=20, limit=1280
)
"""A trial of a minute, which shows that everything runs and nothing else."""
