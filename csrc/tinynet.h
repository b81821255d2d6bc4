/* tinynet's C kernels: the whole interface.
 *
 * The kernels know nothing of Python, allocate nothing, start no threads and cannot fail: whoever calls them has checked
 * shapes and supplies all memory.  They work on one thread, on the piece of the data they are given; the loops over pieces
 * are prange loops in tinynet/ops, so every kernel that may be called on a piece takes the piece's size, not the tensor's.
 *
 * Conventions
 *   - argument order: outputs, inputs, sizes, scalars; every index and size is a ptrdiff_t;
 *   - matrices are row-major; `ld` is the distance in elements between the starts of two rows;
 *   - an output may be the same array as an elementwise kernel's input (in place), but never overlap it otherwise;
 *   - an elementwise result depends on its element alone, and a sum is taken in an order given by the sizes alone:
 *     how the work is cut into pieces never changes a bit.
 *
 * One table of function pointers exists per instruction set (scalar, baseline, avx2, avx512), filled from the same sources
 * (scalar.c is the plain C one, to be read first, and the reference that the others are tested against).
 * tn_select() chooses among them; tinynet/ops/kernels.pyx calls it once at import.
 */
#ifndef TINYNET_H
#define TINYNET_H

#include <stddef.h>
#include <stdint.h>

/* Rows that are summed in float32 before the sum moves on to double: long enough to be cheap, short enough that the
 * rounding of 64 additions stays near one unit in the last place. */
#define TN_ROW_BLOCK 64

/* How the windows of a convolution lie in an image: output (i, j) of rows x columns sees, under tap (r, s), the pixel
 * (i * step_h + offset_h + r * gap_h, j * step_w + offset_w + s * gap_w), which is 0 outside the image.  Channel k of pixel (y, x)
 * of image n is number ((n * h + y) * w + x) * ld + k. */
typedef struct tn_window {
    ptrdiff_t h, w, c, ld;                              /* the image */
    ptrdiff_t rows, columns;                            /* the output */
    ptrdiff_t taps_h, taps_w;                           /* the kernel */
    ptrdiff_t step_h, step_w, offset_h, offset_w, gap_h, gap_w;
} tn_window;

