/* Batch normalisation over the columns of x (rows, c): statistics, apply, and the two passes of the backward; the last three
 * also with a ReLU after it, y = max(v, 0) for v = (x - center) scale + shift.  Nothing is stored for its backward: both
 * passes form v again, by the arithmetic of the forward, and take g = 0 where v <= 0.
 *
 * Sums run over blocks of TN_ROW_BLOCK rows in float32 and move on to double at the end of each block, in the order of the
 * rows; where the double sums stand are the results themselves.  A block is read once from memory, in strips of columns: of up
 * to 4 vectors, so that their additions need not wait for each other; what is left fills no vector and has a `width`.
 */
#define EACH_VECTOR_OF_COLUMNS(c) \
    for (ptrdiff_t j = 0, width; j < (c) && (width = (c) - j < VL ? (c) - j : VL); j += VL)

/* `strip(vectors, width)` for each strip of columns, which begins at j. */
#define EACH_STRIP_OF_COLUMNS(c, strip)                      \
    do {                                                     \
        ptrdiff_t j = 0;                                     \
        for (; j + 4 * VL <= (c); j += 4 * VL) strip(4, VL); \
        switch (((c) - j) / VL) {                            \
        case 3: strip(3, VL); break;                         \
        case 2: strip(2, VL); break;                         \
        case 1: strip(1, VL); break;                         \
        }                                                    \
        j += ((c) - j) / VL * VL;                            \
        if (j < (c)) strip(1, (c) - j);                      \
    } while (0)

INLINE vd widen(vf v) { return __builtin_convertvector(v, vd); }
INLINE vd load_doubles(const double *p, ptrdiff_t n) {
    vd v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}
INLINE void store_doubles(double *p, vd v, ptrdiff_t n) { memcpy(p, &v, (size_t)n * sizeof *p); }
INLINE ptrdiff_t block_rows(ptrdiff_t first, ptrdiff_t rows) {
    return rows - first < TN_ROW_BLOCK ? rows - first : TN_ROW_BLOCK;
}

INLINE void column_sum_strip(double *sum, const float *x, ptrdiff_t nb, ptrdiff_t ld, const int vectors,
                             ptrdiff_t width) {
    vf s[4] = {{0}};
    for (ptrdiff_t i = 0; i < nb; i++)
        for (int k = 0; k < vectors; k++) s[k] += load_n(x + i * ld + k * VL, width);
    for (int k = 0; k < vectors; k++) {
        double *total = sum + k * VL;
        store_doubles(total, load_doubles(total, width) + widen(s[k]), width);
    }
}

static void column_sum_f32(double *sum, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld) {
    memset(sum, 0, (size_t)c * sizeof *sum);
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
#define STRIP(vectors, width) column_sum_strip(sum + j, x + first * ld + j, block_rows(first, rows), ld, vectors, width)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
}

/* Within a block of nb rows, which the first run leaves in the cache for the second:
 *     o = x_0 + sum (x_i - x_0) / nb          close to the mean, rounded to float32
 *     d_i = x_i - o,  mean = o + sum d / nb,  M2 = sum d^2 - (sum d)^2 / nb.
 * Blocks merge as in scalar.c (Chan, Golub & LeVeque 1983). */
INLINE void statistics_strip(double *mean, double *m2, const float *x, ptrdiff_t first, ptrdiff_t nb, ptrdiff_t ld,
                             const int vectors, ptrdiff_t width) {
    vf o[4], s[4] = {{0}}, q[4] = {{0}};
    for (int k = 0; k < vectors; k++) o[k] = load_n(x + k * VL, width);
    for (ptrdiff_t i = 0; i < nb; i++)
        for (int k = 0; k < vectors; k++) s[k] += load_n(x + i * ld + k * VL, width) - o[k];
    for (int k = 0; k < vectors; k++) {
        o[k] += s[k] / (float)nb;
        s[k] = (vf){0};
    }
    for (ptrdiff_t i = 0; i < nb; i++)
        for (int k = 0; k < vectors; k++) {
            vf d = load_n(x + i * ld + k * VL, width) - o[k];
            s[k] += d;
            q[k] += d * d;
        }
    for (int k = 0; k < vectors; k++, mean += VL, m2 += VL) {
        vd sum = widen(s[k]), mean_b = widen(o[k]) + sum / (double)nb, m2_b = widen(q[k]) - sum * sum / (double)nb;
        if (first > 0) {
            double n = (double)(first + nb), share = nb / n;
            vd mean_a = load_doubles(mean, width), d = mean_b - mean_a;
            mean_b = mean_a + d * share;
            m2_b = load_doubles(m2, width) + (m2_b + d * d * ((double)first * share));
        }
        store_doubles(mean, mean_b, width);
        store_doubles(m2, m2_b, width);
    }
}

