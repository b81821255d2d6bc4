/* Convolution of every channel by itself: output channel k sees channel k / many of the image (many = 1 but for layers that
 * make several features of each channel).  Vectors go along the channels; w and gw are (taps, k).
 *
 * PIXELS outputs of a row are summed at a time, in registers: a weight is loaded once for all of them.  Outputs whose windows
 * leave the image are summed one by one, over the taps that lie inside. */
enum { PIXELS = 6, TAPS = 4 /* of a kernel row whose gradients are in registers */, CHUNK = 16 };

/* How a vector of output channels finds its channels of the image. */
typedef struct lanes {
    ptrdiff_t first, n; /* channels [first, first + n) of the image */
    vi from; /* lane -> its channel, counted from first */
} lanes;

INLINE lanes lanes_of(ptrdiff_t k, ptrdiff_t width, ptrdiff_t many) {
    lanes m = {k / many, (k + width - 1) / many - k / many + 1, {0}};
    for (int c = 0; c < VL; c++) m.from[c] = c < width ? (int32_t)((k + c) / many - m.first) : 0;
    return m;
}

INLINE vf spread(vf x, vi from) {
#if defined(__AVX512F__)
    return (vf)_mm512_permutexvar_ps((__m512i)from, (__m512)x);
#elif defined(__AVX2__)
    return (vf)_mm256_permutevar8x32_ps((__m256)x, (__m256i)from);
#else
    vf y;
    for (int c = 0; c < VL; c++) y[c] = x[from[c]];
    return y;
#endif
}

/* x at the lanes' channels of a pixel; `plain`, a constant in every call, means many == 1. */
INLINE vf channels(const int plain, const float *pixel, const lanes *m, ptrdiff_t width) {
    return plain ? load_n(pixel + m->first, width) : spread(load_first(pixel + m->first, m->n), m->from);
}

/* The taps [*from, *to) of n whose pixels at + t * gap lie in [0, size). */
INLINE void taps_inside(ptrdiff_t at, ptrdiff_t gap, ptrdiff_t n, ptrdiff_t size, ptrdiff_t *from, ptrdiff_t *to) {
    *from = at < 0 ? (-at + gap - 1) / gap : 0;
    *to = at >= size ? 0 : (size - at + gap - 1) / gap;
    if (*to > n) *to = n;
    if (*from > *to) *from = *to;
}

/* Outputs [*from, *to) of a row whose windows lie inside the image from left to right. */
INLINE void columns_inside(const tn_window *v, ptrdiff_t *from, ptrdiff_t *to) {
    ptrdiff_t last = v->w - 1 - v->offset_w - (v->taps_w - 1) * v->gap_w; /* of q * step_w */
    *from = v->offset_w < 0 ? (-v->offset_w + v->step_w - 1) / v->step_w : 0;
    *to = last < 0 ? 0 : last / v->step_w + 1;
    if (*to > v->columns) *to = v->columns;
    if (*from > *to) *from = *to;
}

/* n outputs of a row, from q on, over taps [r0, r1) x [s0, s1); `line` is the image row of tap row 0 and q = 0. */
INLINE void depthwise_outputs(const int plain, const int n, float *y, const float *line, const float *w, vf start,
                              const tn_window *v, const lanes *m, ptrdiff_t q, ptrdiff_t r0, ptrdiff_t r1, ptrdiff_t s0,
                              ptrdiff_t s1, ptrdiff_t k, ptrdiff_t width, ptrdiff_t ldy) {
    const ptrdiff_t step = v->step_w * v->ld, gap = v->gap_w * v->ld;
    vf acc[PIXELS];
    for (int p = 0; p < n; p++) acc[p] = start;
    for (ptrdiff_t r = r0; r < r1; r++) {
        const float *weight = w + (r * v->taps_w + s0) * k;
        const float *pixel = line + (r * v->gap_h * v->w + q * v->step_w + v->offset_w + s0 * v->gap_w) * v->ld;
        for (ptrdiff_t s = s0; s < s1; s++, weight += k, pixel += gap) {
            vf one = load_n(weight, width);
            for (int p = 0; p < n; p++) acc[p] += one * channels(plain, pixel + p * step, m, width);
        }
    }
    for (int p = 0; p < n; p++) store_n(y + (q + p) * ldy, acc[p], width);
}