typedef struct tn_kernels {
    const char *isa;       /* "scalar", "baseline", "avx2", "avx512" */
    ptrdiff_t panel;       /* columns of one packed panel of tn_gemm, NV * VL of gemm.inc.h */

    /* ---- elementwise: y[n], x[n] -------------------------------------------------------------------------------- */
    /* y = 1 / (1 + exp(-x)).  At most 4 units in the last place from the exact value where that is a normal number, 0 below
     * (tests/test_kernels.py). */
    void (*sigmoid_forward_f32)(float *y, const float *x, ptrdiff_t n);
    /* gx = gy * y * (1 - y) */
    void (*sigmoid_backward_f32)(float *gx, const float *gy, const float *y, ptrdiff_t n);
    /* y = tanh(x).  At most 3 units in the last place, likewise; tanh(-0) is -0. */
    void (*tanh_forward_f32)(float *y, const float *x, ptrdiff_t n);
    /* gx = gy * (1 - y^2) */
    void (*tanh_backward_f32)(float *gx, const float *gy, const float *y, ptrdiff_t n);
    /* y = max(x, 0); NaN stays NaN */
    void (*relu_forward_f32)(float *y, const float *x, ptrdiff_t n);
    /* gx = gy where y > 0, else 0 (so the slope at 0 is 0); where y is NaN, gx = gy */
    void (*relu_backward_f32)(float *gx, const float *gy, const float *y, ptrdiff_t n);
    /* y = a + b, a - b, a * b, a / b: element i of y from a[i * da] and b[i * db].  da and db are 1, or one of them is 0: a
     * number (outside y) that meets every element. */
    void (*add_f32)(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db);
    void (*sub_f32)(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db);
    void (*mul_f32)(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db);
    void (*div_f32)(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db);
    /* y = a where c is 1, b where c is 0; da and db as above */
    void (*where_f32)(float *y, const uint8_t *c, const float *a, const float *b, ptrdiff_t n, int da, int db);
    /* y (rows, cols) = the transpose of x (cols, rows); the rows of y lie ldy apart, those of x ldx */
    void (*transpose_f32)(float *y, const float *x, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t ldy, ptrdiff_t ldx);
    /* y = x, both (rows, n) */
    void (*copy_rows_f32)(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t ldx);

    /* ---- activations: y[n], x[n]; parameters come as an array p, so that all these kernels have one type ----------- */
    /* y = x where x > 0, else slope x; p = {slope} */
    void (*leaky_relu_forward_f32)(float *y, const float *x, ptrdiff_t n, const float *p);
    /* gx = gy where v > 0, else slope gy; v is x, or y if slope >= 0; where v is NaN, slope gy */
    void (*leaky_relu_backward_f32)(float *gx, const float *gy, const float *v, ptrdiff_t n, const float *p);
    /* y = x where x > 0, else alpha (exp(x) - 1); p = {alpha}, alpha >= 0.  At most 1 unit in the last place (all these
     * errors: tests/test_kernels.py, where |y| >= 1e-36; smaller results may be 0). */
    void (*elu_forward_f32)(float *y, const float *x, ptrdiff_t n, const float *p);
    /* gx = gy where x > 0, else gy alpha exp(x) */
    void (*elu_backward_f32)(float *gx, const float *gy, const float *x, ptrdiff_t n, const float *p);
    /* y = x within [low, high], else the nearer end; NaN stays NaN; p = {low, high} */
    void (*hardtanh_forward_f32)(float *y, const float *x, ptrdiff_t n, const float *p);
    /* gx = gy where low < y < high, else 0 (so the slope at the ends, and at NaN, is 0) */
    void (*hardtanh_backward_f32)(float *gx, const float *gy, const float *y, ptrdiff_t n, const float *p);
    /* y = log(1 + exp(beta x)) / beta, but x where beta x > threshold; p = {beta, threshold}.  At most 3 units in the
     * last place for beta = 1. */
    void (*softplus_forward_f32)(float *y, const float *x, ptrdiff_t n, const float *p);
    /* gx = gy / (1 + exp(-beta x)), but gy where beta x > threshold */
    void (*softplus_backward_f32)(float *gx, const float *gy, const float *x, ptrdiff_t n, const float *p);
    /* y = -log(1 + exp(-x)).  At most 3 units in the last place. */
    void (*logsigmoid_forward_f32)(float *y, const float *x, ptrdiff_t n);
    /* gx = gy (1 - exp(y)) */
    void (*logsigmoid_backward_f32)(float *gx, const float *gy, const float *y, ptrdiff_t n);
    /* y = x s with s = 1 / (1 + exp(-x)).  At most 3 units in the last place. */
    void (*silu_forward_f32)(float *y, const float *x, ptrdiff_t n);
    /* gx = gy s (1 + x (1 - s)) */
    void (*silu_backward_f32)(float *gx, const float *gy, const float *x, ptrdiff_t n);
    /* y = x Phi(x), Phi the standard normal distribution function.  At most 4 units in the last place for
     * x >= -1, 64 for x >= -8, where y is -5e-15: the rounding of x^2 grows through the exponential. */
    void (*gelu_forward_f32)(float *y, const float *x, ptrdiff_t n);
    /* gx = gy (Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)) */
    void (*gelu_backward_f32)(float *gx, const float *gy, const float *x, ptrdiff_t n);
    /* y = x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3).  At most 3 units in the last place
     * for x >= -1, 110 for x >= -8, where y is -3e-21. */
    void (*gelu_tanh_forward_f32)(float *y, const float *x, ptrdiff_t n);
    /* gx = gy (s + x s (1 - s) 2u') with s = (1 + tanh(u)) / 2 */
    void (*gelu_tanh_backward_f32)(float *gx, const float *gy, const float *x, ptrdiff_t n);

    /* ---- matrix product: c (m, n) = a (m, k) times b (k, n) ------------------------------------------------------- */
    /* Packs columns [0, n) of b, n <= panel, into p (k, panel), padded with zeros.  b(k, n) = b[k*bk + n*bn]. */
    void (*gemm_pack_f32)(float *p, const float *b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t bk, ptrdiff_t bn);
    /* One panel: c[m, n] = init + sum over k of a(m, k) p[k, n], added in the order k = 0, 1, ...; a(m, k) = a[m*am + k*ak];
     * init is c itself if accumulate, else bias[n] if bias is not NULL, else 0.  n <= panel columns are written. */
    void (*gemm_panel_f32)(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                           ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, int accumulate);
    /* The same for n columns of any number of panels, each `next` floats after the one before it. */
    void (*gemm_panels_f32)(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                            ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t next, int accumulate);
    /* The same for b that is read where it lies, b(k, n) = b[k*ldb + n]: n is any multiple of panel / 2. */
    void (*gemm_rows_f32)(float *c, const float *a, const float *b, const float *bias, ptrdiff_t m, ptrdiff_t n,
                          ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t ldb, int accumulate);

    /* ---- convolution ---------------------------------------------------------------------------------------------- */
    /* rows[p, .], ld apart: columns [j, j + width) of what output pixel first + p sees, taps_h * taps_w * c numbers in the
     * order (tap row, tap, channel).  Pixels are counted through all images. */
    void (*im2row_f32)(float *rows, const float *x, const tn_window *v, ptrdiff_t first, ptrdiff_t count, ptrdiff_t j,
                       ptrdiff_t width, ptrdiff_t ld);

    /* Every channel by itself, one row of outputs (counted through all images): channel j < k of output q is y[q * ldy + j] =
     * bias[j] + sum over taps t of w[t * k + j] x[., j / many] (bias NULL: 0), in the order of the taps, those outside the
     * image left out.  v->c is not read. */
    void (*depthwise_forward_f32)(float *y, const float *x, const float *w, const float *bias, const tn_window *v,
                                  ptrdiff_t row, ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldy);
    /* gw[t * k + j] += sum over the outputs q of a row of gy[q * ldg + j] x[., j / many] */
    void (*depthwise_weights_f32)(float *gw, const float *gy, const float *x, const tn_window *v, ptrdiff_t row,
                                  ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldg);

    /* Winograd's F(4x4, 3x3), winograd.inc.h: the outputs of a window of 3x3 taps and steps of 1, in tiles of 4x4, counted in rows
     * through all images; those at the lower and right edges may be ragged.  Kernels take tiles [first, first + count).  Row t of
     * point p's matrix begins at p * point + t * ld.  What stands in it beyond n, up to a multiple of 16, is not defined. */
    /* v = B^T d B for the pixels d (6, 6) of x that a tile sees, each of n channels: points of rows [low, high) of the six */
    void (*winograd_input_f32)(float *v, const float *x, const tn_window *w, ptrdiff_t first, ptrdiff_t count,
                               ptrdiff_t n, ptrdiff_t point, ptrdiff_t ld, ptrdiff_t low, ptrdiff_t high);
    /* y = A^T m A + start for the outputs y (4, 4) of a tile, ldy apart, n features: start is y itself if accumulate, else
     * bias[n] if bias is not NULL, else 0 */
    void (*winograd_output_f32)(float *y, const float *m, const float *bias, const tn_window *w, ptrdiff_t first,
                                ptrdiff_t count, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t point, ptrdiff_t ld,
                                int accumulate);
    /* v = A g A^T for the outputs' gradients g (4, 4) of a tile, ldg apart: points of rows [low, high) of the six */
    void (*winograd_gradient_f32)(float *v, const float *g, const tn_window *w, ptrdiff_t first, ptrdiff_t count,
                                  ptrdiff_t n, ptrdiff_t ldg, ptrdiff_t point, ptrdiff_t ld, ptrdiff_t low,
                                  ptrdiff_t high);
    /* u = G g G^T for the kernels g (3, 3) at w + l * down + j * across, l < rows and j < n, turned by half a turn if `turned`:
     * one panel of a matrix product for each point, u[p * point + l * panel + j], 0 for n <= j < panel */
    void (*winograd_weights_f32)(float *u, const float *w, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t down,
                                 ptrdiff_t across, ptrdiff_t point, int turned);
    /* gw[j] (3, 3) = G^T d G, j < n, for d[p] = sum over k < parts, in order, of u[k * part + p * point + j] */
    void (*winograd_kernel_f32)(float *gw, const float *u, ptrdiff_t parts, ptrdiff_t n, ptrdiff_t part,
                                ptrdiff_t point);

    /* ---- columns of a matrix x (rows, c): sums over rows, in double over blocks of TN_ROW_BLOCK rows --------------- */
    /* sum[j] = sum over rows of x[., j] */
    void (*column_sum_f32)(double *sum, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld);
    /* mean[j] and m2[j] = sum over rows of (x[., j] - mean[j])^2.  Each block is shifted by its own mean, so
     * that a mean of 1e4 with a standard deviation of 1e-2 loses nothing; blocks are merged in order.  rows >= 1. */
    void (*bn_statistics_f32)(double *mean, double *m2, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld);
    /* y = (x - center) * scale + shift, per column */
    void (*bn_apply_f32)(float *y, const float *x, const float *center, const float *scale, const float *shift,
                         ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx);
    /* sum_g[j] = sum gy[., j]; sum_gx[j] = sum gy[., j] * ((x[., j] - center[j]) * scale[j] + shift[j]) */
    void (*bn_reduce_f32)(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                          const float *scale, const float *shift, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg,
                          ptrdiff_t ldx);
    /* gx = a * gy + b * (x - center) + d, per column; gx may be x */
    void (*bn_backward_f32)(float *gx, const float *gy, const float *x, const float *center, const float *a,
                            const float *b, const float *d, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo, ptrdiff_t ldg,
                            ptrdiff_t ldx);
    /* The same with a ReLU after it: y = max((x - center) * scale + shift, 0); the other two take gy = 0 where
     * (x - center) * gate_scale + gate_shift <= 0 (NaN is above 0, as in relu_*).  gx may be x. */
    void (*bn_relu_apply_f32)(float *y, const float *x, const float *center, const float *scale, const float *shift,
                              ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx);
    void (*bn_relu_reduce_f32)(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                               const float *scale, const float *shift, const float *gate_scale, const float *gate_shift,
                               ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, ptrdiff_t ldx);
    void (*bn_relu_backward_f32)(float *gx, const float *gy, const float *x, const float *center, const float *a,
                                 const float *b, const float *d, const float *gate_scale, const float *gate_shift,
                                 ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo, ptrdiff_t ldg, ptrdiff_t ldx);

    /* ---- rows of a contiguous matrix x (rows, c) -------------------------------------------------------------------- */
    /* y[i, .] = exp(x[i, .]) / sum exp x[i, .], shifted by the row's maximum */
    void (*softmax_forward_f32)(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c);
    /* gx = y (gy - sum gy y) */
    void (*softmax_backward_f32)(float *gx, const float *gy, const float *y, ptrdiff_t rows, ptrdiff_t c);
    /* y[i, .] = x[i, .] - log(sum exp x[i, .]), shifted by the row's maximum */
    void (*log_softmax_forward_f32)(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c);
    /* gx = gy - exp(y) * sum gy */
    void (*log_softmax_backward_f32)(float *gx, const float *gy, const float *y, ptrdiff_t rows, ptrdiff_t c);
    /* Class labels t, target distribution q(k) = keep * weight[t] * [k = t] + smooth * weight[k] (weight NULL: ones):
     * loss[i] = -sum over k of q(k) logp[i, k]; 0 where t[i] == ignore. */
    void (*cross_entropy_forward_f32)(float *loss, const float *logp, const int64_t *t, const float *weight,
                                      ptrdiff_t rows, ptrdiff_t c, int64_t ignore, float keep, float smooth);
    /* gx[i, k] = g[i * ldg] * (exp(logp[i, k]) * sum over j of q(j) - q(k)); 0 where t[i] == ignore */
    void (*cross_entropy_backward_f32)(float *gx, const float *g, const float *logp, const int64_t *t,
                                       const float *weight, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, int64_t ignore,
                                       float keep, float smooth);

    /* The target distribution is q[i, k] = weight[k] * (keep * t[i, k] + smooth) (weight NULL: ones):
     * loss[i] = -sum over k of q[i, k] logp[i, k], through double */
    void (*cross_entropy_soft_forward_f32)(float *loss, const float *logp, const float *t, const float *weight,
                                           ptrdiff_t rows, ptrdiff_t c, float keep, float smooth);
    /* gx[i, k] = g[i * ldg] * (exp(logp[i, k]) * sum over j of q[i, j] - q[i, k]) and
     * gt[i, k] = -g[i * ldg] * keep * weight[k] * logp[i, k]; either may be NULL */
    void (*cross_entropy_soft_backward_f32)(float *gx, float *gt, const float *g, const float *logp, const float *t,
                                            const float *weight, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, float keep,
                                            float smooth);

    /* ---- losses, elementwise ------------------------------------------------------------------------------------------ */
    /* y = scale * l(x, t), not stored if y is NULL; the sum of y is returned, taken in double.  With d = x - t:
     *     mse d^2,  l1 |d|,  huber r (|d| - r / 2) with r = min(|d|, delta),
     *     bce max(x, 0) - x t + log(1 + exp(-|x|)). */
    double (*mse_forward_f32)(float *y, const float *x, const float *t, ptrdiff_t n, float delta, float scale);
    double (*l1_forward_f32)(float *y, const float *x, const float *t, ptrdiff_t n, float delta, float scale);
    double (*huber_forward_f32)(float *y, const float *x, const float *t, ptrdiff_t n, float delta, float scale);
    double (*bce_forward_f32)(float *y, const float *x, const float *t, ptrdiff_t n, float delta, float scale);
    /* gx[i] = g[i * ldg] * scale * dl/dx, ldg 0 or 1:
     *     mse 2 d,  l1 the sign of d (0 at 0),  huber d held in [-delta, delta],  bce 1 / (1 + exp(-x)) - t. */
    void (*mse_backward_f32)(float *gx, const float *g, const float *x, const float *t, ptrdiff_t n, ptrdiff_t ldg,
                             float delta, float scale);
    void (*l1_backward_f32)(float *gx, const float *g, const float *x, const float *t, ptrdiff_t n, ptrdiff_t ldg,
                            float delta, float scale);
    void (*huber_backward_f32)(float *gx, const float *g, const float *x, const float *t, ptrdiff_t n, ptrdiff_t ldg,
                               float delta, float scale);
    void (*bce_backward_f32)(float *gx, const float *g, const float *x, const float *t, ptrdiff_t n, ptrdiff_t ldg,
                             float delta, float scale);
    /* y = xh * weight + bias per row of c >= 1, xh = (x - mean) / sqrt(var + eps) with the row's mean and biased variance,
     * which are taken about a value near the mean: a mean of 1e4 with a standard deviation of 1e-2 loses nothing.
     * stats[i, .] = {center, rstd, shift}: xh = (x - center) * rstd + shift. */
    void (*layer_norm_forward_f32)(float *y, float *stats, const float *x, const float *weight, const float *bias,
                                   ptrdiff_t rows, ptrdiff_t c, double eps);
    /* gx = rstd (t - mean t - xh mean(t xh)) with t = gy * weight, means over the row; gx NULL: not wanted.
     * sums (2, c) = sums over the rows of gy and of gy * xh, with part (2, c) as room to work in; both NULL: not wanted. */
    void (*layer_norm_backward_f32)(float *gx, double *sums, float *part, const float *gy, const float *x,
                                    const float *stats, const float *weight, ptrdiff_t rows, ptrdiff_t c);
    /* ---- sums in double: of x, or (center not NULL) of (x - center)^2 ---------------------------------------------- */
    /* total[i] over the n elements of row i of x, whose rows lie ld apart; center is a number per row */
    void (*sum_rows_f32)(double *total, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
                         const double *center);
    /* total[j] over the rows of column j of x (rows, c), whose rows lie ld apart; center is a number per column */
    void (*sum_columns_f32)(double *total, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld,
                            const double *center);
    /* The largest element of each row of x (rows, n) or column of x (rows, c), rows at least 1 and ld apart; NaN if there
     * is one.  sign: 0, or the sign bit for the smallest. */
    void (*extreme_rows_f32)(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, int32_t sign);
    void (*extreme_columns_f32)(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld, int32_t sign);

    /* ---- pooling: one row of the output, of a map whose pixels are rows of c channels ------------------------------ */
    /* The windows of an axis are a table of three numbers each, {start, first, last}: taps first <= i < last lie inside
     * the map, at start + i * d.  `touching` holds {from, to} per position: no window outside from <= o < to covers it. */
    /* The next call will read rows ahead[0] <= i < ahead[1] of the map (or of gy) for the first time, and write the row
     * after this one: they are fetched meanwhile. */
    /* y (columns, c) = the largest x in the window at (row, column), x (., w, ldx), and at = the number i * kw + k of the
     * tap where it stands, not stored if at is NULL: NaN counts as the largest; the first of equal taps, the last NaN. */
    void (*max_pool_forward_f32)(float *y, uint8_t *at, const float *x, const ptrdiff_t *row, const ptrdiff_t *windows,
                                 const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx,
                                 ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw);
    /* gx (w, c) of row iy of the map = sum of gy (., columns, ldg) over the windows that chose it, by rows and columns;
     * rows: the windows of the vertical axis, touching_row and touching[w]: those that may cover iy and each column. */
    void (*max_pool_backward_f32)(float *gx, const float *gy, const uint8_t *at, ptrdiff_t iy, const ptrdiff_t *rows,
                                  const ptrdiff_t *touching_row, const ptrdiff_t *windows, const ptrdiff_t *touching,
                                  const ptrdiff_t *ahead, ptrdiff_t w, ptrdiff_t columns, ptrdiff_t c, ptrdiff_t ldg,
                                  ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw);
    /* y (columns, c) = sum of x over the rectangle of rows row[0] <= i < row[1] and columns windows[2 q] <= k <
     * windows[2 q + 1], of x[i, k, .] * weight[i * w + k], or of x / divisor[q] where weight is NULL.
     * In float32 over blocks of TN_ROW_BLOCK pixels, in double beyond. */
    void (*window_sum_f32)(float *y, const float *x, const float *weight, const float *divisor, const ptrdiff_t *row,
                           const ptrdiff_t *windows, const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w,
                           ptrdiff_t c, ptrdiff_t ldx);
    /* ---- local response normalisation: rows of c channels ------------------------------------------------------------ */
    /* y_j = x_j d_j^-beta, d_j = k + alpha * sum of x_i^2 over j - below <= i <= j + above, both at most c.
     * room: c + below + above floats to work in. */
    void (*response_forward_f32)(float *y, float *room, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldx,
                                 ptrdiff_t below, ptrdiff_t above, float alpha, float beta, float k);
    /* gx_j = gy_j d_j^-beta - 2 alpha beta x_j * sum over i, j - above <= i <= j + below, of gy_i x_i d_i^(-beta-1).
     * room: 2 (c + below + above) floats. */
    void (*response_backward_f32)(float *gx, float *room, const float *gy, const float *x, ptrdiff_t rows, ptrdiff_t c,
                                  ptrdiff_t ldg, ptrdiff_t ldx, ptrdiff_t below, ptrdiff_t above, float alpha,
                                  float beta, float k);

    /* ---- random numbers -------------------------------------------------------------------------------------------- */
    /* Philox4x32-10 (Salmon et al. 2011, section 3.3): element i of out is word i % 4 of the block with counter
     * (first/4 + i/4, call) under the key `seed`.  first and the pieces' starts are multiples of 4. */
    void (*philox_u32)(uint32_t *out, ptrdiff_t n, uint64_t first, uint64_t seed, uint64_t call);
    /* y = x * scale where philox_u32 >= threshold, else 0; first is the element's index in the whole array */
    void (*dropout_f32)(float *y, const float *x, ptrdiff_t n, uint64_t first, uint64_t seed, uint64_t call,
                        uint32_t threshold, float scale);

    /* ---- optimiser --------------------------------------------------------------------------------------------------- */
    /* One step on n weights each, with d = sign * g + decay * w (sign * g where decay is 0, even if w is infinite). */
    /* SGD: v = mu * v + damp * d (v NULL: no momentum, step = d); step = nesterov ? d + mu * v : v; w -= lr * step. */
    void (*sgd_f32)(float *w, float *v, const float *g, ptrdiff_t n, float lr, float mu, float damp, float decay,
                    float sign, int nesterov);
    /* Adam: a += r1 * (d - a); s = beta2 * s + r2 * d^2; top = max(top, s), which then stands for s (top NULL: not);
     * w = keep * w - rate * a / (sqrt(s) / root + eps). */
    void (*adam_f32)(float *w, float *a, float *s, float *top, const float *g, ptrdiff_t n, float rate, float root,
                     float r1, float beta2, float r2, float eps, float keep, float decay, float sign);
    /* RMSprop: s = alpha * s + r * d^2; a += r * (d - a), and root = sqrt(max(s - a^2, 0)) (a NULL: sqrt(s));
     * v = mu * v + d / (root + eps) (v NULL: without mu * v); w -= lr * v. */
    void (*rmsprop_f32)(float *w, float *s, float *a, float *v, const float *g, ptrdiff_t n, float lr, float alpha,
                        float r, float eps, float mu, float decay, float sign);
    /* Adagrad: s += d^2; w -= rate * d / (sqrt(s) + eps). */
    void (*adagrad_f32)(float *w, float *s, const float *g, ptrdiff_t n, float rate, float eps, float decay,
                        float sign);
} tn_kernels;

/* The table of an instruction set, or NULL if it was not compiled or this CPU (or its operating system) cannot run it.
 * name NULL: the best one there is. */
const tn_kernels *tn_select(const char *name);

/* 1 if the instruction set was compiled into this build. */
int tn_compiled(const char *name);

#endif
