/* Losses: cross-entropy against distributions, row by row, and the elementwise losses; see tinynet.h.
 *
 * Sums go through double, a vector at a time.  LOSS makes the two kernels of an elementwise loss from its value and its
 * slope at the vectors x and t.
 */
INLINE double lanes_sum_double(vd v) {
    double s[VL];
    memcpy(s, &v, sizeof s);
    for (int half = VL / 2; half; half /= 2)
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
        vd s = {0};
        EACH_VECTOR_OF_COLUMNS(c) s += widen(soft_target(t, weight, j, width, keep, smooth) * load_n(logp + j, width));
        loss[i] = (float)-lanes_sum_double(s);
    }
}

static void cross_entropy_soft_backward_f32(float *gx, float *gt, const float *g, const float *logp, const float *t,
                                            const float *weight, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, float keep,
                                            float smooth) {
    for (ptrdiff_t i = 0; i < rows; i++, logp += c, t += c) {
        float gi = g[i * ldg];
        if (gx) {
            vd s = {0};
            EACH_VECTOR_OF_COLUMNS(c) {
                vf q = soft_target(t, weight, j, width, keep, smooth);
                s += widen(width == VL ? q : first_lanes(q, width));
            }
            float total = (float)lanes_sum_double(s);
            EACH_VECTOR_OF_COLUMNS(c) {
                vf q = soft_target(t, weight, j, width, keep, smooth);
                store_n(gx + j, gi * (total * exp_v(load_n(logp + j, width)) - q), width);
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
INLINE vf log1p_v(vf u) {
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
    return choose(x <= 0.0f, splat(0.0f), x) - x * t + log1p_v(exp_v(-abs_of(x)));
}
INLINE vf bce_slope(vf x, vf t, float delta) {
    (void)delta;
    return 1.0f / (1.0f + exp_v(-x)) - t;
}

#define LOSS(name)                                                                                          \
    static double name##_forward_f32(float *y, const float *x, const float *t, ptrdiff_t n, float delta,    \
                                     float scale) {                                                         \
        vd s = {0};                                                                                         \
        MAP(n, {                                                                                            \
            vf v = scale * name##_value(load_n(x + i, m), load_n(t + i, m), delta);                         \
            if (y) store_n(y + i, v, m);                                                                    \
            s += widen(m == VL ? v : first_lanes(v, m));                                                    \
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
    vd s = {0};
    MAP(n, {
        vd v = widen(load_n(x + i, m));
        s += v * v;
    });
    return lanes_sum_double(s);
}
