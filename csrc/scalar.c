/* Every kernel in plain C, one element at a time: the version to read first, and the one that the vector versions are
 * tested against.  The order of the sums is the order that tinynet.h promises. */
#include "tinynet.h"

#include <math.h>
#include <string.h>

/* ---- elementwise ------------------------------------------------------------------------------------------------- */

static void sigmoid_forward_f32(float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = 1.0f / (1.0f + expf(-x[i]));
}

static void sigmoid_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) gx[i] = gy[i] * (y[i] * (1.0f - y[i]));
}

static void tanh_forward_f32(float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = tanhf(x[i]);
}

static void tanh_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) gx[i] = gy[i] * (1.0f - y[i] * y[i]);
}

static void relu_forward_f32(float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] <= 0.0f ? 0.0f : x[i]; /* NaN <= 0 is false: NaN stays */
}

static void relu_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) gx[i] = y[i] <= 0.0f ? 0.0f : gy[i];
}

static void copy_rows_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++) memcpy(y + i * ldy, x + i * ldx, (size_t)n * sizeof *y);
}

static void transpose_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t ldy, ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) y[i * ldy + j] = x[j * ldx + i];
}

static void add_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = a[i * da] + b[i * db];
}

static void sub_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = a[i * da] - b[i * db];
}

static void mul_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = a[i * da] * b[i * db];
}

static void div_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = a[i * da] / b[i * db];
}

static void where_f32(float *y, const uint8_t *c, const float *a, const float *b, ptrdiff_t n, int da, int db) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = c[i] ? a[i * da] : b[i * db];
}

/* ---- activations with parameters p, and those whose derivative is a function of x ------------------------------------ */

static void leaky_relu_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] > 0.0f ? x[i] : p[0] * x[i];
}

static void leaky_relu_backward_f32(float *gx, const float *gy, const float *v, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) gx[i] = v[i] > 0.0f ? gy[i] : p[0] * gy[i];
}

static void elu_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] > 0.0f ? x[i] : p[0] * expm1f(x[i]);
}

static void elu_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) gx[i] = x[i] > 0.0f ? gy[i] : gy[i] * (p[0] * expf(x[i]));
}

static void hardtanh_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] < p[0] ? p[0] : x[i] > p[1] ? p[1] : x[i]; /* NaN stays */
}

static void hardtanh_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) gx[i] = y[i] > p[0] && y[i] < p[1] ? gy[i] : 0.0f;
}

static void softplus_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float z = p[0] * x[i];
        y[i] = z > p[1] ? x[i] : 1.0f / p[0] * ((z < 0.0f ? 0.0f : z) + log1pf(expf(-fabsf(z))));
    }
}

static void softplus_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n, const float *p) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float z = p[0] * x[i];
        gx[i] = z > p[1] ? gy[i] : gy[i] / (1.0f + expf(-z));
    }
}

static void logsigmoid_forward_f32(float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (x[i] > 0.0f ? 0.0f : x[i]) - log1pf(expf(-fabsf(x[i])));
}

static void logsigmoid_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) gx[i] = -gy[i] * expm1f(y[i]);
}

static void silu_forward_f32(float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] / (1.0f + expf(-x[i]));
}

static void silu_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float s = 1.0f / (1.0f + expf(-x[i]));
        gx[i] = gy[i] * (s * (1.0f + x[i] * (1.0f - s)));
    }
}

static void gelu_forward_f32(float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] * (0.5f * erfcf(-0.707106781f * x[i]));
}

static void gelu_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n) {
    const float density = 0.398942280f; /* 1 / sqrt(2 pi) */
    for (ptrdiff_t i = 0; i < n; i++) {
        float slope = 0.5f * erfcf(-0.707106781f * x[i]) + x[i] * (density * expf(-0.5f * x[i] * x[i]));
        gx[i] = gy[i] * slope;
    }
}

