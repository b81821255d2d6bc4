/* Pooling of maps whose channels are last: see tinynet.h for what each kernel computes.
 *
 * A pixel's channels are taken in strips of up to four vectors (columns.inc.h).  Each output element is one loop over its
 * window, and each element of a gradient one loop over the windows that cover it: nothing is added into memory, so rows can be
 * dealt out to threads freely.
 *
 * Windows jump from row to row of the map, which the processor does not foresee: waiting for the L3 cache would take as long
 * again as computing.  So each strip asks for what the same strip of the next row of windows reads for the first time, and for
 * where it will write (`python -m benchmarks ops`, batch 32: max 16x16x288 1.3 to 0.55 ms, mean 16x16x272 1.6 to 0.7). */
typedef uint8_t vb __attribute__((vector_size(VL)));

INLINE vi load_bytes(const uint8_t *p, ptrdiff_t m) {
    vb v = {0};
    memcpy(&v, p, (size_t)m);
#if defined(__AVX512F__)
    return (vi)_mm512_cvtepu8_epi32((__m128i)v); /* GCC 12 converts lane by lane */
#elif defined(__AVX2__)
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&v));
#else
    return __builtin_convertvector(v, vi);
#endif
}

INLINE void store_bytes(uint8_t *p, vi v, ptrdiff_t m) {
    vb b = __builtin_convertvector(v, vb);
    memcpy(p, &b, (size_t)m);
}

/* Whether to ask.  Pixels of few channels lie side by side, and large windows read long rows: the processor sees both coming. */
INLINE int unforeseen(const ptrdiff_t *ahead, ptrdiff_t share, ptrdiff_t c) {
    return c >= 16 && (ahead[1] - ahead[0]) * share <= 8;
}

/* Asks for n bytes of pixels share * q to share * (q + 1), of w with ld bytes each, in rows ahead[0] <= i < ahead[1] of a map. */
INLINE void fetch_ahead(const void *map, const ptrdiff_t *ahead, ptrdiff_t q, ptrdiff_t share, ptrdiff_t w,
                        ptrdiff_t ld, ptrdiff_t n) {
    ptrdiff_t last = (q + 1) * share < w ? (q + 1) * share : w;
    for (ptrdiff_t i = ahead[0]; i < ahead[1]; i++)
        for (ptrdiff_t k = q * share; k < last; k++) fetch((const char *)map + (i * w + k) * ld, n);
}

INLINE void max_strip(float *y, uint8_t *at, const float *x, const ptrdiff_t *row, const ptrdiff_t *column, ptrdiff_t w,
                      ptrdiff_t ldx, ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw, const int vectors, ptrdiff_t width) {
    vf best[4];
    vi tap[4];
    for (int b = 0; b < vectors; b++) {
        best[b] = splat(-INFINITY);
        tap[b] = (int32_t)(row[1] * kw + column[1]) - (vi){0};
    }
    for (ptrdiff_t i = row[1]; i < row[2]; i++) {
        const float *line = x + (row[0] + i * dh) * w * ldx;
        for (ptrdiff_t k = column[1]; k < column[2]; k++) {
            const float *p = line + (column[0] + k * dw) * ldx;
            int32_t number = (int32_t)(i * kw + k);
            for (int b = 0; b < vectors; b++) {
                vf v = load_n(p + b * VL, width);
                vi better = (v > best[b]) | (v != v);
                best[b] = choose(better, v, best[b]);
                tap[b] = (better & number) | (~better & tap[b]);
            }
        }
    }
    for (int b = 0; b < vectors; b++) {
        store_n(y + b * VL, best[b], width);
        if (at) store_bytes(at + b * VL, tap[b], width);
    }
}

