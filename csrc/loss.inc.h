/* Losses: cross-entropy against distributions, row by row, and the elementwise losses; see tinynet.h.
 *
 * Sums go through double, a vector at a time.  LOSS makes the two kernels of an elementwise loss from its value and its
 * slope at the vectors x and t.
 */
typedef float half_f __attribute__((vector_size(2 * VL)));
typedef double half_d __attribute__((vector_size(4 * VL))); /* a register of doubles, where `vd` takes two */

typedef struct {
    half_d low, high;
} total;

INLINE void add_to(total *s, vf v) {
    half_f h[2];
    memcpy(h, &v, sizeof h);
    s->low += __builtin_convertvector(h[0], half_d);
    s->high += __builtin_convertvector(h[1], half_d);
}

INLINE double lanes_sum_double(total t) {
    double s[VL / 2];
    half_d v = t.low + t.high;
    memcpy(s, &v, sizeof s);
    for (int half = VL / 4; half; half /= 2)
        for (int i = 0; i < half; i++) s[i] += s[i + half];
    return s[0];
}

/* weight * (keep * t + smooth), `width` lanes of it */
INLINE vf soft_target(const float *t, const float *weight, ptrdiff_t j, ptrdiff_t width, float keep, float smooth) {
    vf q = keep * load_n(t + j, width) + smooth;
    return weight ? q * load_n(weight + j, width) : q;
}

static void cross_entropy_soft_forward_f32(float *loss, const float *logp, const float *t, const float *weight,
                                           ptrdiff_t rows, ptrdiff_t c, float keep, float smooth) {
    for (ptrdiff_t i = 0; i < rows; i++, logp += c, t += c) {
        total s = {0};
        EACH_VECTOR_OF_COLUMNS(c) add_to(&s, soft_target(t, weight, j, width, keep, smooth) * load_n(logp + j, width));
        loss[i] = (float)-lanes_sum_double(s);
    }
}

static void cross_entropy_soft_backward_f32(float *gx, float *gt, const float *g, const float *logp, const float *t,
                                            const float *weight, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, float keep,
                                            float smooth) {
    for (ptrdiff_t i = 0; i < rows; i++, logp += c, t += c) {
        float gi = g[i * ldg];
        if (gx) {
            total s = {0};
            EACH_VECTOR_OF_COLUMNS(c) {
                vf q = soft_target(t, weight, j, width, keep, smooth);
                add_to(&s, width == VL ? q : first_lanes(q, width));
            }
            float sum = (float)lanes_sum_double(s);
            EACH_VECTOR_OF_COLUMNS(c) {
                vf q = soft_target(t, weight, j, width, keep, smooth);
                store_n(gx + j, gi * (sum * exp_v(load_n(logp + j, width)) - q), width);
            }
            gx += c;
        }
        if (gt) {
            EACH_VECTOR_OF_COLUMNS(c) {
                vf w = weight ? load_n(weight + j, width) : splat(1.0f);
                store_n(gt + j, -gi * (keep * w * load_n(logp + j, width)), width);
            }
            gt += c;
        }
    }
}

INLINE vf abs_of(vf x) { return (vf)((vi)x & INT32_MAX); }

/* log(1 + u) for 0 <= u <= 1.  With s = u / (2 + u), log(1 + u) = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...); s <= 1/3, so
 * the first term left out, s^17/17, is below 1.4e-9 of the sum. */
INLINE vf log1p_unit(vf u) {
    vf s = u / (u + 2.0f), z = s * s;
    vf p = z * (1.0f / 15.0f) + 1.0f / 13.0f;
    p = p * z + 1.0f / 11.0f;
    p = p * z + 1.0f / 9.0f;
    p = p * z + 1.0f / 7.0f;
    p = p * z + 1.0f / 5.0f;
    p = p * z + 1.0f / 3.0f;
    return 2.0f * (s + s * (z * p));
}

INLINE vf mse_value(vf x, vf t, float delta) {
    (void)delta;
    return (x - t) * (x - t);
}
INLINE vf mse_slope(vf x, vf t, float delta) {
    (void)delta;
    return 2.0f * (x - t);
}

INLINE vf l1_value(vf x, vf t, float delta) {
    (void)delta;
    return abs_of(x - t);
}
INLINE vf l1_slope(vf x, vf t, float delta) {
    vf d = x - t;
    (void)delta;
    return choose(d > 0.0f, splat(1.0f), choose(d < 0.0f, splat(-1.0f), d));
}

INLINE vf huber_value(vf x, vf t, float delta) {
    vf a = abs_of(x - t), r = choose(a < delta, a, splat(delta));
    return r * (a - 0.5f * r);
}
INLINE vf huber_slope(vf x, vf t, float delta) {
    vf d = x - t;
    return choose(d > delta, splat(delta), choose(d < -delta, splat(-delta), d));
}

INLINE vf bce_value(vf x, vf t, float delta) {
    (void)delta;
    return choose(x <= 0.0f, splat(0.0f), x) - x * t + log1p_unit(exp_v(-abs_of(x)));
}
INLINE vf bce_slope(vf x, vf t, float delta) {
    (void)delta;
    return 1.0f / (1.0f + exp_v(-x)) - t;
}

#define LOSS(name)                                                                                          \
    static double name##_forward_f32(float *y, const float *x, const float *t, ptrdiff_t n, float delta,    \
                                     float scale) {                                                         \
        total s = {0};                                                                                      \
        MAP(n, {                                                                                            \
            vf v = scale * name##_value(load_n(x + i, m), load_n(t + i, m), delta);                         \
            if (y) store_n(y + i, v, m);                                                                    \
            add_to(&s, m == VL ? v : first_lanes(v, m));                                                    \
        });                                                                                                 \
        return lanes_sum_double(s);                                                                         \
    }                                                                                                       \
    static void name##_backward_f32(float *gx, const float *g, const float *x, const float *t, ptrdiff_t n, \
                                    ptrdiff_t ldg, float delta, float scale) {                              \
        MAP(n, {                                                                                            \
            vf gi = (ldg ? load_n(g + i, m) : splat(*g)) * scale;                                           \
            store_n(gx + i, gi * name##_slope(load_n(x + i, m), load_n(t + i, m), delta), m);               \
        });                                                                                                 \
    }

LOSS(mse)
LOSS(l1)
LOSS(huber)
LOSS(bce)

static double square_sum_f32(const float *x, ptrdiff_t n) {
    half_d s[4] = {{0}};
    ptrdiff_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL)
        for (int k = 0; k < 4; k++) {
            half_f h;
            memcpy(&h, x + i + k * (VL / 2), sizeof h);
            half_d v = __builtin_convertvector(h, half_d);
            s[k] += v * v;
        }
    double rest = 0.0;
    for (; i < n; i++) rest += (double)x[i] * x[i];
    return lanes_sum_double((total){s[0] + s[1], s[2] + s[3]}) + rest;
}