/* 1 + tanh(u) = 2 / (1 + exp(-2u)), 2u = x (a + b x^2).  Where x^2 is cut off the exponential has long been 0 or inf. */
static const float gelu_a = 1.59576912f, gelu_b = 7.13548163e-2f; /* a = 2 sqrt(2 / pi), b = 0.044715 a */
static float limited_square(float x) { return x * x > 1e4f ? 1e4f : x * x; }

static void gelu_tanh_forward_f32(float *y, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] / (1.0f + expf(-x[i] * (gelu_a + gelu_b * limited_square(x[i]))));
}

static void gelu_tanh_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float q = limited_square(x[i]), s = 1.0f / (1.0f + expf(-x[i] * (gelu_a + gelu_b * q)));
        gx[i] = gy[i] * (s + x[i] * (s * (1.0f - s)) * (gelu_a + 3.0f * gelu_b * q));
    }
}

/* ---- matrix product ------------------------------------------------------------------------------------------------ */

enum { PANEL = 8 };

static void gemm_pack_f32(float *p, const float *b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t bk, ptrdiff_t bn) {
    for (ptrdiff_t l = 0; l < k; l++)
        for (ptrdiff_t j = 0; j < PANEL; j++) p[l * PANEL + j] = j < n ? b[l * bk + j * bn] : 0.0f;
}

static void gemm_rows_f32(float *c, const float *a, const float *b, const float *bias, ptrdiff_t m, ptrdiff_t n,
                          ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t ldb, int accumulate) {
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            float s = accumulate ? c[i * ldc + j] : bias ? bias[j] : 0.0f;
            for (ptrdiff_t l = 0; l < k; l++) s += a[i * am + l * ak] * b[l * ldb + j];
            c[i * ldc + j] = s;
        }
}

static void gemm_panel_f32(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                           ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, int accumulate) {
    gemm_rows_f32(c, a, p, bias, m, n, k, ldc, am, ak, PANEL, accumulate);
}

static void gemm_panels_f32(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                            ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t next, int accumulate) {
    for (ptrdiff_t j = 0; j < n; j += PANEL, p += next)
        gemm_panel_f32(c + j, a, p, bias ? bias + j : bias, m, n - j < PANEL ? n - j : PANEL, k, ldc, am, ak,
                       accumulate);
}

#include "scalar_convolution.inc.h"
#include "scalar_winograd.inc.h"

/* ---- columns --------------------------------------------------------------------------------------------------------- */

static void column_sum_f32(double *sum, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld) {
    for (ptrdiff_t j = 0; j < c; j++) {
        sum[j] = 0.0;
        for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
            ptrdiff_t last = first + TN_ROW_BLOCK < rows ? first + TN_ROW_BLOCK : rows;
            float s = 0.0f;
            for (ptrdiff_t i = first; i < last; i++) s += x[i * ld + j];
            sum[j] += s;
        }
    }
}

static void sum_rows_f32(double *total, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
                         const double *center) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        total[i] = 0.0;
        for (ptrdiff_t j = 0; j < n; j++) {
            double v = x[i * ld + j];
            total[i] += center ? (v - center[i]) * (v - center[i]) : v;
        }
    }
}

static void sum_columns_f32(double *total, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld,
                            const double *center) {
    for (ptrdiff_t j = 0; j < c; j++) {
        total[j] = 0.0;
        for (ptrdiff_t i = 0; i < rows; i++) {
            double v = x[i * ld + j];
            total[j] += center ? (v - center[j]) * (v - center[j]) : v;
        }
    }
}

/* Two sets of (count, mean, sum of squared deviations) merge as (Chan, Golub & LeVeque 1983, eq. 2.1):
 *     d = mean_b - mean_a;  mean = mean_a + d * n_b / n;  M2 = M2_a + M2_b + d^2 * n_a * n_b / n. */
