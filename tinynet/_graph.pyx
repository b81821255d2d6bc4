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
"""

cimport cython
from heapq import heappop, heappush

from numpy cimport NPY_FLOAT, PyArray_DATA, PyArray_ISWRITEABLE, PyArray_SIZE, PyArray_TYPE, import_array, ndarray

from tinynet.errors import GraphError
from tinynet.ops.kernels cimport K
from tinynet.ops.memory cimport (
    Block, block_of, is_dense, new_like, same_layout, sole_reference, touch,
)
from tinynet.ops.threads cimport tn_enter, tn_leave

import numpy as np

import_array()

cdef uint64_t last_sequence = 0


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
                    "change a copy (.clone()) instead")
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
    """Where the gradient of a leaf tensor collects."""

    @property
    def name(self):
        return "leaf"


cdef ndarray add(ndarray a, ndarray b):
    """a + b in a new array laid out like a."""
    cdef ndarray y = new_like(a)
    np.add(a, b, out=y)
    return y


cdef int add_in_place(ndarray y, ndarray x) except -1:
    """y += x"""
    cdef unsigned long mode
    if PyArray_TYPE(y) == NPY_FLOAT and is_dense(y) and same_layout(x, y):
        mode = tn_enter()
        K.accumulate_f32(<float*>PyArray_DATA(y), <const float*>PyArray_DATA(x), PyArray_SIZE(y))
        tn_leave(mode)
    else:
        np.add(y, x, out=y)
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
    return node


cdef int receive(dict held, Node node, int index, ndarray g) except -1:
    """Add g to what `held` has for output `index` of the node."""
    cdef list parts
    if node.n_outputs == 1:
        held[node] = add(<ndarray>held[node], g) if node in held else g
        return 0
    parts = held.setdefault(node, [None] * node.n_outputs)
    parts[index] = g if parts[index] is None else add(<ndarray>parts[index], g)
    return 0


cdef int finish_leaf(Leaf leaf, dict held) except -1:
    """Add the gradient that this sweep collected to the leaf's own, in the layout of the leaf."""
    cdef ndarray g = <ndarray>held.pop(leaf)
    if leaf.grad is not None and PyArray_ISWRITEABLE(leaf.grad):
        add_in_place(leaf.grad, g)
        touch(leaf.grad)
    elif leaf.grad is not None:
        leaf.grad, leaf.wrapped = add(leaf.grad, g), None
    # If `g` is all there is, the leaf takes it over; otherwise somebody else holds it too, or it is a view.
    elif same_layout(g, leaf.like) and sole_reference(g, 1):
        leaf.grad, leaf.wrapped = g, None
    else:
        leaf.grad, leaf.wrapped = new_like(leaf.like), None
        (<object>leaf.grad)[...] = g
    return 0


cdef int sweep(Node root, int index, ndarray gradient, bint retain_graph) except -1:
    """Carry `gradient` of root's output `index` back to all leaves."""
    with np.errstate(all="ignore"):      # gradients overflow to inf without a warning, in NumPy as in C
        carry(root, index, gradient, retain_graph)
    return 0


cdef int carry(Node root, int index, ndarray gradient, bint retain_graph) except -1:
    """The sweep itself.  `held` maps each node that has received a gradient to it (several outputs: to a list of them); it lives
    for this sweep, so an error leaves nothing behind and two threads do not meet."""
    cdef Node node, parent
    cdef Op op
    cdef object gy
    cdef tuple gradients, parents, indices, into
    cdef ndarray g
    cdef int i
    cdef dict held = {}
    cdef list waiting = [root]           # the nodes in `held`, a heap: the newest first
    receive(held, root, index, gradient)
    while waiting:
        node = <Node>heappop(waiting)
        if isinstance(node, Leaf):
            finish_leaf(<Leaf>node, held)
            continue
        op = node.op
        if op is None:
            raise GraphError("backward: the graph was freed by an earlier backward; "
                             "pass retain_graph=True to that one to go through it again")
        op.check_saved()
        gy = held.pop(node)
        parents, indices = node.parents, node.indices
        into = collected(held, parents)
        gradients = op.backward(gy, node.needs, into)
        gy = None
        if not retain_graph:
            node.op, node.parents, op = None, None, None
        for i in range(len(gradients)):
            if gradients[i] is None or parents[i] is None:
                continue
            parent = <Node>parents[i]
            g = <ndarray>gradients[i]
            if into is not None and into[i] is g:
                continue                 # the op has added to what was there
            if parent not in held:
                heappush(waiting, parent)
            receive(held, parent, 0 if indices is None else indices[i], g)
        g, gradients, into = None, None, None        # references would keep gradients from being overwritten
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
