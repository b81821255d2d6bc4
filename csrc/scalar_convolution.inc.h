/* The kernels of convolution.inc.h in plain C: part of scalar.c. */

/* The pixel that output (row, q) sees under tap (r, s), or NULL outside the image. */
static const float *pixel_seen(const float *x, const tn_window *v, ptrdiff_t row, ptrdiff_t q, ptrdiff_t r,
                               ptrdiff_t s) {
    ptrdiff_t y_at = row % v->rows * v->step_h + v->offset_h + r * v->gap_h;
    ptrdiff_t x_at = q * v->step_w + v->offset_w + s * v->gap_w;
    if (y_at < 0 || y_at >= v->h || x_at < 0 || x_at >= v->w) return 0;
    return x + ((row / v->rows * v->h + y_at) * v->w + x_at) * v->ld;
}

static void im2row_f32(float *rows, const float *x, const tn_window *v, ptrdiff_t first, ptrdiff_t count, ptrdiff_t j,
                       ptrdiff_t width, ptrdiff_t ld) {
    for (ptrdiff_t p = first; p < first + count; p++, rows += ld)
        for (ptrdiff_t l = 0; l < width; l++) {
            ptrdiff_t k = (j + l) % v->c, s = (j + l) / v->c % v->taps_w, r = (j + l) / v->c / v->taps_w;
            const float *pixel = pixel_seen(x, v, p / v->columns, p % v->columns, r, s);
            rows[l] = pixel ? pixel[k] : 0.0f;
        }
}

static void depthwise_forward_f32(float *y, const float *x, const float *w, const float *bias, const tn_window *v,
                                  ptrdiff_t row, ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldy) {
    for (ptrdiff_t q = 0; q < v->columns; q++)
        for (ptrdiff_t j = 0; j < k; j++) {
            float sum = bias ? bias[j] : 0.0f;
            for (ptrdiff_t r = 0; r < v->taps_h; r++)
                for (ptrdiff_t s = 0; s < v->taps_w; s++) {
                    const float *pixel = pixel_seen(x, v, row, q, r, s);
                    if (pixel) sum += w[(r * v->taps_w + s) * k + j] * pixel[j / many];
                }
            y[q * ldy + j] = sum;
        }
}

static void depthwise_weights_f32(float *gw, const float *gy, const float *x, const tn_window *v, ptrdiff_t row,
                                  ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldg) {
    for (ptrdiff_t r = 0; r < v->taps_h; r++)
        for (ptrdiff_t s = 0; s < v->taps_w; s++)
            for (ptrdiff_t q = 0; q < v->columns; q++) {
                const float *pixel = pixel_seen(x, v, row, q, r, s);
                for (ptrdiff_t j = 0; pixel && j < k; j++)
                    gw[(r * v->taps_w + s) * k + j] += gy[q * ldg + j] * pixel[j / many];
            }
}
