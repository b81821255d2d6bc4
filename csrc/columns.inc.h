/* Batch normalisation over the columns of x (rows, c): statistics, apply, and the two passes of the backward.
 *
 * The columns are taken VL at a time (`width` of them in the last vector).  Sums run over blocks of TN_ROW_BLOCK rows in
 * float32 and move on to double at the end of each block, in the order of the rows.
 */
#define EACH_VECTOR_OF_COLUMNS(c) \
    for (ptrdiff_t j = 0, width; j < (c) && (width = (c) - j < VL ? (c) - j : VL); j += VL)

INLINE vd widen(vf v) { return __builtin_convertvector(v, vd); }
INLINE void store_double(double *p, vd v, ptrdiff_t n) { memcpy(p, &v, (size_t)n * sizeof *p); }
INLINE ptrdiff_t block_rows(ptrdiff_t first, ptrdiff_t rows) {
    return rows - first < TN_ROW_BLOCK ? rows - first : TN_ROW_BLOCK;
}

static void column_sum_f32(double *sum, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld) {
    EACH_VECTOR_OF_COLUMNS(c) {
        vd total = {0};
        for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
            const float *b = x + first * ld + j;
            vf s = {0};
            for (ptrdiff_t i = 0, nb = block_rows(first, rows); i < nb; i++) s += load_n(b + i * ld, width);
            total += widen(s);
        }
        store_double(sum + j, total, width);
    }
}

/* Within a block of nb rows, which the first run leaves in the L1 cache for the second:
 *     o = x_0 + sum (x_i - x_0) / nb          close to the mean, rounded to float32
 *     d_i = x_i - o,  mean = o + sum d / nb,  M2 = sum d^2 - (sum d)^2 / nb.
 * Blocks merge as in scalar.c (Chan, Golub & LeVeque 1983). */
static void bn_statistics_f32(double *mean, double *m2, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld) {
    EACH_VECTOR_OF_COLUMNS(c) {
        vd mean_a = {0}, m2_a = {0};
        for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
            ptrdiff_t nb = block_rows(first, rows);
            const float *b = x + first * ld + j;
            vf o = load_n(b, width), s = {0}, q = {0};
            for (ptrdiff_t i = 0; i < nb; i++) s += load_n(b + i * ld, width) - o;
            o += s / (float)nb;
            s = (vf){0};
            for (ptrdiff_t i = 0; i < nb; i++) {
                vf d = load_n(b + i * ld, width) - o;
                s += d;
                q += d * d;
            }
            vd sum = widen(s), mean_b = widen(o) + sum / (double)nb, m2_b = widen(q) - sum * sum / (double)nb;
            double n = (double)(first + nb), share = nb / n;
            vd d = mean_b - mean_a;
            if (first == 0) {
                mean_a = mean_b;
                m2_a = m2_b;
            } else {
                mean_a += d * share;
                m2_a += m2_b + d * d * ((double)first * share);
            }
        }
        store_double(mean + j, mean_a, width);
        store_double(m2 + j, m2_a, width);
    }
    for (ptrdiff_t j = 0; j < c; j++)
        if (m2[j] < 0.0) m2[j] = 0.0; /* a constant column can round below zero; NaN stays */
}

static void bn_apply_f32(float *y, const float *x, const float *center, const float *scale, const float *shift,
                         ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++)
        EACH_VECTOR_OF_COLUMNS(c) {
            vf xc = load_n(x + i * ldx + j, width) - load_n(center + j, width);
            store_n(y + i * ldy + j, xc * load_n(scale + j, width) + load_n(shift + j, width), width);
        }
}

static void bn_reduce_f32(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                          const float *scale, const float *shift, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg,
                          ptrdiff_t ldx) {
    EACH_VECTOR_OF_COLUMNS(c) {
        vf mu = load_n(center + j, width), a = load_n(scale + j, width), b = load_n(shift + j, width);
        vd total_g = {0}, total_gx = {0};
        for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
            vf s = {0}, q = {0};
            for (ptrdiff_t i = first, last = first + block_rows(first, rows); i < last; i++) {
                vf g = load_n(gy + i * ldg + j, width);
                s += g;
                q += g * ((load_n(x + i * ldx + j, width) - mu) * a + b);
            }
            total_g += widen(s);
            total_gx += widen(q);
        }
        store_double(sum_g + j, total_g, width);
        store_double(sum_gx + j, total_gx, width);
    }
}

static void bn_backward_f32(float *gx, const float *gy, const float *x, const float *center, const float *a,
                            const float *b, const float *d, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo, ptrdiff_t ldg,
                            ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++)
        EACH_VECTOR_OF_COLUMNS(c) {
            vf xc = load_n(x + i * ldx + j, width) - load_n(center + j, width);
            vf rest = load_n(b + j, width) * xc + load_n(d + j, width);
            store_n(gx + i * ldo + j, load_n(a + j, width) * load_n(gy + i * ldg + j, width) + rest, width);
        }
}
