/* Winograd's convolution F(4x4, 3x3): 4x4 outputs of a 3x3 kernel of step 1 at a time, by 36 products instead of 144
 * (Lavin & Gray 2016).  A polynomial product of degree 5 is fixed by its values at six points, here 0, 1, -1, 1/2, -2 and
 * infinity (the leading coefficient), and at a point it is one multiplication.  For a tile d (6x6) of the input, a kernel
 * g (3x3) and a tile y (4x4) of the output, all of them matrices of pixels,
 *
 *     forward      y = A^T (U . V) A       U = G g G^T,  V = B^T d B,  "." element by element; sums over channels of U . V
 *     weights     gg = G^T (V . W) G       W = A gy A^T, the derivative of the same in g; sums over tiles of V . W
 *
 *            1 -3/2   -2  3/2    1    0               1     0     0                  1    1    1    8    1    0
 *            0   -1  1/2  5/2    1    0             1/3   1/3   1/3          A^T =   0    1   -1    4   -2    0
 *     B^T =  0   -1  5/2 -1/2   -1    0       G =   1/3  -1/3   1/3                  0    1    1    2    4    0
 *            0    2    1   -2   -1    0            4/30  2/30  1/30                  0    1   -1    1   -8    1
 *            0    1   -2   -1    2    0            1/30 -2/30  4/30
 *            0    1 -3/2   -2  3/2    1               0     0     1
 *
 * (row p of B^T holds the coefficients of the product of (x - q) over the other points q, row p of G is (1, p, p^2), column
 * p of A^T is (1, p, p^2, p^3), each with a factor that makes the numbers simple).  tests/test_kernels_winograd.py checks
 * the three by exact arithmetic.  The gradient in the images is a forward whose kernel is turned by half a turn.
 *
 * At each of the 36 points the sum over channels (over tiles) of all features is a matrix product; ops/winograd.pyx runs
 * these through gemm.inc.h.  Here is what stands around them: `input`, `weights`, `output`, `gradient`, `kernel`.  Point
 * (i, j) is number 6 i + j; its matrix lies `point` floats behind that of the point before.  Vectors run over channels.
 *
 * Rounding: values at the points are larger than the outputs that they cancel to.  Relative error in the l2 norm against
 * float64, beside that of sums over the taps: 64 channels 1.2e-6 (4e-7), 448 channels 2.6e-6 (1.1e-6), weights over
 * 32 768 outputs 3e-6 (8e-7) (tests/test_ops_winograd.py). */

/* ---- one axis ------------------------------------------------------------------------------------------------------- */

/* v = B^T d.  All rows but 1 and 2 share the factor x^2 - 1, which is the differences. */
INLINE void winograd_bt(vf v[6], const vf d[6]) {
    vf e0 = d[2] - d[0], e1 = d[3] - d[1], e2 = d[4] - d[2], e3 = d[5] - d[3];
    vf f1 = 1.5f * d[2] + e1, f2 = 1.5f * d[3] + e2;
    v[0] = (1.5f * e1 + e2) - e0;
    v[1] = f1 + f2;
    v[2] = f1 - f2;
    v[3] = -2.0f * e1 - e2;
    v[4] = 2.0f * e2 - e1;
    v[5] = (1.5f * e2 + e3) - e1;
}

/* y = A^T m */
INLINE void winograd_at(vf y[4], const vf m[6]) {
    vf s = m[1] + m[2], d = m[1] - m[2];
    y[0] = (8.0f * m[3] + m[4]) + (m[0] + s);
    y[1] = 4.0f * m[3] + (-2.0f * m[4] + d);
    y[2] = 2.0f * m[3] + (4.0f * m[4] + s);
    y[3] = (m[3] + d) + (-8.0f * m[4] + m[5]);
}

/* w = A g */
INLINE void winograd_a(vf w[6], const vf g[4]) {
    vf even = g[0] + g[2], odd = g[1] + g[3];
    w[0] = g[0];
    w[1] = even + odd;
    w[2] = even - odd;
    w[3] = 2.0f * (2.0f * (2.0f * g[0] + g[1]) + g[2]) + g[3];
    w[4] = -2.0f * (-2.0f * (-2.0f * g[3] + g[2]) + g[1]) + g[0];
    w[5] = g[3];
}

/* u = G g */
INLINE void winograd_g(vf u[6], const vf g[3]) {
    const float third = 1.0f / 3, thirtieth = 1.0f / 30;
    vf even = third * (g[0] + g[2]), middle = (2 * thirtieth) * g[1];
    u[0] = g[0];
    u[1] = third * g[1] + even;
    u[2] = even - third * g[1];
    u[3] = thirtieth * (4.0f * g[0] + g[2]) + middle;
    u[4] = thirtieth * (4.0f * g[2] + g[0]) - middle;
    u[5] = g[2];
}

