/* The kernels of winograd.inc.h in plain C, as its equations stand: part of scalar.c. */

static const float BT[6][6] = {{1, -3.0f / 2, -2, 3.0f / 2, 1, 0},
                               {0, -1, 1.0f / 2, 5.0f / 2, 1, 0},
                               {0, -1, 5.0f / 2, -1.0f / 2, -1, 0},
                               {0, 2, 1, -2, -1, 0},
                               {0, 1, -2, -1, 2, 0},
                               {0, 1, -3.0f / 2, -2, 3.0f / 2, 1}};
static const float G[6][3] = {{1, 0, 0},
                              {1.0f / 3, 1.0f / 3, 1.0f / 3},
                              {1.0f / 3, -1.0f / 3, 1.0f / 3},
                              {4.0f / 30, 2.0f / 30, 1.0f / 30},
                              {1.0f / 30, -2.0f / 30, 4.0f / 30},
                              {0, 0, 1}};
static const float AT[4][6] = {{1, 1, 1, 8, 1, 0}, {0, 1, -1, 4, -2, 0}, {0, 1, 1, 2, 4, 0}, {0, 1, -1, 1, -8, 1}};

/* Element (i, j) of L d L^T for d (m, m), where L has element (i, k) at left[i * down + k * across]. */
static float around(const float *left, ptrdiff_t down, ptrdiff_t across, const float *d, ptrdiff_t m, ptrdiff_t i,
                    ptrdiff_t j) {
    float sum = 0.0f;
    for (ptrdiff_t k = 0; k < m; k++) {
        float row = 0.0f;
        for (ptrdiff_t l = 0; l < m; l++) row += d[k * m + l] * left[j * down + l * across];
        sum += left[i * down + k * across] * row;
    }
    return sum;
}

/* Image, row and column of the first output of tile t. */
static void tile_start(const tn_window *w, ptrdiff_t t, ptrdiff_t *image, ptrdiff_t *row, ptrdiff_t *column) {
    ptrdiff_t across = (w->columns + 3) / 4, down = (w->rows + 3) / 4;
    *image = t / across / down, *row = 4 * (t / across % down), *column = 4 * (t % across);
}

static void winograd_input_f32(float *v, const float *x, const tn_window *w, ptrdiff_t first, ptrdiff_t count,
                               ptrdiff_t n, ptrdiff_t point, ptrdiff_t ld, ptrdiff_t low, ptrdiff_t high) {
    for (ptrdiff_t t = first; t < first + count; t++, v += ld)
        for (ptrdiff_t c = 0; c < n; c++) {
            float d[36];
            ptrdiff_t image, row, column;
            tile_start(w, t, &image, &row, &column);
            for (ptrdiff_t i = 0; i < 6; i++)
                for (ptrdiff_t j = 0; j < 6; j++) {
                    ptrdiff_t y_at = row + i + w->offset_h, x_at = column + j + w->offset_w;
                    int inside = y_at >= 0 && y_at < w->h && x_at >= 0 && x_at < w->w;
                    d[6 * i + j] = inside ? x[((image * w->h + y_at) * w->w + x_at) * w->ld + c] : 0.0f;
                }
            for (ptrdiff_t i = low; i < high; i++)
                for (ptrdiff_t j = 0; j < 6; j++) v[(6 * i + j) * point + c] = around(BT[0], 6, 1, d, 6, i, j);
        }
}

static void winograd_output_f32(float *y, const float *m, const float *bias, const tn_window *w, ptrdiff_t first,
                                ptrdiff_t count, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t point, ptrdiff_t ld,
                                int accumulate) {
    for (ptrdiff_t t = first; t < first + count; t++, m += ld)
        for (ptrdiff_t k = 0; k < n; k++) {
            float d[36];
            ptrdiff_t image, row, column;
            tile_start(w, t, &image, &row, &column);
            for (ptrdiff_t p = 0; p < 36; p++) d[p] = m[p * point + k];
            for (ptrdiff_t i = 0; i < 4 && row + i < w->rows; i++)
                for (ptrdiff_t j = 0; j < 4 && column + j < w->columns; j++) {
                    float *pixel = y + ((image * w->rows + row + i) * w->columns + column + j) * ldy + k;
                    float start = accumulate ? *pixel : bias ? bias[k] : 0.0f;
                    *pixel = around(AT[0], 6, 1, d, 6, i, j) + start;
                }
        }
}

static void winograd_gradient_f32(float *v, const float *g, const tn_window *w, ptrdiff_t first, ptrdiff_t count,
                                  ptrdiff_t n, ptrdiff_t ldg, ptrdiff_t point, ptrdiff_t ld, ptrdiff_t low,
                                  ptrdiff_t high) {
    for (ptrdiff_t t = first; t < first + count; t++, v += ld)
        for (ptrdiff_t k = 0; k < n; k++) {
            float d[16];
            ptrdiff_t image, row, column;
            tile_start(w, t, &image, &row, &column);
            for (ptrdiff_t i = 0; i < 4; i++)
                for (ptrdiff_t j = 0; j < 4; j++) {
                    int inside = row + i < w->rows && column + j < w->columns;
                    const float *pixel = g + ((image * w->rows + row + i) * w->columns + column + j) * ldg + k;
                    d[4 * i + j] = inside ? *pixel : 0.0f;
                }
            for (ptrdiff_t i = low; i < high; i++)
                for (ptrdiff_t j = 0; j < 6; j++) v[(6 * i + j) * point + k] = around(AT[0], 1, 6, d, 4, i, j);
        }
}

static void winograd_weights_f32(float *u, const float *w, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t down,
                                 ptrdiff_t across, ptrdiff_t point, int turned) {
    for (ptrdiff_t l = 0; l < rows; l++)
        for (ptrdiff_t j = 0; j < PANEL; j++) {
            float d[9] = {0};
            for (ptrdiff_t t = 0; t < 9 && j < n; t++) d[t] = w[l * down + j * across + (turned ? 8 - t : t)];
            for (ptrdiff_t p = 0; p < 36; p++) u[p * point + l * PANEL + j] = around(G[0], 3, 1, d, 3, p / 6, p % 6);
        }
}

static void winograd_kernel_f32(float *gw, const float *u, ptrdiff_t parts, ptrdiff_t n, ptrdiff_t part,
                                ptrdiff_t point) {
    for (ptrdiff_t j = 0; j < n; j++) {
        float d[36];
        for (ptrdiff_t p = 0; p < 36; p++) {
            d[p] = u[p * point + j];
            for (ptrdiff_t k = 1; k < parts; k++) d[p] += u[k * part + p * point + j];
        }
        for (ptrdiff_t t = 0; t < 9; t++) gw[9 * j + t] = around(G[0], 1, 3, d, 6, t / 3, t % 3);
    }
}
