"""Convolution and transposed convolution over one or two axes.

A convolution maps images x (N, C, H, W) to y (N, K, P, Q) by a kernel w (K, C / groups, R, S), per group of channels (Dumoulin &
Visin 2016; as everywhere in deep learning it is a correlation, the kernel is not flipped):

    y[n, k, i, j] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, i stride + r dilation - padding, ...]
    P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1

Both gradients are convolutions of the same windows: gx spreads gy back, gw sums the products of gy and x over all windows
(correlation.pyx).  The transposed convolution is the spreading as an op of its own: its forward is the gradient of a convolution
in its images and its gradient is that convolution.  One axis is an image of height 1.

Images are read and written channels last (layout.pyx); the kernel stays (K, C / groups, R, S).
"""

from cython.parallel cimport prange
from numpy cimport (
    NPY_DOUBLE, NPY_FLOAT, PyArray_DATA, PyArray_DIMS, PyArray_NDIM, PyArray_TYPE, import_array, ndarray, npy_intp,
)

from tinynet._graph cimport Op
from tinynet.ops.checks cimport check_float, check_same_dtype, extents, shape_of
from tinynet.ops.correlation cimport product_data, product_forward, product_weights
from tinynet.ops.correlation_double cimport data_f64, forward_f64, weights_f64
from tinynet.ops.depthwise cimport depthwise_data, depthwise_forward, depthwise_weights, takes_depthwise
from tinynet.ops.kernels cimport K, TN_ROW_BLOCK
from tinynet.ops.layout cimport Map, is_nhwc, new_nhwc, nhwc
from tinynet.ops.memory cimport contiguous, new_array
from tinynet.ops.spreading cimport spread_data, takes_spreading
from tinynet.ops.threads cimport SLOTS, team, tn_enter, tn_leave
from tinynet.ops.windows cimport Shape
from tinynet.ops.winograd cimport (
    DATA, FORWARD, WEIGHTS, takes_winograd, winograd_data, winograd_forward, winograd_weights,
)

from tinynet import _check
from tinynet.errors import ArgumentError, ShapeError

import_array()

cdef void column_piece(double* part, const float* x, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t ld, Py_ssize_t step,
                       Py_ssize_t i) noexcept nogil:
    cdef unsigned long mode = tn_enter()
    K.column_sum_f32(part + i * c, x + i * step * ld, min(step, rows - i * step), c, ld)
    tn_leave(mode)


