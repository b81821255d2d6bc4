/* The optimisers' updates: see tinynet.h for what each computes.  All are elementwise and work in place. */

/* The gradient that a rule sees.  Without decay the weight stays out of it: 0 times an infinite weight would be NaN. */
INLINE vf pull_v(vf g, vf w, float decay, float sign) { return decay != 0.0f ? sign * g + decay * w : sign * g; }

INLINE vf root_v(vf x) {
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    float s[VL];
    store(s, x);
    for (int i = 0; i < VL; i++) s[i] = sqrtf(s[i]);
    return load(s);
#endif
}

/* From a towards d by the share r of the way; exact at both ends. */
INLINE vf approach_v(vf a, vf d, float r) { return r < 0.5f ? a + r * (d - a) : d - (1.0f - r) * (d - a); }

/* d = sign g + decay w; v = mu v + damp d; w -= lr (nesterov ? d + mu v : v) */
static void sgd_f32(float *w, float *v, const float *g, ptrdiff_t n, float lr, float mu, float damp, float decay,
                    float sign, int nesterov) {
    if (!v)
        MAP(n, {
            vf x = load_n(w + i, m);
            store_n(w + i, x - lr * pull_v(load_n(g + i, m), x, decay, sign), m);
        });
    else
        MAP(n, {
            vf x = load_n(w + i, m);
            vf d = pull_v(load_n(g + i, m), x, decay, sign);
            vf u = mu * load_n(v + i, m) + damp * d;
            store_n(v + i, u, m);
            store_n(w + i, x - lr * (nesterov ? d + mu * u : u), m);
        });
}

/* a moves towards d by the share r1 of the way, s by r2 towards d^2; w = keep w - rate a / (sqrt(s) / root + eps) */
static void adam_f32(float *w, float *a, float *s, float *top, const float *g, ptrdiff_t n, float rate, float root,
                     float r1, float beta2, float r2, float eps, float keep, float decay, float sign) {
    MAP(n, {
        vf x = load_n(w + i, m);
        vf d = pull_v(load_n(g + i, m), x, decay, sign);
        vf p = approach_v(load_n(a + i, m), d, r1);
        vf q = beta2 * load_n(s + i, m) + r2 * (d * d);
        store_n(a + i, p, m);
        store_n(s + i, q, m);
        if (top) {
            vf t = load_n(top + i, m);
            q = choose((q < t) | (t != t), t, q); /* NaN wins */
            store_n(top + i, q, m);
        }
        store_n(w + i, keep * x - rate * (p / (root_v(q) / root + eps)), m);
    });
}

/* s moves towards d^2, a towards d; v = mu v + d / (sqrt(s - a^2) + eps); w -= lr v */
static void rmsprop_f32(float *w, float *s, float *a, float *v, const float *g, ptrdiff_t n, float lr, float alpha,
                        float r, float eps, float mu, float decay, float sign) {
    MAP(n, {
        vf x = load_n(w + i, m);
        vf d = pull_v(load_n(g + i, m), x, decay, sign);
        vf q = alpha * load_n(s + i, m) + r * (d * d);
        store_n(s + i, q, m);
        if (a) {
            vf p = approach_v(load_n(a + i, m), d, r);
            store_n(a + i, p, m);
            q = q - p * p;
            q = choose(q < 0.0f, splat(0.0f), q); /* rounding */
        }
        vf step = d / (root_v(q) + eps);
        if (v) {
            step = mu * load_n(v + i, m) + step;
            store_n(v + i, step, m);
        }
        store_n(w + i, x - lr * step, m);
    });
}

/* s += d^2; w -= rate d / (sqrt(s) + eps) */
static void adagrad_f32(float *w, float *s, const float *g, ptrdiff_t n, float rate, float eps, float decay,
                        float sign) {
    MAP(n, {
        vf x = load_n(w + i, m);
        vf d = pull_v(load_n(g + i, m), x, decay, sign);
        vf q = load_n(s + i, m) + d * d;
        store_n(s + i, q, m);
        store_n(w + i, x - rate * (d / (root_v(q) + eps)), m);
    });
}
