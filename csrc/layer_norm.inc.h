/* Layer normalisation over the rows of x (rows, c): see tinynet.h for what each kernel computes.
 *
 * Sums over a row run in float32, lane by lane, over blocks of TN_ROW_BLOCK vectors and move on to double; sums over rows run
 * in float32 over blocks of TN_ROW_BLOCK rows, likewise.
 */
enum { CHAINS = 4 }; /* sums that run side by side, so that an addition need not wait for the one before */

#define EACH_BLOCK_OF_VECTORS(c)    \
    for (ptrdiff_t first = 0, last; \
         first < (c) && (last = first + TN_ROW_BLOCK * VL < (c) ? first + TN_ROW_BLOCK * VL : (c)); first = last)

/* The sums of d = x - origin and of d^2 over a row of c. */
INLINE void row_moments(double *sum, double *square, const float *x, float origin, ptrdiff_t c) {
    *sum = *square = 0.0;
    EACH_BLOCK_OF_VECTORS(c) {
        vf s[CHAINS] = {{0}}, q[CHAINS] = {{0}};
        ptrdiff_t j = first;
        for (; j + CHAINS * VL <= last; j += CHAINS * VL)
            for (int k = 0; k < CHAINS; k++) {
                vf d = load(x + j + k * VL) - origin;
                s[k] += d;
                q[k] += d * d;
            }
        for (; j < last; j += VL) {
            ptrdiff_t width = last - j < VL ? last - j : VL;
            vf d = load_n(x + j, width) - origin;
            if (width < VL) d = first_lanes(d, width);
            s[0] += d;
            q[0] += d * d;
        }
        *sum += lanes_sum((s[0] + s[1]) + (s[2] + s[3]));
        *square += lanes_sum((q[0] + q[1]) + (q[2] + q[3]));
    }
}

/* The moments are taken about the mean of the row's first eighth.  If that lies d from the row's own mean, the variance
 * between the eighth and the rest alone is d^2 / 7, so d^2 <= 7 var: at worst the rounding of the squares counts eightfold. */
static void layer_norm_forward_f32(float *y, float *stats, const float *x, const float *weight, const float *bias,
                                   ptrdiff_t rows, ptrdiff_t c, double eps) {
    const ptrdiff_t eighth = (c + 7) / 8;
    for (ptrdiff_t i = 0; i < rows; i++, x += c, y += c, stats += 3) {
        double sum, square;
        row_moments(&sum, &square, x, x[0], eighth);
        float origin = x[0] + (float)(sum / eighth);
        row_moments(&sum, &square, x, origin, c);
        double mean = origin + sum / c, var = (square - sum * (sum / c)) / c;
        /* A variance beyond float32 is infinite: nan shows it.  That of a constant row may round below 0. */
        double r = var < INFINITY ? 1.0 / sqrt((var < 0.0 ? 0.0 : var) + eps) : NAN;
        float center = (float)mean, rstd = (float)r, shift = (float)((center - mean) * r);
        EACH_VECTOR_OF_COLUMNS(c) {
            vf xh = (load_n(x + j, width) - center) * rstd + shift;
            store_n(y + j, xh * load_n(weight + j, width) + load_n(bias + j, width), width);
        }
        stats[0] = center, stats[1] = rstd, stats[2] = shift;
    }
}

/* Flags known at compile time: each of the three uses below becomes a loop of its own.  gx holds t between the two runs: one
 * multiplication, rounded once, so that t - mean t is 0 for a row of one. */
INLINE void layer_norm_backward_row(float *gx, float *part, const float *gy, const float *x, const float *stats,
                                    const float *weight, ptrdiff_t c, const int want_input, const int want_sums) {
    float center = stats[0], rstd = stats[1], shift = stats[2];
    double mean_t = 0.0, mean_tx = 0.0;
    EACH_BLOCK_OF_VECTORS(c) {
        vf s = {0}, q = {0};
        for (ptrdiff_t j = first; j < last; j += VL) {
            ptrdiff_t width = last - j < VL ? last - j : VL;
            vf xh = (load_n(x + j, width) - center) * rstd + shift, g = load_n(gy + j, width);
            if (want_sums) {
                store_n(part + j, load_n(part + j, width) + g, width);
                store_n(part + c + j, load_n(part + c + j, width) + g * xh, width);
            }
            if (want_input) {
                vf t = g * load_n(weight + j, width);
                store_n(gx + j, t, width);
                s += t;
                q += t * xh;
            }
        }
        mean_t += lanes_sum(s);
        mean_tx += lanes_sum(q);
    }
    if (!want_input) return;
    float d = (float)(mean_t / c), b = (float)(mean_tx / c);
    EACH_VECTOR_OF_COLUMNS(c) {
        vf xh = (load_n(x + j, width) - center) * rstd + shift;
        store_n(gx + j, rstd * (load_n(gx + j, width) - d - b * xh), width);
    }
}

static void layer_norm_backward_f32(float *gx, double *sums, float *part, const float *gy, const float *x,
                                    const float *stats, const float *weight, ptrdiff_t rows, ptrdiff_t c) {
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
        if (sums) memset(part, 0, (size_t)(2 * c) * sizeof *part);
        for (ptrdiff_t i = first, last = first + block_rows(first, rows); i < last; i++) {
            const float *g = gy + i * c, *xi = x + i * c, *t = stats + 3 * i;
            if (!sums) layer_norm_backward_row(gx + i * c, part, g, xi, t, weight, c, 1, 0);
            else if (!gx) layer_norm_backward_row(gx, part, g, xi, t, weight, c, 0, 1);
            else layer_norm_backward_row(gx + i * c, part, g, xi, t, weight, c, 1, 1);
        }
        for (ptrdiff_t j = 0; sums && j < 2 * c; j++) sums[j] = (first ? sums[j] : 0.0) + part[j];
    }
}