static void bn_statistics_f32(double *mean, double *m2, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld) {
    for (ptrdiff_t j = 0; j < c; j++)
        for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
            ptrdiff_t nb = rows - first < TN_ROW_BLOCK ? rows - first : TN_ROW_BLOCK;
            const float *b = x + first * ld + j;
            float origin = b[0], s = 0.0f, q = 0.0f;
            for (ptrdiff_t i = 0; i < nb; i++) s += b[i * ld] - origin;
            origin += s / (float)nb; /* near the block's mean, also where the first row is an outlier */
            s = 0.0f;
            for (ptrdiff_t i = 0; i < nb; i++) {
                float d = b[i * ld] - origin;
                s += d;
                q += d * d;
            }
            double mean_b = origin + s / (double)nb, m2_b = q - s * (double)s / nb;
            if (first == 0) {
                mean[j] = mean_b;
                m2[j] = m2_b;
            } else {
                double n = (double)(first + nb), d = mean_b - mean[j];
                mean[j] += d * (nb / n);
                m2[j] += m2_b + d * d * (first * (nb / n));
            }
        }
    for (ptrdiff_t j = 0; j < c; j++)
        if (m2[j] < 0.0) m2[j] = 0.0; /* q - s^2/n of a constant column can round below zero */
}

static void bn_apply_f32(float *y, const float *x, const float *center, const float *scale, const float *shift,
                         ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < c; j++) y[i * ldy + j] = (x[i * ldx + j] - center[j]) * scale[j] + shift[j];
}

static void bn_reduce_f32(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                          const float *scale, const float *shift, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg,
                          ptrdiff_t ldx) {
    for (ptrdiff_t j = 0; j < c; j++) {
        sum_g[j] = sum_gx[j] = 0.0;
        for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
            ptrdiff_t last = first + TN_ROW_BLOCK < rows ? first + TN_ROW_BLOCK : rows;
            float s = 0.0f, q = 0.0f;
            for (ptrdiff_t i = first; i < last; i++) {
                float g = gy[i * ldg + j];
                s += g;
                q += g * ((x[i * ldx + j] - center[j]) * scale[j] + shift[j]);
            }
            sum_g[j] += s;
            sum_gx[j] += q;
        }
    }
}

static void bn_backward_f32(float *gx, const float *gy, const float *x, const float *center, const float *a,
                            const float *b, const float *d, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo, ptrdiff_t ldg,
                            ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < c; j++)
            gx[i * ldo + j] = a[j] * gy[i * ldg + j] + (b[j] * (x[i * ldx + j] - center[j]) + d[j]);
}

#include "scalar_columns.inc.h"

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

static void softmax_forward_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, x += c, y += c) {
        float top = x[0], s = 0.0f;
        for (ptrdiff_t j = 1; j < c; j++) top = x[j] > top ? x[j] : top;
        for (ptrdiff_t j = 0; j < c; j++) s += y[j] = expf(x[j] - top);
        for (ptrdiff_t j = 0; j < c; j++) y[j] *= 1.0f / s;
    }
}

static void softmax_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, gx += c, gy += c, y += c) {
        float s = 0.0f;
        for (ptrdiff_t j = 0; j < c; j++) s += gy[j] * y[j];
        for (ptrdiff_t j = 0; j < c; j++) gx[j] = y[j] * (gy[j] - s);
    }
}

static void log_softmax_forward_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, x += c, y += c) {
        float top = x[0], s = 0.0f;
        for (ptrdiff_t j = 1; j < c; j++) top = x[j] > top ? x[j] : top;
        for (ptrdiff_t j = 0; j < c; j++) s += expf(x[j] - top);
        float log_s = logf(s);
        for (ptrdiff_t j = 0; j < c; j++) y[j] = (x[j] - top) - log_s;
    }
}

static void log_softmax_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, gx += c, gy += c, y += c) {
        float s = 0.0f;
        for (ptrdiff_t j = 0; j < c; j++) s += gy[j];
        for (ptrdiff_t j = 0; j < c; j++) gx[j] = gy[j] - expf(y[j]) * s;
    }
}

