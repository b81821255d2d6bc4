from typing import Any

import numpy as np
from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Linear(Op): ...

def _set_panels_up_to(work: float) -> float: ...
def _panel_product(
    c: np.ndarray[Any, Any],
    a: np.ndarray[Any, Any],
    b: np.ndarray[Any, Any],
    bias: np.ndarray[Any, Any] | None,
    accumulate: bool,
    packed: bool,
) -> None: ...
