/* The kernels of convolution.inc.h in plain C: part of scalar.c. */

static void im2row_f32(float *rows, const float *x, const tn_window *v, ptrdiff_t first, ptrdiff_t count, ptrdiff_t j,
                       ptrdiff_t width, ptrdiff_t ld) {
    for (ptrdiff_t p = 0; p < count; p++)
        for (ptrdiff_t l = 0; l < width; l++) {
            ptrdiff_t q = (first + p) % v->columns, i = (first + p) / v->columns % v->rows;
            ptrdiff_t image = (first + p) / v->columns / v->rows;
            ptrdiff_t k = (j + l) % v->c, s = (j + l) / v->c % v->taps_w, r = (j + l) / v->c / v->taps_w;
            ptrdiff_t y_at = i * v->step_h + v->offset_h + r * v->gap_h,
                      x_at = q * v->step_w + v->offset_w + s * v->gap_w;
            int inside = y_at >= 0 && y_at < v->h && x_at >= 0 && x_at < v->w;
            rows[p * ld + l] = inside ? x[((image * v->h + y_at) * v->w + x_at) * v->ld + k] : 0.0f;
        }
}
