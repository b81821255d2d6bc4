"""The graph: what an operation is, what is recorded of it, and the sweep that carries gradients back.

An `Op` is one call of an operation on arrays.  Its `forward` computes the output and saves what the gradient needs; its
`backward` receives the gradient of the output and returns the gradients of the inputs.  The instance lives for one call and
is itself the place where saved values stay.

A `Node` records one call: the op and, for each input, the node that made it.  Leaves (parameters) have a `Leaf`, which holds
their accumulated gradient.  Nodes point backwards only, and tensors point to nodes but nodes never to tensors: there are no
reference cycles, and a graph is freed the moment its last tensor is.

The sweep needs no recursion and no sorting pass.  Nodes are numbered as they are made, so every consumer of a value has a
higher number than the node that made it; taking always the highest-numbered node that has received a gradient visits each
node after all its consumers.

Gradients are arrays.  One that was handed over may be shared (addition hands the same array to both sides), so it is
overwritten only where the sweep holds the only reference to it; otherwise a sum goes into a new array.

Where an op and the one before it are better done together - ReLU after batch normalisation - the sweep leaves the backward of
the later one to the earlier: it passes the gradient on as a `Deferred`, if the earlier one is next and nobody looks at what is
between, no hook and no second consumer; so nobody can tell.

Whoever wants to see a gradient on its way - hooks, a tensor that retains it - is entered in the node's `Watch`.  A sweep can be
told to stay on the paths to given nodes and to hand out what arrives there: that is `autograd.grad`.
"""

cimport cython
import os
import sys
from heapq import heapify, heappop, heappush
from linecache import getline

from numpy cimport PyArray_ISWRITEABLE, PyArray_SAMESHAPE, import_array, ndarray

from tinynet.errors import GraphError
from tinynet.ops.checks cimport mute, unmute
from tinynet.ops.kernels cimport K
from tinynet.ops.layout cimport is_channels_last
from tinynet.ops.memory cimport Block, block_of, matching, new_like, same_layout, sole_reference, touch
from tinynet.ops.pending cimport before_write
from tinynet.ops.walk cimport assign, combine

import numpy as np

import_array()

cdef str HINT = "\n(autograd.set_detect_anomaly(True) before the forward shows the line that made it)"
cdef uint64_t last_sequence = 0
cdef bint anomaly = False                # remember where nodes were recorded, and name the line if their backward fails
cdef bint anomaly_nan = False            # ... or gives nan
cdef str PACKAGE = os.path.dirname(__file__) + os.sep


cdef class Op:
    """One call of an operation.

    A subclass gives the equations in its docstring, says what it saves, and defines

    ``forward(inputs, out)``
        `inputs` is a tuple of arrays (None for an argument left out); returns the output array, or a tuple of them.
        `out`, if not None, is an array of the right shape to write into; an op that cannot use it may return another.
    ``backward(gy, needs, into)``
        `gy` is the gradient of the output (a list with None for outputs that nobody used, if there are several);
        `needs[i]` says whether the gradient of input i is wanted; `into[i]` is None or an array that already holds a part
        of it and may be added to: an op that does so returns that same array.  Returns one array (or None) per input.
    ``takes_over(following)``
        Whether `backward` does that of `following`, an op on this one's result alone, as well: `gy` is a `Deferred` then.

    Everything is checked in `forward` before anything is computed.
    """

    cdef object forward(self, tuple inputs, ndarray out):
        raise NotImplementedError(f"{self.name}: no forward")

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        raise NotImplementedError(f"{self.name}: no backward")

    arguments = ("x",)                   # names of the inputs, as the door has them
    optional = ()                        # those that may be None

    @property
    def name(self):
        """The operation's name, as its door in nn.functional or the Tensor method has it."""
        return type(self).__name__.lower()

    cdef int save(self, tuple arrays) except -1:
        """Keep arrays for backward and remember their versions; nothing if there will be no backward."""
        cdef int i
        cdef Block block
        if True not in self.needs:
            return 0
        if len(arrays) > MAX_SAVED:
            raise ValueError(f"{self.name}: an op saves at most {MAX_SAVED} arrays; got {len(arrays)}")
        self.saved = arrays
        for i in range(len(arrays)):
            if arrays[i] is not None:
                block = block_of(<ndarray>arrays[i])
                if block is not None:
                    self.versions[i] = block.version
                    block.is_saved = True
        return 0

    cdef bint takes_over(self, Op following):
        return False

    cdef int check_saved(self) except -1:
        """Raise if a saved array was changed in place since."""
        cdef int i
        cdef Block block
        if self.saved is None:
            return 0
        for i in range(len(self.saved)):
            if self.saved[i] is None:
                continue
            block = block_of(<ndarray>self.saved[i])
            if block is not None and block.version != self.versions[i]:
                raise GraphError(
                    f"backward: {self.name} needs a value of shape {(<object>self.saved[i]).shape} that was changed in place "
                    f"after its forward: saved at version {self.versions[i]}, now at version {block.version}; "
                    "change a copy (.clone()) instead" + HINT)
        return 0