/* g = G^T u */
INLINE void winograd_gt(vf g[3], const vf u[6]) {
    const float third = 1.0f / 3, thirtieth = 1.0f / 30;
    vf s = third * (u[1] + u[2]), d = third * (u[1] - u[2]);
    g[0] = (thirtieth * (4.0f * u[3] + u[4]) + s) + u[0];
    g[1] = (2 * thirtieth) * (u[3] - u[4]) + d;
    g[2] = (thirtieth * (4.0f * u[4] + u[3]) + s) + u[5];
}

/* ---- tiles ------------------------------------------------------------------------------------------------------------ */

INLINE ptrdiff_t at_most(ptrdiff_t n, ptrdiff_t most) { return n < most ? n : most; }

/* Where tile number t of a window's outputs lies: images, rows of tiles and tiles are counted in this order. */
typedef struct winograd_place {
    ptrdiff_t image, row, column, across, down;
} winograd_place;

INLINE winograd_place winograd_tile(const tn_window *w, ptrdiff_t t) {
    winograd_place p = {.across = (w->columns + 3) / 4, .down = (w->rows + 3) / 4};
    p.image = t / p.across / p.down, p.row = t / p.across % p.down, p.column = t % p.across;
    return p;
}

INLINE winograd_place winograd_next(winograd_place p, ptrdiff_t tiles) {
    p.column += tiles;
    if (p.column >= p.across) {
        p.column -= p.across;
        if (++p.row == p.down) p.row = 0, p.image++;
    }
    return p;
}

/* Images lie in the L3 cache or in memory: what comes next is asked for into L2, which takes a quarter off the whole of a
 * convolution (32x32, 48 channels, batch 32).  A line of the cache holds 16 floats. */
enum {
    WINOGRAD_RUN = 8, /* tiles of a row whose input is transformed at a time: half an L1 cache at 16 lanes */
    WINOGRAD_AHEAD = 4, /* tiles between an output that is written and one that is asked for */
};

INLINE void winograd_fetch(const void *p) { __builtin_prefetch(p, 0, 2); }

/* Pixel (y, x), which need not exist, of an image of h x w pixels, ld floats apart. */
INLINE const char *winograd_pixel(const float *images, ptrdiff_t image, ptrdiff_t y, ptrdiff_t x, ptrdiff_t h,
                                  ptrdiff_t w, ptrdiff_t ld) {
    return (const char *)images + ((image * h + y) * w + x) * ld * (ptrdiff_t)sizeof(float);
}

/* One vector of channels of `tiles` tiles side by side: first along the columns, for each column of pixels once though
 * two tiles see it, then along the rows.  Row i of the pixels [from, to) inside the image begins at row[i], `step` apart
 * (0 where row i is outside and row[i] is zeros); the other columns are 0. */
INLINE void winograd_input_strip(float *v, const float *const row[6], const ptrdiff_t step[6], ptrdiff_t from,
                                 ptrdiff_t to, ptrdiff_t tiles, ptrdiff_t width, ptrdiff_t point, ptrdiff_t ld,
                                 ptrdiff_t low, ptrdiff_t high, const char *ahead, ptrdiff_t line, ptrdiff_t pixel) {
    vf half[6][4 * WINOGRAD_RUN + 2], d[6], t[6];
    for (ptrdiff_t i = 0; i < 6; i++) {
        for (ptrdiff_t j = 0; j < from; j++) half[i][j] = splat(0.0f);
        for (ptrdiff_t j = to; j < 4 * tiles + 2; j++) half[i][j] = splat(0.0f);
    }
    for (ptrdiff_t j = from; j < to; j++) {
        for (int i = 0; i < 6; i++) {
            d[i] = load_n(row[i] + (j - from) * step[i], width);
            winograd_fetch(ahead + i * line + j * pixel);
        }
        winograd_bt(t, d);
        for (int i = 0; i < 6; i++) half[i][j] = t[i];
    }
    for (ptrdiff_t k = 0; k < tiles; k++, v += ld)
        for (ptrdiff_t i = low; i < high; i++) {
            winograd_bt(t, &half[i][4 * k]);
            for (int j = 0; j < 6; j++) store(v + (6 * i + j) * point, t[j]);
        }
}

