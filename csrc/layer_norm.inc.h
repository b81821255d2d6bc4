/* Layer normalisation over the rows of x (rows, c): see tinynet.h for what each kernel computes.
 *
 * Sums over a row run in float32, lane by lane, over blocks of TN_ROW_BLOCK vectors and move on to double; sums over rows run
 * in float32 over blocks of TN_ROW_BLOCK rows, likewise.
 */
#define EACH_BLOCK_OF_VECTORS(c) \
    for (ptrdiff_t first = 0, last; first < (c) && (last = first + TN_ROW_BLOCK * VL) > 0; first = last)
#define EACH_VECTOR_OF_BLOCK(c) \
    for (ptrdiff_t j = first, width; j < last && j < (c) && (width = (c) - j < VL ? (c) - j : VL); j += VL)

/* The sums of d = x - origin and of d^2 over a row of c. */
INLINE void row_moments(double *sum, double *square, const float *x, float origin, ptrdiff_t c) {
    *sum = *square = 0.0;
    EACH_BLOCK_OF_VECTORS(c) {
        vf s = {0}, q = {0};
        EACH_VECTOR_OF_BLOCK(c) {
            vf d = load_n(x + j, width) - origin;
            if (width < VL) d = first_lanes(d, width);
            s += d;
            q += d * d;
        }
        *sum += lanes_sum(s);
        *square += lanes_sum(q);
    }
}

static void layer_norm_forward_f32(float *y, float *stats, const float *x, const float *weight, const float *bias,
                                   ptrdiff_t rows, ptrdiff_t c, double eps) {
    for (ptrdiff_t i = 0; i < rows; i++, x += c, y += c, stats += 3) {
        double sum, square;
        row_moments(&sum, &square, x, x[0], c);
        float center = x[0] + (float)(sum / c); /* near the mean, also where x[0] is an outlier */
        row_moments(&sum, &square, x, center, c);
        double rest = sum / c, var = (square - sum * rest) / c;
        /* A variance beyond float32 is infinite: nan shows it.  That of a constant row may round below 0. */
        double r = var < INFINITY ? 1.0 / sqrt((var < 0.0 ? 0.0 : var) + eps) : NAN;
        float rstd = (float)r, shift = (float)(-rest * r);
        EACH_VECTOR_OF_COLUMNS(c) {
            vf xh = (load_n(x + j, width) - center) * rstd + shift;
            store_n(y + j, xh * load_n(weight + j, width) + load_n(bias + j, width), width);
        }
        stats[0] = center, stats[1] = rstd, stats[2] = shift;
    }
}

/* gx holds t between the two runs: one multiplication, rounded once, so that t - mean t is 0 for a row of one.
 * Flags known at compile time: each of the three uses below becomes a loop of its own. */
INLINE void layer_norm_backward_row(float *gx, float *part, const float *gy, const float *x, const float *stats,
                                    const float *weight, ptrdiff_t c, int want_input, int want_sums) {
    float center = stats[0], rstd = stats[1], shift = stats[2];
    double mean_g = 0.0, mean_gx = 0.0;
    EACH_BLOCK_OF_VECTORS(c) {
        vf s = {0}, q = {0};
        EACH_VECTOR_OF_BLOCK(c) {
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
        mean_g += lanes_sum(s);
        mean_gx += lanes_sum(q);
    }
    if (!want_input) return;
    float d = (float)(mean_g / c), b = (float)(mean_gx / c);
    EACH_VECTOR_OF_COLUMNS(c) {
        vf xh = (load_n(x + j, width) - center) * rstd + shift;
        store_n(gx + j, rstd * (load_n(gx + j, width) - d - b * xh), width);
    }
}

static void layer_norm_backward_f32(float *gx, double *sums, float *part, const float *gy, const float *x,
                                    const float *stats, const float *weight, ptrdiff_t rows, ptrdiff_t c) {
    if (sums) memset(sums, 0, (size_t)(2 * c) * sizeof *sums);
    for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
        if (sums) memset(part, 0, (size_t)(2 * c) * sizeof *part);
        for (ptrdiff_t i = first, last = first + block_rows(first, rows); i < last; i++) {
            const float *gi = gy + i * c, *xi = x + i * c, *si = stats + 3 * i;
            if (!sums) layer_norm_backward_row(gx + i * c, part, gi, xi, si, weight, c, 1, 0);
            else if (!gx) layer_norm_backward_row(gx, part, gi, xi, si, weight, c, 0, 1);
            else layer_norm_backward_row(gx + i * c, part, gi, xi, si, weight, c, 1, 1);
        }
        if (sums)
            for (ptrdiff_t j = 0; j < 2 * c; j++) sums[j] += part[j];
    }
}
