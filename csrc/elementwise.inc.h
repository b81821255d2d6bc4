/* Elementwise kernels: see tinynet.h for what each computes.
 *
 * MAP runs `body` for whole vectors and once more for the rest; there load_n/store_n touch only the n - i elements that
 * exist, and the arithmetic is the same, so an element's value does not depend on where it stands. */
#define MAP(n, body)                     \
    do {                                 \
        ptrdiff_t i = 0;                 \
        for (; i + VL <= (n); i += VL) { \
            const ptrdiff_t m = VL;      \
            body                         \
        }                                \
        if (i < (n)) {                   \
            const ptrdiff_t m = (n) - i; \
            body                         \
        }                                \
    } while (0)

static void sigmoid_forward_f32(float *y, const float *x, ptrdiff_t n) {
    MAP(n, { store_n(y + i, 1.0f / (1.0f + exp_v(-load_n(x + i, m))), m); });
}

static void sigmoid_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(y + i, m);
        store_n(gx + i, load_n(gy + i, m) * (v * (1.0f - v)), m);
    });
}

/* For a = |x|, and with the sign of x put back:
 *     a < 0.625: a + a^3 P(a^2) (Cephes, Moshier 1989);  otherwise 1 - 2 / (exp(2a) + 1). */
INLINE vf tanh_v(vf x) {
    vi sign = (vi)x & INT32_MIN;
    vf a = (vf)((vi)x & INT32_MAX), z = x * x;
    vf p = z * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * z + -5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z + -3.33332819422e-1f;
    vf small = p * z * a + a;
    vf large = 1.0f - 2.0f / (exp_v(a + a) + 1.0f);
    return (vf)((vi)choose(a < 0.625f, small, large) | sign);
}

static void tanh_forward_f32(float *y, const float *x, ptrdiff_t n) {
    MAP(n, { store_n(y + i, tanh_v(load_n(x + i, m)), m); });
}

static void tanh_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(y + i, m);
        store_n(gx + i, load_n(gy + i, m) * (1.0f - v * v), m);
    });
}

static void relu_forward_f32(float *y, const float *x, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, choose(v <= 0.0f, splat(0.0f), v), m);
    });
}

static void relu_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    MAP(n, { store_n(gx + i, choose(load_n(y + i, m) <= 0.0f, splat(0.0f), load_n(gy + i, m)), m); });
}
