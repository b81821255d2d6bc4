/* Softmax, log-softmax and cross-entropy over the rows of a contiguous matrix x (rows, c).
 *
 * A row's sum of exponentials is taken VL lanes wide, then over the lanes; exp of the missing lanes of the last vector is
 * kept out by `width`.  The label's entry is picked by index.
 */
INLINE float row_max(const float *x, ptrdiff_t c) {
    float top = x[0];
    if (c < VL) {
        for (ptrdiff_t j = 1; j < c; j++) top = x[j] > top ? x[j] : top;
        return top;
    }
    vf v = load(x + c - VL); /* what fills no vector of its own, and some before it once more */
    for (ptrdiff_t j = 0; j + VL <= c; j += VL) {
        vf u = load(x + j);
        v = choose(u > v, u, v);
    }
    float s[VL];
    store(s, v);
    for (int half = VL / 2; half; half /= 2)
        for (int k = 0; k < half; k++) s[k] = s[k + half] > s[k] ? s[k + half] : s[k];
    return s[0];
}

INLINE vf first_lanes(vf v, ptrdiff_t n) { /* v in the first n lanes, 0 in the others */
    static const int32_t numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vi lane;
    memcpy(&lane, numbers, sizeof lane);
    return (vf)((vi)v & (lane < (int32_t)n));
}

static void softmax_forward_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, x += c, y += c) {
        float top = row_max(x, c);
        vf s = {0};
        EACH_VECTOR_OF_COLUMNS(c) {
            vf e = exp_v(load_n(x + j, width) - top);
            store_n(y + j, e, width);
            s += width == VL ? e : first_lanes(e, width);
        }
        float scale = 1.0f / lanes_sum(s);
        EACH_VECTOR_OF_COLUMNS(c) store_n(y + j, scale * load_n(y + j, width), width);
    }
}

static void softmax_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, gx += c, gy += c, y += c) {
        vf s = {0};
        EACH_VECTOR_OF_COLUMNS(c) s += load_n(gy + j, width) * load_n(y + j, width);
        float total = lanes_sum(s);
        EACH_VECTOR_OF_COLUMNS(c) store_n(gx + j, load_n(y + j, width) * (load_n(gy + j, width) - total), width);
    }
}

static void log_softmax_forward_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, x += c, y += c) {
        float top = row_max(x, c);
        vf s = {0};
        EACH_VECTOR_OF_COLUMNS(c) {
            vf e = exp_v(load_n(x + j, width) - top);
            s += width == VL ? e : first_lanes(e, width);
        }
        float log_s = logf(lanes_sum(s));
        EACH_VECTOR_OF_COLUMNS(c) store_n(y + j, (load_n(x + j, width) - top) - log_s, width);
    }
}

static void log_softmax_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t i = 0; i < rows; i++, gx += c, gy += c, y += c) {
        vf s = {0};
        EACH_VECTOR_OF_COLUMNS(c) s += load_n(gy + j, width);
        float total = lanes_sum(s);
        EACH_VECTOR_OF_COLUMNS(c) store_n(gx + j, load_n(gy + j, width) - exp_v(load_n(y + j, width)) * total, width);
    }
}

static void cross_entropy_forward_f32(float *loss, const float *logp, const int64_t *t, const float *weight,
                                      ptrdiff_t rows, ptrdiff_t c, int64_t ignore, float keep, float smooth) {
    for (ptrdiff_t i = 0; i < rows; i++, logp += c) {
        loss[i] = 0.0f;
        if (t[i] == ignore) continue;
        float s = keep * (weight ? weight[t[i]] : 1.0f) * logp[t[i]];
        if (smooth != 0.0f) {
            vf total = {0};
            EACH_VECTOR_OF_COLUMNS(c) {
                vf v = load_n(logp + j, width);
                total += weight ? load_n(weight + j, width) * v : v;
            }
            s += smooth * lanes_sum(total);
        }
        loss[i] = -s;
    }
}

static void cross_entropy_backward_f32(float *gx, const float *g, const float *logp, const int64_t *t,
                                       const float *weight, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, int64_t ignore,
                                       float keep, float smooth) {
    float total = (float)c;
    if (weight) {
        vf s = {0};
        EACH_VECTOR_OF_COLUMNS(c) s += load_n(weight + j, width);
        total = lanes_sum(s);
    }
    for (ptrdiff_t i = 0; i < rows; i++, gx += c, logp += c) {
        if (t[i] == ignore) {
            memset(gx, 0, (size_t)c * sizeof *gx);
            continue;
        }
        float gi = g[i * ldg], at = keep * (weight ? weight[t[i]] : 1.0f), q = at + smooth * total;
        EACH_VECTOR_OF_COLUMNS(c) {
            vf w = weight ? load_n(weight + j, width) : splat(1.0f);
            store_n(gx + j, gi * (q * exp_v(load_n(logp + j, width)) - smooth * w), width);
        }
        gx[t[i]] -= gi * at;
    }
}
