/* Activations beyond those of elementwise.inc.h: see tinynet.h for what each computes.
 *
 * Each is written with exponentials of arguments that cannot overflow harmfully and without differences that cancel, so that
 * small results are as accurate as large ones; the measured errors stand in tinynet.h.
 */
INLINE vf magnitude(vf x) { return (vf)((vi)x & INT32_MAX); }
INLINE vf logistic(vf x) { return 1.0f / (1.0f + exp_v(-x)); }

/* exp(x) - 1 for x <= 0 (0 above), as 2^n (exp(r) - 1) + (2^n - 1); NaN stays NaN. */
INLINE vf expm1_v(vf x) {
    vf n, q = exp_parts(limited(x, -80.0f, 0.0f), &n); /* from -17 on it is -1 */
    vf power = scaled(splat(1.0f), n);
    return power * q + (power - 1.0f);
}

/* log(1 + e) for 0 <= e <= 1: 2 artanh(s) with s = e / (2 + e), the transformation of fdlibm's log (Sun Microsystems 1993);
 * (2 artanh(s) / s - 2) / s^2 by a polynomial in s^2 fitted for the smallest largest relative error of the whole, 5e-9. */
INLINE vf log1p_v(vf e) {
    vf s = e / (2.0f + e);
    vf z = s * s;
    vf p = z * 0.280119926f + 0.280018032f;
    p = p * z + 0.400215268f;
    p = p * z + 0.666664183f;
    return (s * z) * p + (s + s);
}

/* The standard normal distribution function, given bell = exp(-x^2 / 2).  Its tail beyond a = |x| is
 *     1 - Phi(a) = exp(-a^2 / 2) R(a),    R(a) = erfc(a / sqrt 2) exp(a^2 / 2) / 2,
 * with R by a quotient of polynomials of degrees 4 and 5 as in Cody (1969, Rational Chebyshev approximations for the error
 * function), fitted over all a whose tail is a normal number for the smallest largest relative error, 3e-8.  All
 * coefficients are positive: nothing cancels.  Only the rounding of x^2 grows in the tail, as x^2 / 2 units. */
INLINE vf normal_distribution(vf x, vf bell) {
    vf a = magnitude(x);
    a = choose(a > 14.0f, splat(14.0f), a); /* bell is 0 there */
    vf p = a * 4.03699791e-3f + 4.00980562e-2f;
    p = p * a + 0.181645811f;
    p = p * a + 0.4361462f;
    p = p * a + 0.5f;
    vf q = a * 1.0119115e-2f + 0.10051813f;
    q = q * a + 0.465275168f;
    q = q * a + 1.19589615f;
    q = q * a + 1.67017734f;
    q = q * a + 1.0f;
    vf tail = bell * (p / q);
    return choose(x < 0.0f, tail, 1.0f - tail);
}

static void leaky_relu_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    const float slope = p[0];
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, choose(v > 0.0f, v, slope * v), m);
    });
}

static void leaky_relu_backward_f32(float *gx, const float *gy, const float *v, ptrdiff_t n, const float *p) {
    const float slope = p[0];
    MAP(n, {
        vf g = load_n(gy + i, m);
        store_n(gx + i, choose(load_n(v + i, m) > 0.0f, g, slope * g), m);
    });
}

static void elu_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    const float alpha = p[0];
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, choose(v > 0.0f, v, alpha * expm1_v(v)), m);
    });
}

static void elu_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n, const float *p) {
    const float alpha = p[0];
    MAP(n, {
        vf v = load_n(x + i, m);
        vf g = load_n(gy + i, m);
        store_n(gx + i, choose(v > 0.0f, g, g * (alpha * exp_v(v))), m);
    });
}

static void hardtanh_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    const float low = p[0], high = p[1];
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, limited(v, low, high), m);
    });
}

static void hardtanh_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n, const float *p) {
    const float low = p[0], high = p[1];
    MAP(n, {
        vf v = load_n(y + i, m);
        store_n(gx + i, choose((v > low) & (v < high), load_n(gy + i, m), splat(0.0f)), m);
    });
}

static void softplus_forward_f32(float *y, const float *x, ptrdiff_t n, const float *p) {
    const float beta = p[0], threshold = p[1], inverse = 1.0f / beta;
    MAP(n, {
        vf v = load_n(x + i, m);
        vf z = beta * v;
        vf smooth = choose(z < 0.0f, splat(0.0f), z) + log1p_v(exp_v(-magnitude(z)));
        store_n(y + i, choose(z > threshold, v, inverse * smooth), m);
    });
}

static void softplus_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n, const float *p) {
    const float beta = p[0], threshold = p[1];
    MAP(n, {
        vf z = beta * load_n(x + i, m);
        vf g = load_n(gy + i, m);
        store_n(gx + i, choose(z > threshold, g, g * logistic(z)), m);
    });
}

static void logsigmoid_forward_f32(float *y, const float *x, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, choose(v > 0.0f, splat(0.0f), v) - log1p_v(exp_v(-magnitude(v))), m);
    });
}

static void logsigmoid_backward_f32(float *gx, const float *gy, const float *y, ptrdiff_t n) {
    MAP(n, { store_n(gx + i, -load_n(gy + i, m) * expm1_v(load_n(y + i, m)), m); });
}

static void silu_forward_f32(float *y, const float *x, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, v / (1.0f + exp_v(-v)), m);
    });
}

static void silu_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(x + i, m);
        vf s = logistic(v);
        store_n(gx + i, load_n(gy + i, m) * (s * (1.0f + v * (1.0f - s))), m);
    });
}

static void gelu_forward_f32(float *y, const float *x, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, v * normal_distribution(v, exp_v(-0.5f * v * v)), m);
    });
}

static void gelu_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n) {
    const float density = 0.398942280f; /* 1 / sqrt(2 pi) */
    MAP(n, {
        vf v = load_n(x + i, m);
        vf bell = exp_v(-0.5f * v * v);
        vf slope = normal_distribution(v, bell) + v * (density * bell);
        store_n(gx + i, load_n(gy + i, m) * slope, m);
    });
}

/* 1 + tanh(u) = 2 / (1 + exp(-2u)), 2u = x (A + B x^2).  Where x^2 is cut off the exponential has long been 0 or inf. */
#define GELU_A 1.59576912f /* 2 sqrt(2 / pi) */
#define GELU_B 7.13548163e-2f
INLINE vf limited_square(vf x) {
    vf q = x * x;
    return choose(q > 1e4f, splat(1e4f), q);
}

static void gelu_tanh_forward_f32(float *y, const float *x, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(x + i, m);
        store_n(y + i, v / (1.0f + exp_v(-v * (GELU_A + GELU_B * limited_square(v)))), m);
    });
}

static void gelu_tanh_backward_f32(float *gx, const float *gy, const float *x, ptrdiff_t n) {
    MAP(n, {
        vf v = load_n(x + i, m);
        vf q = limited_square(v);
        vf s = logistic(v * (GELU_A + GELU_B * q));
        vf slope = s + v * (s * (1.0f - s)) * (GELU_A + 3.0f * GELU_B * q);
        store_n(gx + i, load_n(gy + i, m) * slope, m);
    });
}