static void bn_statistics_f32(double *mean, double *m2, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld) {
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
#define STRIP(vectors, width) \
    statistics_strip(mean + j, m2 + j, x + first * ld + j, first, block_rows(first, rows), ld, vectors, width)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
    for (ptrdiff_t j = 0; j < c; j++)
        if (m2[j] < 0.0) m2[j] = 0.0; /* a constant column can round below zero; NaN stays */
}

/* v where it is above 0 or NaN, else 0: ReLU of v itself, and its backward with the gradient g. */
INLINE vf gated(vf g, vf v) { return choose(v <= 0.0f, splat(0.0f), g); }

INLINE void apply_strip(float *y, const float *x, const float *center, const float *scale, const float *shift,
                        ptrdiff_t nb, ptrdiff_t ldy, ptrdiff_t ldx, const int relu, const int vectors,
                        ptrdiff_t width) {
    vf mu[4], a[4], b[4];
    for (int k = 0; k < vectors; k++) {
        mu[k] = load_n(center + k * VL, width);
        a[k] = load_n(scale + k * VL, width);
        b[k] = load_n(shift + k * VL, width);
    }
    for (ptrdiff_t i = 0; i < nb; i++) {
        fetch(x + (i + TN_ROW_BLOCK) * ldx, vectors * VL * 4); /* the same strip of the next block */
        fetch(y + (i + TN_ROW_BLOCK) * ldy, vectors * VL * 4);
        for (int k = 0; k < vectors; k++) {
            vf v = (load_n(x + i * ldx + k * VL, width) - mu[k]) * a[k] + b[k];
            store_n(y + i * ldy + k * VL, relu ? gated(v, v) : v, width);
        }
    }
}

INLINE void bn_apply(float *y, const float *x, const float *center, const float *scale, const float *shift,
                     ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx, const int relu) {
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
#define STRIP(vectors, width)                                                                                        \
    apply_strip(y + first * ldy + j, x + first * ldx + j, center + j, scale + j, shift + j, block_rows(first, rows), \
                ldy, ldx, relu, vectors, width)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
}

static void bn_apply_f32(float *y, const float *x, const float *center, const float *scale, const float *shift,
                         ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx) {
    bn_apply(y, x, center, scale, shift, rows, c, ldy, ldx, 0);
}

static void bn_relu_apply_f32(float *y, const float *x, const float *center, const float *scale, const float *shift,
                              ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx) {
    bn_apply(y, x, center, scale, shift, rows, c, ldy, ldx, 1);
}

/* `gate` is NULL, or a ReLU follows, with v = (x - center) gate[0] + gate[1]. */
INLINE void reduce_strip(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                         const float *scale, const float *shift, const float *const gate[2], ptrdiff_t j, ptrdiff_t nb,
                         ptrdiff_t ldg, ptrdiff_t ldx, const int vectors, ptrdiff_t width) {
    vf mu[4], a[4], b[4], gate_a[4], gate_b[4], s[4] = {{0}}, q[4] = {{0}};
    for (int k = 0; k < vectors; k++) {
        mu[k] = load_n(center + j + k * VL, width);
        a[k] = load_n(scale + j + k * VL, width);
        b[k] = load_n(shift + j + k * VL, width);
        if (gate) {
            gate_a[k] = load_n(gate[0] + j + k * VL, width);
            gate_b[k] = load_n(gate[1] + j + k * VL, width);
        }
    }
    for (ptrdiff_t i = 0; i < nb; i++)
        for (int k = 0; k < vectors; k++) {
            vf g = load_n(gy + i * ldg + j + k * VL, width), d = load_n(x + i * ldx + j + k * VL, width) - mu[k];
            if (gate) g = gated(g, d * gate_a[k] + gate_b[k]);
            s[k] += g;
            q[k] += g * (d * a[k] + b[k]);
        }
    sum_g += j;
    sum_gx += j;
    for (int k = 0; k < vectors; k++, sum_g += VL, sum_gx += VL) {
        store_doubles(sum_g, load_doubles(sum_g, width) + widen(s[k]), width);
        store_doubles(sum_gx, load_doubles(sum_gx, width) + widen(q[k]), width);
    }
}