INLINE void max_pool_row(float *y, uint8_t *at, const float *x, const ptrdiff_t *row, const ptrdiff_t *windows,
                         const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx,
                         ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw) {
    const ptrdiff_t share = (w + columns - 1) / columns;
    const int ask = unforeseen(ahead, share, c);
    for (ptrdiff_t q = 0; q < columns; q++) {
#define STRIP(vectors, width)                                                                                  \
    do {                                                                                                       \
        const ptrdiff_t o = q * c + j, n = (vectors - 1) * VL + (width);                                       \
        if (ask) {                                                                                             \
            fetch_ahead(x + j, ahead, q, share, w, ldx * 4, n * 4);                                            \
            fetch(y + columns * c + o, n * 4);                                                                 \
            if (at) fetch(at + columns * c + o, n);                                                            \
        }                                                                                                      \
        max_strip(y + o, at ? at + o : NULL, x + j, row, windows + 3 * q, w, ldx, kw, dh, dw, vectors, width); \
    } while (0)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
}

static void max_pool_forward_f32(float *y, uint8_t *at, const float *x, const ptrdiff_t *row, const ptrdiff_t *windows,
                                 const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx,
                                 ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw) {
    if (at) max_pool_row(y, at, x, row, windows, ahead, columns, w, c, ldx, kw, dh, dw);
    else max_pool_row(y, NULL, x, row, windows, ahead, columns, w, c, ldx, kw, dh, dw);
}

INLINE void max_backward_strip(float *gx, const float *gy, const uint8_t *at, ptrdiff_t iy, ptrdiff_t ix,
                               const ptrdiff_t *rows, const ptrdiff_t *touching_row, const ptrdiff_t *windows,
                               const ptrdiff_t *touching, ptrdiff_t columns, ptrdiff_t c, ptrdiff_t ldg, ptrdiff_t kw,
                               ptrdiff_t dh, ptrdiff_t dw, const int vectors, ptrdiff_t width) {
    vf sum[4];
    for (int b = 0; b < vectors; b++) sum[b] = (vf){0};
    for (ptrdiff_t p = touching_row[0]; p < touching_row[1]; p++) {
        ptrdiff_t down = iy - rows[3 * p];
        if (dh > 1) {
            if (down % dh) continue; /* between the taps */
            down /= dh;
        }
        for (ptrdiff_t q = touching[0]; q < touching[1]; q++) {
            ptrdiff_t right = ix - windows[3 * q], o = p * columns + q;
            if (dw > 1) {
                if (right % dw) continue;
                right /= dw;
            }
            int32_t number = (int32_t)(down * kw + right);
            for (int b = 0; b < vectors; b++) {
                vi chosen = load_bytes(at + o * c + b * VL, width) == number;
                sum[b] += (vf)(chosen & (vi)load_n(gy + o * ldg + b * VL, width));
            }
        }
    }
    for (int b = 0; b < vectors; b++) store_n(gx + b * VL, sum[b], width);
}

static void max_pool_backward_f32(float *gx, const float *gy, const uint8_t *at, ptrdiff_t iy, const ptrdiff_t *rows,
                                  const ptrdiff_t *touching_row, const ptrdiff_t *windows, const ptrdiff_t *touching,
                                  const ptrdiff_t *ahead, ptrdiff_t w, ptrdiff_t columns, ptrdiff_t c, ptrdiff_t ldg,
                                  ptrdiff_t kw, ptrdiff_t dh, ptrdiff_t dw) {
    const ptrdiff_t share = (columns + w - 1) / w;
    const int ask = unforeseen(ahead, share, c);
    for (ptrdiff_t ix = 0; ix < w; ix++) {
#define STRIP(vectors, width)                                                                                       \
    do {                                                                                                            \
        const ptrdiff_t n = (vectors - 1) * VL + (width);                                                           \
        if (ask) {                                                                                                  \
            fetch_ahead(gy + j, ahead, ix, share, columns, ldg * 4, n * 4);                                         \
            fetch_ahead(at + j, ahead, ix, share, columns, c, n);                                                   \
            fetch(gx + (w + ix) * c + j, n * 4);                                                                    \
        }                                                                                                           \
        max_backward_strip(gx + ix * c + j, gy + j, at + j, iy, ix, rows, touching_row, windows, touching + 2 * ix, \
                           columns, c, ldg, kw, dh, dw, vectors, width);                                            \
    } while (0)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
}

/* In float32; where the window is `large`, over TN_ROW_BLOCK pixels, and in double beyond. */
INLINE void window_sum_strip(float *y, const float *x, const float *weight, const float *divisor, const ptrdiff_t *row,
                             const ptrdiff_t *column, ptrdiff_t w, ptrdiff_t ldx, const int large, const int vectors,
                             ptrdiff_t width) {
    vf sum[4];
    vd total[4];
    for (int b = 0; b < vectors; b++) {
        sum[b] = (vf){0};
        if (large) total[b] = (vd){0};
    }
    ptrdiff_t left = TN_ROW_BLOCK; /* pixels until the sums move on to double */
    for (ptrdiff_t i = row[0]; i < row[1]; i++) {
        for (ptrdiff_t k = column[0]; k < column[1]; k++) {
            for (int b = 0; b < vectors; b++) {
                vf v = load_n(x + (i * w + k) * ldx + b * VL, width);
                sum[b] += weight ? v * weight[i * w + k] : v;
            }
            if (large && --left == 0) {
                left = TN_ROW_BLOCK;
                for (int b = 0; b < vectors; b++) {
                    total[b] += widen(sum[b]);
                    sum[b] = (vf){0};
                }
            }
        }
    }
    for (int b = 0; b < vectors; b++) {
        if (large) sum[b] = __builtin_convertvector(total[b] + widen(sum[b]), vf);
        store_n(y + b * VL, divisor ? sum[b] / *divisor : sum[b], width);
    }
}

INLINE void window_sum_row(float *y, const float *x, const float *weight, const float *divisor, const ptrdiff_t *row,
                           const ptrdiff_t *windows, const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w,
                           ptrdiff_t c, ptrdiff_t ldx) {
    const ptrdiff_t share = (w + columns - 1) / columns;
    const int ask = unforeseen(ahead, share, c);
    for (ptrdiff_t q = 0; q < columns; q++) {
        const ptrdiff_t *column = windows + 2 * q;
        const float *by = divisor ? divisor + q : NULL;
        const int large = (row[1] - row[0]) * (column[1] - column[0]) > TN_ROW_BLOCK;
#define STRIP(vectors, width)                                                                          \
    do {                                                                                               \
        const ptrdiff_t o = q * c + j, n = (vectors - 1) * VL + (width);                               \
        if (ask) {                                                                                     \
            fetch_ahead(x + j, ahead, q, share, w, ldx * 4, n * 4);                                    \
            fetch(y + columns * c + o, n * 4);                                                         \
        }                                                                                              \
        if (large) window_sum_strip(y + o, x + j, weight, by, row, column, w, ldx, 1, vectors, width); \
        else window_sum_strip(y + o, x + j, weight, by, row, column, w, ldx, 0, vectors, width);       \
    } while (0)
        EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
    }
}

static void window_sum_f32(float *y, const float *x, const float *weight, const float *divisor, const ptrdiff_t *row,
                           const ptrdiff_t *windows, const ptrdiff_t *ahead, ptrdiff_t columns, ptrdiff_t w,
                           ptrdiff_t c, ptrdiff_t ldx) {
    if (weight) window_sum_row(y, x, weight, NULL, row, windows, ahead, columns, w, c, ldx);
    else window_sum_row(y, x, NULL, divisor, row, windows, ahead, columns, w, c, ldx);
}