static void cross_entropy_forward_f32(float *loss, const float *logp, const int64_t *t, const float *weight,
                                      ptrdiff_t rows, ptrdiff_t c, int64_t ignore, float keep, float smooth) {
    for (ptrdiff_t i = 0; i < rows; i++, logp += c) {
        loss[i] = 0.0f;
        if (t[i] == ignore) continue;
        float s = keep * (weight ? weight[t[i]] : 1.0f) * logp[t[i]];
        if (smooth != 0.0f)
            for (ptrdiff_t j = 0; j < c; j++) s += smooth * (weight ? weight[j] : 1.0f) * logp[j];
        loss[i] = -s;
    }
}

static void cross_entropy_backward_f32(float *gx, const float *g, const float *logp, const int64_t *t,
                                       const float *weight, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, int64_t ignore,
                                       float keep, float smooth) {
    float total = (float)c; /* sum of the weights */
    if (weight) {
        total = 0.0f;
        for (ptrdiff_t j = 0; j < c; j++) total += weight[j];
    }
    for (ptrdiff_t i = 0; i < rows; i++, gx += c, logp += c) {
        if (t[i] == ignore) {
            for (ptrdiff_t j = 0; j < c; j++) gx[j] = 0.0f;
            continue;
        }
        float at = keep * (weight ? weight[t[i]] : 1.0f), q = at + smooth * total;
        for (ptrdiff_t j = 0; j < c; j++)
            gx[j] = g[i * ldg] * (q * expf(logp[j]) - smooth * (weight ? weight[j] : 1.0f));
        gx[t[i]] -= g[i * ldg] * at;
    }
}

static void cross_entropy_soft_forward_f32(float *loss, const float *logp, const float *t, const float *weight,
                                           ptrdiff_t rows, ptrdiff_t c, float keep, float smooth) {
    for (ptrdiff_t i = 0; i < rows; i++, logp += c, t += c) {
        double s = 0.0;
        for (ptrdiff_t j = 0; j < c; j++) s += (weight ? weight[j] : 1.0f) * (keep * t[j] + smooth) * logp[j];
        loss[i] = (float)-s;
    }
}

static void cross_entropy_soft_backward_f32(float *gx, float *gt, const float *g, const float *logp, const float *t,
                                            const float *weight, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, float keep,
                                            float smooth) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        double q = 0.0;
        for (ptrdiff_t j = 0; j < c; j++) q += (weight ? weight[j] : 1.0f) * (keep * t[i * c + j] + smooth);
        for (ptrdiff_t k = i * c; k < (i + 1) * c; k++) {
            float w = weight ? weight[k - i * c] : 1.0f;
            if (gx) gx[k] = g[i * ldg] * ((float)q * expf(logp[k]) - w * (keep * t[k] + smooth));
            if (gt) gt[k] = -g[i * ldg] * (keep * w * logp[k]);
        }
    }
}

/* ---- losses, elementwise ----------------------------------------------------------------------------------------------- */

static float squared(float x, float t, float delta) {
    (void)delta;
    return (x - t) * (x - t);
}
static float squared_slope(float x, float t, float delta) {
    (void)delta;
    return 2.0f * (x - t);
}

static float absolute(float x, float t, float delta) {
    (void)delta;
    return fabsf(x - t);
}
static float absolute_slope(float x, float t, float delta) {
    float d = x - t;
    (void)delta;
    return d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : d; /* NaN stays */
}

static float huber(float x, float t, float delta) {
    float a = fabsf(x - t), r = a < delta ? a : delta;
    return r * (a - 0.5f * r);
}
static float huber_slope(float x, float t, float delta) {
    float d = x - t;
    return d > delta ? delta : d < -delta ? -delta : d;
}