cdef ndarray channel_sums(ndarray x):
    """The sum of each channel of x (N, C, H, W), float32 through double."""
    cdef Map m
    cdef ndarray y = new_array(1, PyArray_DIMS(x) + 1, PyArray_TYPE(x)), parts
    if PyArray_TYPE(x) != NPY_FLOAT:
        (<object>y)[...] = (<object>x).sum(axis=(0, 2, 3))
        return y
    x = nhwc(x, &m)
    cdef Py_ssize_t rows = m.n * m.h * m.w, c = m.c, ld = m.ld, i, j
    cdef Py_ssize_t step = max(((rows + SLOTS - 1) // SLOTS + TN_ROW_BLOCK - 1) // TN_ROW_BLOCK, 1) * TN_ROW_BLOCK
    cdef Py_ssize_t ranges = max((rows + step - 1) // step, 1)
    cdef npy_intp size = ranges * c
    parts = new_array(1, &size, NPY_DOUBLE)
    cdef double* part = <double*>PyArray_DATA(parts)
    cdef const float* px = <const float*>m.data
    cdef int threads = team(4.0 * rows * c, ranges)
    if threads == 1:
        with nogil:
            for i in range(ranges):
                column_piece(part, px, rows, c, ld, step, i)
    else:
        for i in prange(ranges, nogil=True, schedule="static", num_threads=threads):
            column_piece(part, px, rows, c, ld, step, i)
    for i in range(1, ranges):
        for j in range(c):
            part[j] += part[i * c + j]
    for j in range(c):
        (<float*>PyArray_DATA(y))[j] = <float>part[j]
    return y


cdef object extent(str op, object size):
    """An extent of an output, which must be a possible one."""
    if size > _check.LARGEST:
        raise ShapeError(f"{op}: the output must have extents below 2^31; got {size}")
    return size


cdef ndarray target(ndarray into, Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w, int dtype, Map* m):
    """Where a result goes: the images `into`, or new ones if None; m describes them."""
    if into is None:
        return new_nhwc(n, c, h, w, dtype, m)
    is_nhwc(into, m)
    return into


cdef class Windows(Op):
    """What both convolutions share.  Images (N, C, H, W) and outputs (N, K, rows, columns) are those of the convolution: its
    input and output, and the transposed one's output and input.

    Saves the input if gw is wanted, w if gx is.  If no gradient is, the kernel's block may keep it as the products read it
    (ops/prepared.pyx).
    """

    arguments = ("input", "weight", "bias")
    optional = ("bias",)

    cdef int axes
    cdef bint transposed
    cdef tuple stride, dilation
    cdef object padding                  # a tuple, "same" or "valid"
    cdef Py_ssize_t groups
    cdef Shape shape
    cdef bint single, has_bias           # single: a batch of one without its axis
    cdef bint keeping                    # no gradient is wanted: the kernel stays as it is, probably

    cdef int options(self, object stride, object dilation, object groups) except -1:
        self.stride = extents(self.name, "stride", stride, self.axes, 1)
        self.dilation = extents(self.name, "dilation", dilation, self.axes, 1)
        self.groups = groups if type(groups) is int and groups >= 1 else _check.integer(self.name, "groups", groups, 1)
        return 0

    cdef int measure(self, Py_ssize_t h, Py_ssize_t w) except -1:
        """Extents of the output and the padding, from extents of the input."""
        raise NotImplementedError(self.name)

    cdef object forward(self, tuple inputs, ndarray out):
        cdef ndarray x = inputs[0], w = inputs[1], b = inputs[2], y
        cdef Map m
        self.check(x, w, b)
        x = self.image(x)                                                   # (N, C, H, W)
        self.measure(PyArray_DIMS(x)[2], PyArray_DIMS(x)[3])
        if PyArray_TYPE(x) == NPY_FLOAT:
            x = nhwc(x, &m)
        self.keeping = True not in self.needs
        y = self.spread(x, w, b, None) if self.transposed else self.gathered(x, w, b, None)
        self.has_bias = b is not None
        self.save((x if self.needs[1] else None, w if self.needs[0] else None))
        return self.as_given(y)

    cdef tuple backward(self, object gy, tuple needs, tuple into):
        cdef ndarray x = self.saved[0], w = self.saved[1], g = self.image(gy), gx = None, gw = None, gb = None
        cdef ndarray part = None                                            # of gx, if it may be added to
        cdef Map m
        if PyArray_TYPE(g) == NPY_FLOAT:
            g = nhwc(g, &m)
        if needs[0]:
            if into is not None and into[0] is not None and self.axes == 2 and not self.single and is_nhwc(into[0], &m):
                part = into[0]
            gx = self.gathered(g, w, None, part) if self.transposed else self.spread(g, w, None, part)
            gx = self.as_given(gx)
        if needs[1]:
            gw = self.kernel(g, x) if self.transposed else self.kernel(x, g)
        if self.has_bias and needs[2]:
            gb = channel_sums(g)
        return gx, gw, gb

    cdef ndarray image(self, ndarray x):
        """x as (N, C, H, W): a view."""
        cdef object y = x[None] if self.single else x
        return y if self.axes == 2 else y[:, :, None]

    cdef ndarray as_given(self, ndarray x):
        """An image (N, C, H, W) with the axes of the input."""
        cdef object y = x if self.axes == 2 else (<object>x)[:, :, 0]
        return y[0] if self.single else y

    cdef int check(self, ndarray x, ndarray w, ndarray b) except -1:
        """Everything but the extents of images; fills the channels and the kernel of `shape`."""
        cdef Shape* z = &self.shape
        cdef str op = self.name
        cdef int nd = self.axes + 2, d
        cdef Py_ssize_t c, k, wanted
        cdef bint empty = False
        check_float(op, "input", x)
        check_same_dtype(op, "input", x, "weight", w)
        if PyArray_NDIM(x) != nd and PyArray_NDIM(x) != nd - 1:
            space = ", H, W" if self.axes == 2 else ", L"
            raise ShapeError(f"{op}: input must have shape (N, C{space}) or (C{space}); got {shape_of(x)}")
        self.single = PyArray_NDIM(x) == nd - 1
        for d in range(PyArray_NDIM(w)):
            empty = empty or PyArray_DIMS(w)[d] == 0
        if PyArray_NDIM(w) != nd or empty:
            raise ShapeError(f"{op}: weight must have shape {self.form()}, all at least 1; got {shape_of(w)}")
        c = PyArray_DIMS(x)[0 if self.single else 1]
        wanted, k = PyArray_DIMS(w)[1] * self.groups, PyArray_DIMS(w)[0]
        if self.transposed:
            wanted, k = k, wanted
        if wanted != c:
            raise ShapeError(f"{op}: weight must have shape {self.form()} with C = {c} to match input {shape_of(x)}, "
                             f"groups={self.groups}; got {shape_of(w)}")
        if PyArray_DIMS(w)[0] % self.groups:
            raise ShapeError(f"{op}: weight must have shape {self.form()} with {'C' if self.transposed else 'K'} a multiple of "
                             f"groups={self.groups}; got {shape_of(w)}")
        if b is not None:
            check_same_dtype(op, "input", x, "bias", b)
            if PyArray_NDIM(b) != 1 or PyArray_DIMS(b)[0] != k:
                raise ShapeError(f"{op}: bias must have shape (K,) with K = {k} to match weight {shape_of(w)}, "
                                 f"groups={self.groups}; got {shape_of(b)}")
        for d in range(0 if self.single else 1, PyArray_NDIM(x)):
            empty = empty or PyArray_DIMS(x)[d] == 0
        if empty:
            raise ShapeError(f"{op}: input must have at least one pixel in each channel; got {shape_of(x)}")
        z.n, z.groups = 1 if self.single else PyArray_DIMS(x)[0], self.groups
        z.c, z.k = (k, c) if self.transposed else (c, k)
        z.r, z.s = PyArray_DIMS(w)[2] if self.axes == 2 else 1, PyArray_DIMS(w)[nd - 1]
        z.step_h, z.step_w = self.stride[0] if self.axes == 2 else 1, self.stride[self.axes - 1]
        z.gap_h, z.gap_w = self.dilation[0] if self.axes == 2 else 1, self.dilation[self.axes - 1]
        return 0

    cdef str form(self):
        """The weight's shape, for messages."""
        return f"({'C, K' if self.transposed else 'K, C'}/groups{', R, S' if self.axes == 2 else ', S'})"

    cdef ndarray gathered(self, ndarray x, ndarray w, ndarray b, ndarray into):
        """The convolution: images (N, C, H, W) to outputs (N, K, rows, columns); or added to `into`."""
        cdef Shape* z = &self.shape
        cdef Map mx, my
        cdef bint depthwise = takes_depthwise(z, False)
        cdef bint add = into is not None and PyArray_TYPE(x) == NPY_FLOAT and not depthwise
        cdef ndarray y = target(into if add else None, z.n, z.k, z.rows, z.columns, PyArray_TYPE(x), &my)
        w = w if self.axes == 2 else (<object>w)[:, :, None]
        if b is not None:
            b = contiguous(b)
        if PyArray_TYPE(x) != NPY_FLOAT:
            forward_f64(z, y, x, w, b)
            return y
        x = nhwc(x, &mx)
        if depthwise:
            depthwise_forward(z, &my, &mx, w, b)
        elif takes_winograd(z, FORWARD):
            winograd_forward(z, &my, &mx, w, b, add, self.keeping)
        else:
            product_forward(z, &my, &mx, w, b, add, self.keeping)
        return y

    cdef ndarray spread(self, ndarray y, ndarray w, ndarray b, ndarray into):
        """The transposed convolution: outputs (N, K, rows, columns) to images (N, C, H, W); or added to `into`."""
        cdef Shape* z = &self.shape
        cdef Map mx, my
        cdef bint depthwise = takes_depthwise(z, True)
        cdef bint add = into is not None and PyArray_TYPE(y) == NPY_FLOAT and not depthwise
        cdef ndarray x = target(into if add else None, z.n, z.c, z.h, z.w, PyArray_TYPE(y), &mx)
        w = w if self.axes == 2 else (<object>w)[:, :, None]
        if b is not None:
            b = contiguous(b)
        if PyArray_TYPE(y) != NPY_FLOAT:
            data_f64(z, x, y, w, b)
            return x
        y = nhwc(y, &my)
        if depthwise:
            depthwise_data(z, &mx, &my, w, b)
        elif takes_winograd(z, DATA):
            winograd_data(z, &mx, &my, w, b, add, self.keeping)
        elif takes_spreading(z):
            spread_data(z, &mx, &my, w, b, add)
        else:
            product_data(z, &mx, &my, w, b, add)
        return x

    cdef ndarray kernel(self, ndarray x, ndarray y):
        """The gradient of the kernel, from images and outputs."""
        cdef Shape* z = &self.shape
        cdef Map mx, my
        cdef npy_intp[4] shape
        shape[0], shape[1], shape[2], shape[3] = z.k, z.c // z.groups, z.r, z.s
        cdef ndarray gw = new_array(4, shape, PyArray_TYPE(x))
        if PyArray_TYPE(x) != NPY_FLOAT:
            weights_f64(z, gw, x, y)
        else:
            x, y = nhwc(x, &mx), nhwc(y, &my)
            if takes_depthwise(z, False):
                depthwise_weights(z, gw, &mx, &my)
            elif takes_winograd(z, WEIGHTS):
                winograd_weights(z, gw, &mx, &my)
            else:
                product_weights(z, gw, &mx, &my)
        return gw if self.axes == 2 else (<object>gw)[:, :, 0]


cdef class Convolution(Windows):
    """y = x correlated with w (K, C/groups, R, S), + b (K) or None.

    gx = gy spread over the windows by w, gw = sum over windows of gy x, gb = sum of gy over all but the channels.
    """

    def __init__(self, int axes, stride, padding, dilation, groups):
        self.axes, self.transposed = axes, False
        self.options(stride, dilation, groups)
        if isinstance(padding, str):
            self.padding = _check.choice(self.name, "padding", padding, ("same", "valid"))
            if padding == "same" and self.stride != (1,) * axes:
                raise ArgumentError(f"{self.name}: stride must be 1 for padding='same'; got {stride!r}")
        else:
            self.padding = extents(self.name, "padding", padding, axes, 0)

    @property
    def name(self):
        return "conv2d" if self.axes == 2 else "conv1d"

    cdef Py_ssize_t along(self, Py_ssize_t size, Py_ssize_t taps, int axis, Py_ssize_t* before) except -1:
        """Outputs along an axis; `before` is the padding before its first pixel."""
        cdef Py_ssize_t reach = <Py_ssize_t>self.dilation[axis] * (taps - 1) + 1, pad = 0
        if isinstance(self.padding, tuple):
            pad = self.padding[axis]
        elif self.padding == "same":
            before[0] = (reach - 1) // 2
            return size
        before[0] = pad
        if size + 2 * pad < reach:
            raise ShapeError(f"{self.name}: input must be at least as large as the kernel's reach {reach} along axis "
                             f"{axis - self.axes}, with its padding; got {size} + 2 * {pad}")
        return extent(self.name, (size + 2 * pad - reach) // <Py_ssize_t>self.stride[axis] + 1)

    cdef int measure(self, Py_ssize_t h, Py_ssize_t w) except -1:
        cdef Shape* z = &self.shape
        z.h, z.w = h, w
        z.rows, z.pad_h = 1, 0
        if self.axes == 2:
            z.rows = self.along(h, z.r, 0, &z.pad_h)
        z.columns = self.along(w, z.s, self.axes - 1, &z.pad_w)
        return 0


cdef class TransposedConvolution(Windows):
    """y = x spread over windows by w (C, K/groups, R, S), + b (K) or None: the gradient of a convolution with w in its images.

    gx = gy correlated with w, gw = sum over windows of x gy, gb = sum of gy over all but the channels.
    """

    cdef tuple output_padding

    def __init__(self, int axes, stride, padding, output_padding, groups, dilation):
        self.axes, self.transposed = axes, True
        self.options(stride, dilation, groups)
        self.padding = extents(self.name, "padding", padding, axes, 0)
        self.output_padding = extents(self.name, "output_padding", output_padding, axes, 0)
        for extra, step, gap in zip(self.output_padding, self.stride, self.dilation):
            if extra >= max(step, gap):
                raise ArgumentError(f"{self.name}: output_padding must be smaller than stride or dilation, {stride!r} and "
                                    f"{dilation!r}; got {output_padding!r}")

    @property
    def name(self):
        return "conv_transpose2d" if self.axes == 2 else "conv_transpose1d"

    cdef object along(self, object size, object taps, int axis):
        """Pixels of the output along an axis."""
        out = ((size - 1) * self.stride[axis] - 2 * self.padding[axis] + self.dilation[axis] * (taps - 1)
               + self.output_padding[axis] + 1)
        if out < 1:
            raise ShapeError(f"{self.name}: input must be large enough for an output of at least 1 along axis "
                             f"{axis - self.axes}; got {size}, which gives {out}")
        return extent(self.name, out)

    cdef int measure(self, Py_ssize_t h, Py_ssize_t w) except -1:
        cdef Shape* z = &self.shape
        z.rows, z.columns = h, w
        z.h, z.pad_h = (self.along(h, z.r, 0), self.padding[0]) if self.axes == 2 else (1, 0)
        z.w, z.pad_w = self.along(w, z.s, self.axes - 1), self.padding[self.axes - 1]
        return 0