INLINE void bn_reduce(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                      const float *scale, const float *shift, const float *const gate[2], ptrdiff_t rows, ptrdiff_t c,
                      ptrdiff_t ldg, ptrdiff_t ldx) {
    memset(sum_g, 0, (size_t)c * sizeof *sum_g);
    memset(sum_gx, 0, (size_t)c * sizeof *sum_gx);
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
#define STRIP(vectors, width)                                                                     \
    reduce_strip(sum_g, sum_gx, gy + first * ldg, x + first * ldx, center, scale, shift, gate, j, \
                 block_rows(first, rows), ldg, ldx, vectors, width)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
}

static void bn_reduce_f32(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                          const float *scale, const float *shift, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg,
                          ptrdiff_t ldx) {
    bn_reduce(sum_g, sum_gx, gy, x, center, scale, shift, NULL, rows, c, ldg, ldx);
}

static void bn_relu_reduce_f32(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                               const float *scale, const float *shift, const float *gate_scale, const float *gate_shift,
                               ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, ptrdiff_t ldx) {
    const float *const gate[2] = {gate_scale, gate_shift};
    bn_reduce(sum_g, sum_gx, gy, x, center, scale, shift, gate, rows, c, ldg, ldx);
}

INLINE void backward_strip(float *gx, const float *gy, const float *x, const float *center, const float *a,
                           const float *b, const float *d, const float *const gate[2], ptrdiff_t j, ptrdiff_t nb,
                           ptrdiff_t ldo, ptrdiff_t ldg, ptrdiff_t ldx, const int vectors, ptrdiff_t width) {
    vf mu[4], va[4], vb[4], vo[4], gate_a[4], gate_b[4];
    for (int k = 0; k < vectors; k++) {
        mu[k] = load_n(center + j + k * VL, width);
        va[k] = load_n(a + j + k * VL, width);
        vb[k] = load_n(b + j + k * VL, width);
        vo[k] = load_n(d + j + k * VL, width);
        if (gate) {
            gate_a[k] = load_n(gate[0] + j + k * VL, width);
            gate_b[k] = load_n(gate[1] + j + k * VL, width);
        }
    }
    for (ptrdiff_t i = 0; i < nb; i++)
        for (int k = 0; k < vectors; k++) {
            vf g = load_n(gy + i * ldg + j + k * VL, width), t = load_n(x + i * ldx + j + k * VL, width) - mu[k];
            if (gate) g = gated(g, t * gate_a[k] + gate_b[k]);
            vf rest = vb[k] * t + vo[k];
            store_n(gx + i * ldo + j + k * VL, va[k] * g + rest, width);
        }
}

INLINE void bn_backward(float *gx, const float *gy, const float *x, const float *center, const float *a, const float *b,
                        const float *d, const float *const gate[2], ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo,
                        ptrdiff_t ldg, ptrdiff_t ldx) {
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
#define STRIP(vectors, width)                                                                     \
    backward_strip(gx + first * ldo, gy + first * ldg, x + first * ldx, center, a, b, d, gate, j, \
                   block_rows(first, rows), ldo, ldg, ldx, vectors, width)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
}

static void bn_backward_f32(float *gx, const float *gy, const float *x, const float *center, const float *a,
                            const float *b, const float *d, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo, ptrdiff_t ldg,
                            ptrdiff_t ldx) {
    bn_backward(gx, gy, x, center, a, b, d, NULL, rows, c, ldo, ldg, ldx);
}

static void bn_relu_backward_f32(float *gx, const float *gy, const float *x, const float *center, const float *a,
                                 const float *b, const float *d, const float *gate_scale, const float *gate_shift,
                                 ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo, ptrdiff_t ldg, ptrdiff_t ldx) {
    const float *const gate[2] = {gate_scale, gate_shift};
    bn_backward(gx, gy, x, center, a, b, d, gate, rows, c, ldo, ldg, ldx);
}