static float bce(float x, float t, float delta) {
    (void)delta;
    return (x <= 0.0f ? 0.0f : x) - x * t + log1pf(expf(-fabsf(x)));
}
static float bce_slope(float x, float t, float delta) {
    (void)delta;
    return 1.0f / (1.0f + expf(-x)) - t;
}

#define LOSS(name, value, slope)                                                                            \
    static double name##_forward_f32(float *y, const float *x, const float *t, ptrdiff_t n, float delta,    \
                                     float scale) {                                                         \
        double s = 0.0;                                                                                     \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                 \
            float v = scale * value(x[i], t[i], delta);                                                     \
            if (y) y[i] = v;                                                                                \
            s += v;                                                                                         \
        }                                                                                                   \
        return s;                                                                                           \
    }                                                                                                       \
    static void name##_backward_f32(float *gx, const float *g, const float *x, const float *t, ptrdiff_t n, \
                                    ptrdiff_t ldg, float delta, float scale) {                              \
        for (ptrdiff_t i = 0; i < n; i++) gx[i] = g[i * ldg] * scale * slope(x[i], t[i], delta);            \
    }

LOSS(mse, squared, squared_slope)
LOSS(l1, absolute, absolute_slope)
LOSS(huber, huber, huber_slope)
LOSS(bce, bce, bce_slope)

/* ---- layer normalisation --------------------------------------------------------------------------------------------- */

static void layer_norm_forward_f32(float *y, float *stats, const float *x, const float *weight, const float *bias,
                                   ptrdiff_t rows, ptrdiff_t c, double eps) {
    for (ptrdiff_t i = 0; i < rows; i++, x += c, y += c, stats += 3) {
        double s = 0.0, q = 0.0;
        for (ptrdiff_t j = 0; j < c; j++) s += x[j] - x[0];
        float center = x[0] + (float)(s / c); /* near the mean, also where x[0] is an outlier */
        s = 0.0;
        for (ptrdiff_t j = 0; j < c; j++) {
            float d = x[j] - center;
            s += d;
            q += d * d;
        }
        double rest = s / c, var = (q - s * rest) / c;
        /* A variance beyond float32 is infinite: nan shows it.  That of a constant row may round below 0. */
        double r = var < INFINITY ? 1.0 / sqrt((var < 0.0 ? 0.0 : var) + eps) : NAN;
        stats[0] = center, stats[1] = (float)r, stats[2] = (float)(-rest * r);
        for (ptrdiff_t j = 0; j < c; j++) y[j] = ((x[j] - center) * stats[1] + stats[2]) * weight[j] + bias[j];
    }
}

static void layer_norm_backward_f32(float *gx, double *sums, float *part, const float *gy, const float *x,
                                    const float *stats, const float *weight, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t j = 0; sums && j < 2 * c; j++) sums[j] = 0.0;
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
        ptrdiff_t last = first + TN_ROW_BLOCK < rows ? first + TN_ROW_BLOCK : rows;
        for (ptrdiff_t j = 0; sums && j < 2 * c; j++) part[j] = 0.0f;
        for (ptrdiff_t i = first; i < last; i++) {
            const float *g = gy + i * c, *xi = x + i * c, *t = stats + 3 * i;
            double s = 0.0, q = 0.0;
            for (ptrdiff_t j = 0; j < c; j++) {
                float xh = (xi[j] - t[0]) * t[1] + t[2], gw = g[j] * weight[j];
                s += gw;
                q += gw * xh;
                if (gx) gx[i * c + j] = gw;
                if (sums) {
                    part[j] += g[j];
                    part[c + j] += g[j] * xh;
                }
            }
            float d = (float)(s / c), b = (float)(q / c);
            for (ptrdiff_t j = 0; gx && j < c; j++)
                gx[i * c + j] = t[1] * (gx[i * c + j] - d - b * ((xi[j] - t[0]) * t[1] + t[2]));
        }
        for (ptrdiff_t j = 0; sums && j < 2 * c; j++) sums[j] += part[j];
    }
}