/* The same for channels [j, end), a vector at a time. */
INLINE void depthwise_channels(const int plain, const int n, float *y, const float *line, const float *w,
                               const float *bias, const tn_window *v, lanes m, ptrdiff_t q, ptrdiff_t r0, ptrdiff_t r1,
                               ptrdiff_t s0, ptrdiff_t s1, ptrdiff_t j, ptrdiff_t end, ptrdiff_t k, ptrdiff_t ldy) {
    for (; j + VL <= end; j += VL, m.first += VL)
        depthwise_outputs(plain, n, y + j, line, w + j, bias ? load(bias + j) : splat(0.0f), v, &m, q, r0, r1, s0, s1,
                          k, VL, ldy);
    if (j < end)
        depthwise_outputs(plain, n, y + j, line, w + j, bias ? load_first(bias + j, end - j) : splat(0.0f), v, &m, q,
                          r0, r1, s0, s1, k, end - j, ldy);
}

/* Images whose channels are those of the output are read from end to end; else one vector of channels after the other. */
INLINE void depthwise_row(const int plain, float *y, const float *x, const float *w, const float *bias,
                          const tn_window *v, ptrdiff_t row, ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldy) {
    ptrdiff_t top = row % v->rows * v->step_h + v->offset_h, r0, r1, from, to, s0, s1;
    const float *line = x + (row / v->rows * v->h + top) * v->w * v->ld; /* of tap row 0; [r0, r1) lie inside */
    taps_inside(top, v->gap_h, v->taps_h, v->h, &r0, &r1);
    columns_inside(v, &from, &to);
    for (ptrdiff_t j = 0, end; j < k; j = end) {
        end = plain || k - j < VL ? k : j + VL;
        const lanes m = plain ? (lanes){0} : lanes_of(j, end - j, many);
        for (ptrdiff_t q = 0; q < v->columns;) {
            if (q >= from && q < to && to - from >= PIXELS) {
                if (q + PIXELS > to) q = to - PIXELS; /* some once more, with the same bits */
                depthwise_channels(plain, PIXELS, y, line, w, bias, v, m, q, r0, r1, 0, v->taps_w, j, end, k, ldy);
                q += PIXELS;
                continue;
            }
            taps_inside(q * v->step_w + v->offset_w, v->gap_w, v->taps_w, v->w, &s0, &s1);
            depthwise_channels(plain, 1, y, line, w, bias, v, m, q, r0, r1, s0, s1, j, end, k, ldy);
            q++;
        }
    }
}

static void depthwise_forward_f32(float *y, const float *x, const float *w, const float *bias, const tn_window *v,
                                  ptrdiff_t row, ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldy) {
    if (many == 1) depthwise_row(1, y, x, w, bias, v, row, k, many, ldy);
    else depthwise_row(0, y, x, w, bias, v, row, k, many, ldy);
}

/* gw += the sums over outputs [from, to) of a row for n neighbouring taps; `line` is what the first tap sees at q = 0. */
INLINE void weights_of_taps(const int plain, const int n, float *gw, const float *g, const float *line,
                            const tn_window *v, const lanes *m, ptrdiff_t from, ptrdiff_t to, ptrdiff_t k,
                            ptrdiff_t width, ptrdiff_t ldg) {
    vf acc[TAPS];
    for (int s = 0; s < n; s++) acc[s] = load_n(gw + s * k, width);
    for (ptrdiff_t q = from; q < to; q++) {
        vf gy = load_n(g + q * ldg, width);
        const float *pixel = line + q * v->step_w * v->ld;
        for (int s = 0; s < n; s++) acc[s] += gy * channels(plain, pixel + s * v->gap_w * v->ld, m, width);
    }
    for (int s = 0; s < n; s++) store_n(gw + s * k, acc[s], width);
}

