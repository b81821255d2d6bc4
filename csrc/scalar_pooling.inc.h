/* Pooling and local response normalisation in plain C: part of scalar.c. */

/* ---- pooling --------------------------------------------------------------------------------------------------------- */

static void max_pool_forward_f32(float *y, uint8_t *at, const float *x, const ptrdiff_t *row, const ptrdiff_t *windows,
                                 const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx,
                                 ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw) {
    (void)ahead;
    for (ptrdiff_t q = 0; q < columns; q++)
        for (ptrdiff_t j = 0; j < c; j++) {
            const ptrdiff_t *column = windows + 3 * q;
            float best = -INFINITY;
            ptrdiff_t tap = row[1] * kw + column[1];
            for (ptrdiff_t i = row[1]; i < row[2]; i++)
                for (ptrdiff_t k = column[1]; k < column[2]; k++) {
                    float v = x[((row[0] + i * dh) * w + column[0] + k * dw) * ldx + j];
                    if (v > best || isnan(v)) {
                        best = v;
                        tap = i * kw + k;
                    }
                }
            y[q * c + j] = best;
            if (at) at[q * c + j] = (uint8_t)tap;
        }
}

static void max_pool_backward_f32(float *gx, const float *gy, const uint8_t *at, ptrdiff_t iy, const ptrdiff_t *rows,
                                  const ptrdiff_t *touching_row, const ptrdiff_t *windows, const ptrdiff_t *touching,
                                  const ptrdiff_t *ahead, ptrdiff_t w, ptrdiff_t columns, ptrdiff_t c, ptrdiff_t ldg,
                                  ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw) {
    (void)ahead;
    for (ptrdiff_t ix = 0; ix < w; ix++)
        for (ptrdiff_t j = 0; j < c; j++) {
            float sum = 0.0f;
            for (ptrdiff_t p = touching_row[0]; p < touching_row[1]; p++)
                for (ptrdiff_t q = touching[2 * ix]; q < touching[2 * ix + 1]; q++) {
                    ptrdiff_t down = iy - rows[3 * p], right = ix - windows[3 * q], o = p * columns + q;
                    if (down % dh || right % dw) continue; /* between the taps */
                    if (at[o * c + j] == down / dh * kw + right / dw) sum += gy[o * ldg + j];
                }
            gx[ix * c + j] = sum;
        }
}

static void window_sum_f32(float *y, const float *x, const float *weight, const float *divisor, const ptrdiff_t *row,
                           const ptrdiff_t *windows, const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w,
                           ptrdiff_t c, ptrdiff_t ldx) {
    (void)ahead;
    for (ptrdiff_t q = 0; q < columns; q++)
        for (ptrdiff_t j = 0; j < c; j++) {
            double total = 0.0;
            float sum = 0.0f;
            ptrdiff_t left = TN_ROW_BLOCK; /* pixels until the sum moves on to double */
            for (ptrdiff_t i = row[0]; i < row[1]; i++)
                for (ptrdiff_t k = windows[2 * q]; k < windows[2 * q + 1]; k++) {
                    ptrdiff_t o = i * w + k;
                    sum += weight ? x[o * ldx + j] * weight[o] : x[o * ldx + j];
                    if (--left == 0) {
                        total += sum;
                        sum = 0.0f;
                        left = TN_ROW_BLOCK;
                    }
                }
            sum = (float)(total + sum);
            y[q * c + j] = divisor ? sum / divisor[q] : sum;
        }
}

/* ---- local response normalisation -------------------------------------------------------------------------------------- */

static float response_scale(const float *x, ptrdiff_t j, ptrdiff_t c, ptrdiff_t below, ptrdiff_t above, float alpha,
                            float k) {
    double sum = 0.0;
    for (ptrdiff_t i = j - below; i <= j + above; i++)
        if (i >= 0 && i < c) sum += (double)x[i] * x[i];
    return k + alpha * (float)sum;
}

static void response_forward_f32(float *y, float *room, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldx,
                                 ptrdiff_t below, ptrdiff_t above, float alpha, float beta, float k) {
    (void)room;
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx, y += c)
        for (ptrdiff_t j = 0; j < c; j++) y[j] = x[j] * powf(response_scale(x, j, c, below, above, alpha, k), -beta);
}

static void response_backward_f32(float *gx, float *room, const float *gy, const float *x, ptrdiff_t rows, ptrdiff_t c,
                                  ptrdiff_t ldg, ptrdiff_t ldx, ptrdiff_t below, ptrdiff_t above, float alpha,
                                  float beta, float k) {
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx, gy += ldg, gx += c) {
        for (ptrdiff_t j = 0; j < c; j++) {
            float d = response_scale(x, j, c, below, above, alpha, k), p = powf(d, -beta);
            gx[j] = gy[j] * p;
            room[j] = gy[j] * x[j] * p / d;
        }
        for (ptrdiff_t j = 0; j < c; j++) {
            double sum = 0.0;
            for (ptrdiff_t i = j - above; i <= j + below; i++)
                if (i >= 0 && i < c) sum += room[i];
            gx[j] -= 2.0f * alpha * beta * x[j] * (float)sum;
        }
    }
}