static void winograd_input_f32(float *v, const float *x, const tn_window *w, ptrdiff_t first, ptrdiff_t count,
                               ptrdiff_t n, ptrdiff_t point, ptrdiff_t ld, ptrdiff_t low, ptrdiff_t high) {
    static const float outside[VL] = {0};
    winograd_place p = winograd_tile(w, first);
    while (count > 0) {
        ptrdiff_t tiles = at_most(at_most(p.across - p.column, count), WINOGRAD_RUN), end = 4 * tiles + 2;
        ptrdiff_t left = 4 * p.column + w->offset_w, from = left < 0 ? at_most(-left, end) : 0;
        ptrdiff_t to = at_most(w->w - left, end), step[6], move[6], j = 0;
        const float *row[6];
        const ptrdiff_t pixel = w->ld * (ptrdiff_t)sizeof(float), line = w->w * pixel;
        const winograd_place next = winograd_next(p, tiles);
        const char *ahead =
            winograd_pixel(x, next.image, 4 * next.row + w->offset_h, 4 * next.column + w->offset_w, w->h, w->w, w->ld);
        if (to < from) to = from;
        for (ptrdiff_t i = 0; i < 6; i++) {
            ptrdiff_t y = 4 * p.row + w->offset_h + i;
            int inside = y >= 0 && y < w->h && from < to;
            row[i] = inside ? x + ((p.image * w->h + y) * w->w + left + from) * w->ld : outside;
            step[i] = inside ? w->ld : 0;
            move[i] = inside ? VL : 0;
        }
        for (; j + VL <= n; j += VL) {
            winograd_input_strip(v + j, row, step, from, to, tiles, VL, point, ld, low, high, ahead + 4 * j, line,
                                 pixel);
            for (int i = 0; i < 6; i++) row[i] += move[i];
        }
        if (j < n)
            winograd_input_strip(v + j, row, step, from, to, tiles, n - j, point, ld, low, high, ahead + 4 * j, line,
                                 pixel);
        v += tiles * ld, count -= tiles, p = next;
    }
}

/* All pixels of a tile of outputs, or (where rows are shorter than AHEAD tiles) some near it: a hint, no access. */
INLINE void winograd_fetch_tile(const float *y, const tn_window *w, winograd_place p, ptrdiff_t n, ptrdiff_t ldy) {
    for (ptrdiff_t i = 0; i < 4; i++)
        for (ptrdiff_t j = 0; j < 4; j++) {
            const char *pixel = winograd_pixel(y, p.image, 4 * p.row + i, 4 * p.column + j, w->rows, w->columns, ldy);
            for (ptrdiff_t k = 0; k < n; k += 16) winograd_fetch(pixel + k * (ptrdiff_t)sizeof(float));
        }
}

/* One vector of features of one tile, of which `rows` x `columns` outputs exist. */
INLINE void winograd_output_strip(float *y, const float *m, vf bias, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width,
                                  ptrdiff_t line, ptrdiff_t ldy, ptrdiff_t point, int accumulate) {
    vf half[4][6], d[6], t[4];
    for (int j = 0; j < 6; j++) {
        for (int i = 0; i < 6; i++) d[i] = load(m + (6 * i + j) * point);
        winograd_at(t, d);
        for (int i = 0; i < 4; i++) half[i][j] = t[i];
    }
    for (int i = 0; i < 4; i++) {
        if (i >= rows) break;
        winograd_at(t, half[i]);
        for (int j = 0; j < 4; j++) {
            if (j >= columns) break;
            float *pixel = y + i * line + j * ldy;
            vf start = accumulate ? load_n(pixel, width) : bias;
            store_n(pixel, t[j] + start, width);
        }
    }
}

static void winograd_output_f32(float *y, const float *m, const float *bias, const tn_window *w, ptrdiff_t first,
                                ptrdiff_t count, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t point, ptrdiff_t ld,
                                int accumulate) {
    winograd_place p = winograd_tile(w, first);
    for (; count > 0; count--, m += ld, p = winograd_next(p, 1)) {
        ptrdiff_t rows = at_most(w->rows - 4 * p.row, 4), columns = at_most(w->columns - 4 * p.column, 4), j = 0;
        ptrdiff_t line = w->columns * ldy;
        winograd_fetch_tile(y, w, winograd_next(p, WINOGRAD_AHEAD), n, ldy);
        float *tile = y + (p.image * w->rows + 4 * p.row) * line + 4 * p.column * ldy;
        for (; j + VL <= n; j += VL)
            winograd_output_strip(tile + j, m + j, bias ? load(bias + j) : splat(0.0f), rows, columns, VL, line, ldy,
                                  point, accumulate);
        if (j < n)
            winograd_output_strip(tile + j, m + j, bias ? load_first(bias + j, n - j) : splat(0.0f), rows, columns,
                                  n - j, line, ldy, point, accumulate);
    }
}

