from typing_extensions import disjoint_base

from tinynet._graph import Op

@disjoint_base
class Linear(Op): ...

def _set_panels_up_to(work: float) -> float: ...