/* ---- random numbers ---------------------------------------------------------------------------------------------------- */

/* One block of Philox4x32-10: ten rounds of two 32x32 -> 64 bit products, the key rising by Weyl constants. */
static void philox_block(uint32_t out[4], uint64_t counter, uint64_t call, uint64_t seed) {
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = (uint32_t)call, c3 = (uint32_t)(call >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static void philox_u32(uint32_t *out, ptrdiff_t n, uint64_t first, uint64_t seed, uint64_t call) {
    uint32_t block[4];
    for (ptrdiff_t i = 0; i < n; i++) {
        if (i % 4 == 0) philox_block(block, (first + (uint64_t)i) / 4, call, seed);
        out[i] = block[i % 4];
    }
}

static void dropout_f32(float *y, const float *x, ptrdiff_t n, uint64_t first, uint64_t seed, uint64_t call,
                        uint32_t threshold, float scale) {
    uint32_t block[4];
    for (ptrdiff_t i = 0; i < n; i++) {
        if (i % 4 == 0) philox_block(block, (first + (uint64_t)i) / 4, call, seed);
        y[i] = block[i % 4] >= threshold ? x[i] * scale : 0.0f;
    }
}

/* ---- optimiser ----------------------------------------------------------------------------------------------------------- */

static float pull(float g, float w, float decay, float sign) { return decay != 0.0f ? sign * g + decay * w : sign * g; }

static void sgd_f32(float *w, float *v, const float *g, ptrdiff_t n, float lr, float mu, float damp, float decay,
                    float sign, int nesterov) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float d = pull(g[i], w[i], decay, sign), step = d;
        if (v) {
            v[i] = mu * v[i] + damp * d;
            step = nesterov ? d + mu * v[i] : v[i];
        }
        w[i] -= lr * step;
    }
}

static void adam_f32(float *w, float *a, float *s, float *top, const float *g, ptrdiff_t n, float rate, float root,
                     float r1, float beta2, float r2, float eps, float keep, float decay, float sign) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float d = pull(g[i], w[i], decay, sign);
        a[i] = r1 < 0.5f ? a[i] + r1 * (d - a[i]) : d - (1.0f - r1) * (d - a[i]);
        s[i] = beta2 * s[i] + r2 * (d * d);
        float q = s[i];
        if (top) q = top[i] = q < top[i] || isnan(top[i]) ? top[i] : q;
        w[i] = keep * w[i] - rate * (a[i] / (sqrtf(q) / root + eps));
    }
}

static void rmsprop_f32(float *w, float *s, float *a, float *v, const float *g, ptrdiff_t n, float lr, float alpha,
                        float r, float eps, float mu, float decay, float sign) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float d = pull(g[i], w[i], decay, sign);
        s[i] = alpha * s[i] + r * (d * d);
        float q = s[i];
        if (a) {
            a[i] = r < 0.5f ? a[i] + r * (d - a[i]) : d - (1.0f - r) * (d - a[i]);
            q -= a[i] * a[i];
            if (q < 0.0f) q = 0.0f;
        }
        float step = d / (sqrtf(q) + eps);
        if (v) step = v[i] = mu * v[i] + step;
        w[i] -= lr * step;
    }
}

static void adagrad_f32(float *w, float *s, const float *g, ptrdiff_t n, float rate, float eps, float decay,
                        float sign) {
    for (ptrdiff_t i = 0; i < n; i++) {
        float d = pull(g[i], w[i], decay, sign);
        s[i] += d * d;
        w[i] -= rate * (d / (sqrtf(s[i]) + eps));
    }
}

#include "scalar_extrema.inc.h"
#include "scalar_pooling.inc.h"

#define TN_TABLE tn_kernels_scalar
#define TN_NAME "scalar"
#include "table.inc.h"