/* The same of a tile of the output's gradient, which is 0 beyond the `rows` x `columns` that exist. */
INLINE void winograd_gradient_strip(float *v, const float *g, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width,
                                    ptrdiff_t line, ptrdiff_t ldg, ptrdiff_t point, ptrdiff_t low, ptrdiff_t high) {
    vf half[6][4], d[4], t[6];
    for (int j = 0; j < 4; j++) {
        for (int i = 0; i < 4; i++)
            d[i] = i < rows && j < columns ? load_n(g + i * line + j * ldg, width) : splat(0.0f);
        winograd_a(t, d);
        for (int i = 0; i < 6; i++) half[i][j] = t[i];
    }
    for (ptrdiff_t i = low; i < high; i++) {
        winograd_a(t, half[i]);
        for (int j = 0; j < 6; j++) store(v + (6 * i + j) * point, t[j]);
    }
}

static void winograd_gradient_f32(float *v, const float *g, const tn_window *w, ptrdiff_t first, ptrdiff_t count,
                                  ptrdiff_t n, ptrdiff_t ldg, ptrdiff_t point, ptrdiff_t ld, ptrdiff_t low,
                                  ptrdiff_t high) {
    winograd_place p = winograd_tile(w, first);
    for (; count > 0; count--, v += ld, p = winograd_next(p, 1)) {
        ptrdiff_t rows = at_most(w->rows - 4 * p.row, 4), columns = at_most(w->columns - 4 * p.column, 4), j = 0;
        ptrdiff_t line = w->columns * ldg;
        winograd_fetch_tile(g, w, winograd_next(p, WINOGRAD_AHEAD), n, ldg);
        const float *tile = g + (p.image * w->rows + 4 * p.row) * line + 4 * p.column * ldg;
        for (; j + VL <= n; j += VL)
            winograd_gradient_strip(v + j, tile + j, rows, columns, VL, line, ldg, point, low, high);
        if (j < n) winograd_gradient_strip(v + j, tile + j, rows, columns, n - j, line, ldg, point, low, high);
    }
}

/* ---- the kernel of the convolution ------------------------------------------------------------------------------------ */

/* The nine taps of a vector's lanes lie `across` apart: they are brought side by side by a transposition, for a few rows
 * at once where these follow each other in memory. */
static void winograd_weights_f32(float *u, const float *w, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t down,
                                 ptrdiff_t across, ptrdiff_t point, int turned) {
    enum { MOST = 8 };
    const ptrdiff_t most = down == 9 ? MOST : 1;
    for (ptrdiff_t j = 0; j < PANEL; j += VL)
        for (ptrdiff_t l = 0; l < rows; l += most) {
            vf taps[9 * MOST] = {{0}}, half[6][3], d[3], t[6];
            ptrdiff_t lines = at_most(rows - l, most);
            if (j < n)
                transpose_f32((float *)taps, w + l * down + j * across, 9 * lines, at_most(n - j, VL), VL, across);
            for (ptrdiff_t k = 0; k < lines; k++) {
                for (int s = 0; s < 3; s++) {
                    for (int r = 0; r < 3; r++) d[r] = taps[9 * k + (turned ? 8 - 3 * r - s : 3 * r + s)];
                    winograd_g(t, d);
                    for (int i = 0; i < 6; i++) half[i][s] = t[i];
                }
                for (int i = 0; i < 6; i++) {
                    winograd_g(t, half[i]);
                    for (int q = 0; q < 6; q++) store(u + (6 * i + q) * point + (l + k) * PANEL + j, t[q]);
                }
            }
        }
}

/* The sums of the parts, in order, and back from the points. */
INLINE void winograd_kernel_strip(float *gw, const float *u, ptrdiff_t parts, ptrdiff_t width, ptrdiff_t part,
                                  ptrdiff_t point) {
    vf half[3][6], d[6], t[3], taps[9];
    for (int j = 0; j < 6; j++) {
        for (int i = 0; i < 6; i++) {
            d[i] = load_n(u + (6 * i + j) * point, width);
            for (ptrdiff_t k = 1; k < parts; k++) d[i] += load_n(u + k * part + (6 * i + j) * point, width);
        }
        winograd_gt(t, d);
        for (int i = 0; i < 3; i++) half[i][j] = t[i];
    }
    for (int r = 0; r < 3; r++) winograd_gt(taps + 3 * r, half[r]);
    transpose_f32(gw, (const float *)taps, width, 9, 9, VL);
}

static void winograd_kernel_f32(float *gw, const float *u, ptrdiff_t parts, ptrdiff_t n, ptrdiff_t part,
                                ptrdiff_t point) {
    ptrdiff_t j = 0;
    for (; j + VL <= n; j += VL) winograd_kernel_strip(gw + 9 * j, u + j, parts, VL, part, point);
    if (j < n) winograd_kernel_strip(gw + 9 * j, u + j, parts, n - j, part, point);
}