@cython.trashcan(True)
cdef class Node:
    """The record of one call in the graph."""

    @property
    def name(self):
        """Name of the operation that made this node's output."""
        return "freed graph" if self.op is None else self.op.name

    @property
    def next_functions(self):
        """The nodes of the inputs that require gradients."""
        return tuple(p for p in self.parents or () if p is not None)

    def __lt__(self, Node other):
        return self.sequence > other.sequence    # a heap of nodes gives the newest first

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return <Py_ssize_t><void*>self >> 4

    def __repr__(self):
        return f"<{type(self).__name__} {self.name}>"


cdef class Leaf(Node):
    """Where the gradient of a leaf tensor collects, or that of another tensor that retains its gradient."""

    @property
    def name(self):
        return "leaf"


@cython.final
cdef class Deferred:
    """A gradient that stands before an op instead of behind it, for the node that comes next in the sweep."""


cdef class Watch:
    """Who wants to see the gradients of a node's outputs on their way."""

    def __cinit__(self):
        self.hooks, self.retained, self.after = {}, {}, {}


cdef Watch watch_of(Node node):
    """The node's `Watch`, made if there is none."""
    if node.watch is None:
        node.watch = Watch.__new__(Watch)
    return node.watch


cdef ndarray add(ndarray a, ndarray b):
    """a + b in a new array laid out like a; like b if b is an image with its channels last and a is not."""
    cdef ndarray y = new_like(b if is_channels_last(b) and not is_channels_last(a) else a)
    add_into(y, a, b)
    return y


cdef int add_into(ndarray y, ndarray a, ndarray b) except -1:
    """y = a + b; y may be a."""
    if not combine(K.add_f32, y, a, b) and not combine(K.add_f32, y, matching(a, y), matching(b, y)):
        np.add(a, b, out=y)
    return 0


cdef Node record(Op op, tuple parents, tuple indices, int n_outputs):
    """A new node for a call of `op`."""
    global last_sequence
    cdef Node node = Node.__new__(Node)
    last_sequence += 1
    node.sequence = last_sequence
    node.op = op
    node.parents = parents
    node.indices = indices
    node.needs = op.needs
    node.n_outputs = n_outputs
    if anomaly:
        node.place = calling_line()
    return node


# ---- the sweep --------------------------------------------------------------------------------------------------------

cdef int receive(dict held, Node node, int index, object g) except -1:
    """Add g, an array (or a `Deferred`, which stays alone), to what `held` has for output `index` of the node."""
    cdef list parts
    if node.n_outputs == 1:
        held[node] = add(<ndarray>held[node], <ndarray>g) if node in held else g
        return 0
    parts = held.setdefault(node, [None] * node.n_outputs)
    parts[index] = g if parts[index] is None else add(<ndarray>parts[index], <ndarray>g)
    return 0


cdef bint defers(Node node, Op op, dict held, list waiting, dict captured) except -1:
    """Whether the node's backward may be left to the one that its input came from, where nobody looks at what is between.

    That one must be next: a gradient kept longer than that could keep another op from adding to it where it lies, and a sum made
    elsewhere can have other bits.
    """
    cdef Node parent = <Node>node.parents[0]
    return (parent.op is not None and parent.op.takes_over(op) and parent.watch is None and parent not in held
            and (captured is None or parent not in captured)
            and (not waiting or (<Node>waiting[0]).sequence < parent.sequence))


