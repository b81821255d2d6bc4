/* Batch normalisation with a ReLU after it, the reference: the three kernels without it, on gradients set to 0 where
 * v = (x - center) scale + shift <= 0. */

static float bn_relu_gate(float g, float v) { return v <= 0.0f ? 0.0f : g; }

static void bn_relu_apply_f32(float *y, const float *x, const float *center, const float *scale, const float *shift,
                              ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldy, ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < c; j++) {
            float v = (x[i * ldx + j] - center[j]) * scale[j] + shift[j];
            y[i * ldy + j] = bn_relu_gate(v, v);
        }
}

static void bn_relu_reduce_f32(double *sum_g, double *sum_gx, const float *gy, const float *x, const float *center,
                               const float *scale, const float *shift, const float *gate_scale, const float *gate_shift,
                               ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldg, ptrdiff_t ldx) {
    for (ptrdiff_t j = 0; j < c; j++) {
        sum_g[j] = sum_gx[j] = 0.0;
        for (ptrdiff_t first = 0; first < rows; first += TN_ROW_BLOCK) {
            ptrdiff_t last = first + TN_ROW_BLOCK < rows ? first + TN_ROW_BLOCK : rows;
            float s = 0.0f, q = 0.0f;
            for (ptrdiff_t i = first; i < last; i++) {
                float d = x[i * ldx + j] - center[j];
                float g = bn_relu_gate(gy[i * ldg + j], d * gate_scale[j] + gate_shift[j]);
                s += g;
                q += g * (d * scale[j] + shift[j]);
            }
            sum_g[j] += s;
            sum_gx[j] += q;
        }
    }
}

static void bn_relu_backward_f32(float *gx, const float *gy, const float *x, const float *center, const float *a,
                                 const float *b, const float *d, const float *gate_scale, const float *gate_shift,
                                 ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldo, ptrdiff_t ldg, ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < c; j++) {
            float t = x[i * ldx + j] - center[j];
            float g = bn_relu_gate(gy[i * ldg + j], t * gate_scale[j] + gate_shift[j]);
            gx[i * ldo + j] = a[j] * g + (b[j] * t + d[j]);
        }
}
