/* The largest or smallest elements of rows and columns in plain C: part of scalar.c. */

static float extreme_of(const float *x, ptrdiff_t n, ptrdiff_t step, int32_t sign) {
    float best = sign ? INFINITY : -INFINITY;
    for (ptrdiff_t i = 0; i < n; i++) {
        float v = x[i * step];
        if (isnan(v)) return v;
        if (sign ? v < best : v > best) best = v;
    }
    return best;
}

static void extreme_rows_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, int32_t sign) {
    for (ptrdiff_t i = 0; i < rows; i++) y[i] = extreme_of(x + i * ld, n, 1, sign);
}

static void extreme_columns_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld, int32_t sign) {
    for (ptrdiff_t j = 0; j < c; j++) y[j] = extreme_of(x + j, rows, ld, sign);
}