cdef int deposit(Leaf leaf, ndarray g, bint ours) except -1:
    """Add g to the leaf's gradient, in the layout of the leaf; if `ours`, the leaf may keep g itself."""
    if leaf.grad is not None and PyArray_ISWRITEABLE(leaf.grad):
        before_write(leaf.grad)
        add_into(leaf.grad, leaf.grad, g)
        touch(leaf.grad)
    elif leaf.grad is not None:
        leaf.grad, leaf.wrapped = add(leaf.grad, g), None
    elif ours and same_layout(g, leaf.like):
        leaf.grad, leaf.wrapped = g, None
    else:
        leaf.grad, leaf.wrapped = new_like(leaf.like), None
        assign(leaf.grad, g)
    return 0


cdef int finish_leaf(Leaf leaf, dict held) except -1:
    """Add the gradient that this sweep collected to the leaf's own."""
    cdef ndarray g = <ndarray>held.pop(leaf)
    if not PyArray_SAMESHAPE(g, leaf.like):
        raise GraphError(f"backward: a leaf has taken over data of shape {(<object>leaf.like).shape} since the forward, where "
                         f"its shape was {(<object>g).shape}")
    # If `g` is all there is, the leaf takes it over; otherwise somebody else holds it too, or it is a view.
    deposit(leaf, g, sole_reference(g, 1))
    if leaf.watch is not None:
        for hook in list(leaf.watch.after.values()):
            hook()
    return 0


cdef int show(dict held, Node node) except -1:
    """Call the hooks on the node's gradients, which may replace them, and keep those that are to be retained."""
    cdef list parts = [held[node]] if node.n_outputs == 1 else held[node]
    for index, hooks in list(node.watch.hooks.items()):      # a hook may register or remove hooks
        for hook in list(hooks.values()):
            if parts[index] is not None:
                parts[index] = hook(parts[index])
    for index, leaf in node.watch.retained.items():
        if parts[index] is not None:
            deposit(<Leaf>leaf, <ndarray>parts[index], False)
    if node.n_outputs == 1:
        held[node] = parts[0]
    return 0


cdef int sweep(dict held, bint retain_graph, dict captured=None, set path=None) except -1:
    """Carry the gradients in `held` back: each node that has received one maps to it (several outputs: to a list of them).

    `held` lives for this sweep, so an error leaves nothing behind and two threads do not meet.  With `path` only its nodes are
    gone through (see `paths`).  With `captured` the gradients of its nodes are put there, and none is added to a leaf.
    """
    cdef object former
    cdef Node node
    cdef Op op
    cdef object gy
    cdef tuple gradients, needs, into, parents
    cdef list waiting = []               # the nodes in `held`, a heap: the newest first
    cdef list leaves = []                # and those that are leaves
    for node in held:
        if path is None or node in path:
            (leaves if isinstance(node, Leaf) else waiting).append(node)
    heapify(waiting)
    former = mute()                      # gradients overflow to inf without a warning, in NumPy as in C
    try:
        while waiting:
            node = <Node>heappop(waiting)
            if node.watch is not None:
                show(held, node)
            if captured is not None and node in captured:
                captured[node] = held[node]
            op, needs = node.op, node.needs
            if op is None:
                if captured is not None and node in captured and len(captured) == 1:
                    continue                 # nothing is wanted from beyond the freed node
                raise freed()
            if path is not None:
                needs = tuple([needs[i] and node.parents[i] in path for i in range(len(needs))])
                if True not in needs:
                    continue
            gy, parents = held.pop(node), node.parents
            if op.recipe is not None and not anomaly and defers(node, op, held, waiting, captured):
                op.check_saved()
                gradients, into = (deferred(<ndarray>gy, op),), None
            else:
                op.final = not retain_graph and not anomaly      # a nan that is found leaves everything as it was
                into = collected(held, parents)
                if anomaly:
                    gradients = checked_backward(node, op, gy, needs, into)
                else:
                    op.check_saved()
                    gradients = op.backward(gy, needs, into)
            gy = op = None
            if not retain_graph:
                node.op, node.parents = None, None
            hand_on(held, waiting, leaves, parents, node.indices, gradients, into, needs)
            gradients, into = None, None         # references would keep gradients from being overwritten
        for node in leaves:
            if node.watch is not None:
                show(held, node)
            if captured is None:
                finish_leaf(<Leaf>node, held)
            elif node in captured:
                captured[node] = held[node]
    finally:
        unmute(former)
    return 0