/* The same for all taps of a kernel row, as many at a time as registers hold. */
INLINE void weights_of_row(const int plain, float *gw, const float *g, const float *line, const tn_window *v,
                           const lanes *m, ptrdiff_t from, ptrdiff_t to, ptrdiff_t k, ptrdiff_t width, ptrdiff_t ldg) {
    for (ptrdiff_t s = 0; s < v->taps_w; s += TAPS) {
        const float *first = line + (v->offset_w + s * v->gap_w) * v->ld;
        float *sums = gw + s * k;
        switch (v->taps_w - s) {
#define CASE(n) \
    case n: weights_of_taps(plain, n, sums, g, first, v, m, from, to, k, width, ldg); break;
            CASE(1)
            CASE(2)
            CASE(3)
#undef CASE
        default: weights_of_taps(plain, TAPS, sums, g, first, v, m, from, to, k, width, ldg); break;
        }
    }
}

/* Outputs [q, q + n) of a row for one kernel row; `all`, a constant: their windows lie inside, and all taps are summed,
 * else taps [s0, s1). */
INLINE void weights_of_outputs(const int plain, const int all, float *gw, const float *gy, const float *line,
                               const tn_window *v, const lanes *m, ptrdiff_t q, ptrdiff_t n, ptrdiff_t s0, ptrdiff_t s1,
                               ptrdiff_t k, ptrdiff_t width, ptrdiff_t ldg) {
    if (all) weights_of_row(plain, gw, gy, line, v, m, q, q + n, k, width, ldg);
    for (ptrdiff_t s = s0; !all && s < s1; s++)
        weights_of_taps(plain, 1, gw + s * k, gy, line + (v->offset_w + s * v->gap_w) * v->ld, v, m, q, q + n, k, width,
                        ldg);
}

/* The same for channels [j, end), a vector at a time. */
INLINE void weights_of_channels(const int plain, const int all, float *gw, const float *gy, const float *line,
                                const tn_window *v, lanes m, ptrdiff_t q, ptrdiff_t n, ptrdiff_t s0, ptrdiff_t s1,
                                ptrdiff_t j, ptrdiff_t end, ptrdiff_t k, ptrdiff_t ldg) {
    for (; j + VL <= end; j += VL, m.first += VL)
        weights_of_outputs(plain, all, gw + j, gy + j, line, v, &m, q, n, s0, s1, k, VL, ldg);
    if (j < end) weights_of_outputs(plain, all, gw + j, gy + j, line, v, &m, q, n, s0, s1, k, end - j, ldg);
}

/* CHUNK outputs at a time, so that all channels of a pixel are read before it has left the L1 cache. */
INLINE void depthwise_weights(const int plain, float *gw, const float *gy, const float *x, const tn_window *v,
                              ptrdiff_t row, ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldg) {
    ptrdiff_t top = row % v->rows * v->step_h + v->offset_h, r0, r1, from, to, s0, s1;
    taps_inside(top, v->gap_h, v->taps_h, v->h, &r0, &r1);
    columns_inside(v, &from, &to);
    for (ptrdiff_t j = 0, end; j < k; j = end) {
        end = plain || k - j < VL ? k : j + VL;
        const lanes m = plain ? (lanes){0} : lanes_of(j, end - j, many);
        for (ptrdiff_t r = r0; r < r1; r++) {
            const float *line = x + (row / v->rows * v->h + top + r * v->gap_h) * v->w * v->ld;
            float *sums = gw + r * v->taps_w * k;
            for (ptrdiff_t q = 0, n; q < v->columns; q += n) {
                n = 1;
                if (q >= from && q < to) {
                    n = to - q < CHUNK ? to - q : CHUNK;
                    weights_of_channels(plain, 1, sums, gy, line, v, m, q, n, 0, 0, j, end, k, ldg);
                    continue;
                }
                taps_inside(q * v->step_w + v->offset_w, v->gap_w, v->taps_w, v->w, &s0, &s1);
                weights_of_channels(plain, 0, sums, gy, line, v, m, q, n, s0, s1, j, end, k, ldg);
            }
        }
    }
}

static void depthwise_weights_f32(float *gw, const float *gy, const float *x, const tn_window *v, ptrdiff_t row,
                                  ptrdiff_t k, ptrdiff_t many, ptrdiff_t ldg) {
    if (many == 1) depthwise_weights(1, gw, gy, x, v, row, k, many, ldg);
    else depthwise_weights(0, gw, gy, x, v, row, k, many, ldg);
}
