/* Losses: cross-entropy against distributions, row by row, and the elementwise losses; see tinynet.h.
 *
 * Sums go through double, a vector at a time.  LOSS makes the two kernels of an elementwise loss from its value and its
 * slope at the vectors x and t.
 */
typedef float half_f __attribute__((vector_size(2 * VL)));

typedef struct {
    vh low, high;
} total;

INLINE void add_to(total *s, vf v) {
    half_f h[2];
    memcpy(h, &v, sizeof h);
    s->low += __builtin_convertvector(h[0], vh);
    s->high += __builtin_convertvector(h[1], vh);
}

INLINE double lanes_sum_double(total t) {
    double s[VL / 2];
    vh v = t.low + t.high;
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
    return magnitude(x - t);
}
INLINE vf l1_slope(vf x, vf t, float delta) {
    vf d = x - t;
    (void)delta;
    return choose(d > 0.0f, splat(1.0f), choose(d < 0.0f, splat(-1.0f), d));
}

INLINE vf huber_value(vf x, vf t, float delta) {
    vf a = magnitude(x - t), r = choose(a < delta, a, splat(delta));
    return r * (a - 0.5f * r);
}
INLINE vf huber_slope(vf x, vf t, float delta) {
    vf d = x - t;
    return choose(d > delta, splat(delta), choose(d < -delta, splat(-delta), d));
}

INLINE vf bce_value(vf x, vf t, float delta) {
    (void)delta;
    return choose(x <= 0.0f, splat(0.0f), x) - x * t + log1p_v(exp_v(-magnitude(x)));
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