cdef Deferred deferred(ndarray gradient, Op op):
    cdef Deferred d = Deferred.__new__(Deferred)
    d.gradient, d.op = gradient, op
    return d


cdef int hand_on(dict held, list waiting, list leaves, tuple parents, tuple indices, tuple gradients, tuple into,
                 tuple needs) except -1:
    """Give the gradients of a node's inputs to the nodes that made them."""
    cdef Node parent
    cdef object g
    cdef int i
    for i in range(len(gradients)):
        if gradients[i] is None or not needs[i]:
            continue
        parent = <Node>parents[i]
        g = gradients[i]
        if into is not None and into[i] is g:
            continue                     # the op has added to what was there
        if parent not in held:
            if isinstance(parent, Leaf):
                leaves.append(parent)
            else:
                heappush(waiting, parent)
        receive(held, parent, 0 if indices is None else indices[i], g)
    return 0


cdef tuple collected(dict held, tuple parents):
    """For each input the gradient already collected for it, if the sweep may add to it in place; None if there is none."""
    cdef int i
    cdef bint any_found = False
    cdef Node parent
    for i in range(len(parents)):
        if parents[i] is not None and parents[i] in held:
            any_found = True
    if not any_found:
        return None
    cdef list found = []
    cdef ndarray g
    for i in range(len(parents)):
        parent = <Node>parents[i]
        g = None
        if parent is not None and parent.n_outputs == 1 and parent in held and parents.count(parent) == 1:
            g = <ndarray>held[parent]
            if not sole_reference(g, 2):         # that of `held` and ours
                g = None
        found.append(g)
    return tuple(found)


cdef object freed():
    return GraphError("backward: the graph was freed by an earlier backward; "
                      "pass retain_graph=True to that one to go through it again")


cdef set paths(object roots, object targets):
    """The nodes that lie on a way from one of `roots` back to one of `targets`, both included."""
    cdef set seen = set(roots), path = set()
    cdef list waiting = list(seen)
    cdef Node node
    while waiting:
        node = <Node>waiting.pop()
        if node.parents is None and not isinstance(node, Leaf) and node not in targets:
            raise freed()
        for parent in node.parents or ():
            if parent is not None and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    for node in sorted(seen, reverse=True):          # the oldest first: inputs before what was made of them
        if node in targets or (node.parents is not None and not path.isdisjoint(node.parents)):
            path.add(node)
    return path


# ---- anomalies --------------------------------------------------------------------------------------------------------

def anomaly_mode():
    """(whether anomalies are looked for, whether nan is one)."""
    return anomaly, anomaly_nan


def set_anomaly_mode(bint mode, bint check_nan):
    """See `autograd.set_detect_anomaly`."""
    global anomaly, anomaly_nan
    anomaly, anomaly_nan = mode, check_nan


cdef tuple calling_line():
    """(file, line, function) of the innermost Python frame outside this package; of the innermost one if there is none."""
    frame = innermost = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    frame = frame or innermost
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name


cdef str origin(Node node):
    """A sentence on where the node was recorded."""
    if node.place is None:
        return "\n(its forward ran before anomaly detection was switched on)"
    file, line, function = node.place
    code = getline(file, line).strip()
    return f'\nits forward: File "{file}", line {line}, in {function}' + (f"\n    {code}" if code else "")


cdef tuple checked_backward(Node node, Op op, object gy, tuple needs, tuple into):
    """op.backward, where an error or nan names the line of the forward."""
    cdef tuple gradients
    try:
        op.check_saved()
        gradients = op.backward(gy, needs, into)
    except Exception as error:
        raise GraphError(f"backward: {op.name} failed with {type(error).__name__}: "
                         f"{str(error).removesuffix(HINT)}{origin(node)}") from error
    if anomaly_nan:
        for i in range(len(gradients)):
            if gradients[i] is not None and needs[i] and np.isnan(gradients[i]).any():
                argument = op.arguments[i] if i < len(op.arguments) else f"tensors[{i}]"
                raise GraphError(f"backward: {op.name} gave nan in the gradient of its argument {argument}, of shape "
                                 f"{gradients[i].shape}{origin(node)}")
    return gradients
