"""Claims: what a study says beforehand, next to what came out; tables of both for the terminal.

A claim is a sentence with a number in it.  The bound is fixed before the run; the run supplies the value;
whether the claim holds follows from the two.  Where the bound was set for another data set or another length
of training, the value is still reported, without a bound and without a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tinynet.errors import ArgumentError

_VERDICT = {True: "yes", False: "NO", None: "-"}


@dataclass(frozen=True)
class Claim:
    """One claim of a study.

    Parameters
    ----------
    name : str
        The claim as a sentence.
    value : float or None
        What was measured; None if there is no such number (a level that was never reached).  A value that is
        not finite becomes None.
    bound : str or None
        The bound as text, for example ``">= 0.85"``; None where the study has none for this data set or
        length.
    holds : bool or None
        Whether `value` is within `bound`; None exactly where there is no bound.

    Raises
    ------
    ArgumentError
        If only one of `bound` and `holds` is None.

    See Also
    --------
    Claim.at_least, Claim.at_most : the usual ways to make one.

    Examples
    --------
    >>> from tinynet.experiments import Claim
    >>> Claim.at_least("the network learns", 0.97, 0.95).holds
    True
    """

    name: str
    value: float | None
    bound: str | None
    holds: bool | None

    def __post_init__(self) -> None:
        if (self.bound is None) != (self.holds is None):
            raise ArgumentError(
                "Claim: bound and holds must both be None or both be given; "
                f"got bound={self.bound!r}, holds={self.holds!r}"
            )
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)  # JSON has no nan; a claim without a number cannot hold
            object.__setattr__(self, "holds", None if self.bound is None else False)

    @classmethod
    def at_least(cls, name: str, value: float | None, limit: float | None) -> Claim:
        """Make the claim `name`, ``value >= limit``; no limit means no bound, no value that it fails."""
        if limit is None:
            return cls(name, value, None, None)
        return cls(name, value, f">= {limit:.4g}", value is not None and value >= limit)

    @classmethod
    def at_most(cls, name: str, value: float | None, limit: float | None) -> Claim:
        """Make the claim `name`, ``value <= limit``; no limit means no bound, no value that it fails."""
        if limit is None:
            return cls(name, value, None, None)
        return cls(name, value, f"<= {limit:.4g}", value is not None and value <= limit)

    def to_json(self) -> dict[str, str | float | bool | None]:
        """Return the claim as ``{"name", "value", "bound", "holds"}``."""
        return {"name": self.name, "value": self.value, "bound": self.bound, "holds": self.holds}


def claims_table(claims: Iterable[Claim]) -> str:
    """Return the claims as a table for the terminal: one line per claim, ``NO`` where one does not hold.

    Parameters
    ----------
    claims : iterable of Claim
        In the order of the lines.

    Returns
    -------
    str
        See `table`.

    Examples
    --------
    >>> from tinynet.experiments import Claim, claims_table
    >>> print(claims_table([Claim.at_least("the network learns", 0.97, 0.95)]))
    claim               value  bound    holds
    ------------------  -----  -------  -----
    the network learns   0.97  >= 0.95  yes
    """
    rows = [
        (
            claim.name,
            "-" if claim.value is None else f"{claim.value:.4g}",
            claim.bound or "-",
            _VERDICT[claim.holds],
        )
        for claim in claims
    ]
    return table(("claim", "value", "bound", "holds"), rows, right=(1,))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Return text in columns: a head, a rule, the rows.

    Parameters
    ----------
    head : sequence of str
        The titles of the columns.
    rows : sequence of sequences of str
        The cells; every row as long as `head`.
    right : iterable of int
        The columns that are aligned at the right (numbers); the others are aligned at the left.

    Returns
    -------
    str
        Lines joined by newlines, without trailing blanks.

    Raises
    ------
    ArgumentError
        If a row has another length than `head`.

    Examples
    --------
    >>> from tinynet.experiments import table
    >>> print(table(("step", "accuracy"), [("1", "0.1"), ("250", "0.93")], right=(0,)))
    step  accuracy
    ----  --------
       1  0.1
     250  0.93
    """
    for row in rows:
        if len(row) != len(head):
            raise ArgumentError(f"table: rows must have {len(head)} cells; got {list(row)!r}")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    at_right = frozenset(right)

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column in at_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])


def spread(values: Iterable[float | None], form: str = ".3g", *, geometric: bool = False) -> str:
    """Return a cell: the mean of a measurement over the seeds and, where they differ, their range.

    Parameters
    ----------
    values : iterable of float or None
        One per seed; None and what is not finite is counted, not averaged.
    form : str
        As in ``format(value, form)``.
    geometric : bool, default False
        Whether the mean is the geometric one, of positive numbers.

    Returns
    -------
    str
        ``"2.5 (1 to 4)"``, ``"2.5"`` where all seeds give the same text, ``"none in 1 of 3"``,
        ``"not finite in 1 of 3"``.

    Examples
    --------
    >>> from tinynet.experiments.claims import spread
    >>> spread([1.0, 4.0]), spread([2.0]), spread([1.0, float("nan")]), spread([None])
    ('2.5 (1 to 4)', '2', 'not finite in 1 of 2', 'none')
    """
    every = list(values)
    found = [value for value in every if value is not None]
    if not found:
        return "none"
    if len(found) < len(every):
        return f"none in {len(every) - len(found)} of {len(every)}"
    wrong = sum(not math.isfinite(value) for value in found)
    if wrong:
        return "not finite" if wrong == len(found) else f"not finite in {wrong} of {len(found)}"
    mean = geometric_mean(found) if geometric else math.fsum(found) / len(found)
    middle, low, high = (format(value, form) for value in (mean, min(found), max(found)))
    return middle if low == high else f"{middle} ({low} to {high})"


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean of positive numbers; None if one is none or not finite, or there are none."""
    found = list(values)
    if not found or any(value is None or not 0 < value < math.inf for value in found):
        return None
    return math.exp(math.fsum(math.log(value) for value in found if value) / len(found))


def largest(values: Iterable[float]) -> float:
    """Return the largest number; nan if one is, wherever it stands: Python's max would pass over it."""
    return float(np.max(list(values)))


def smallest(values: Iterable[float]) -> float:
    """Return the smallest number; nan if one is."""
    return float(np.min(list(values)))
