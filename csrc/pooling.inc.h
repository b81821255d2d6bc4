/* Pooling of maps whose channels are last: see tinynet.h for what each kernel computes.
 *
 * A pixel's channels are taken BLOCK vectors at a time, then one at a time; the addresses of the taps are worked out once
 * for each such part.  Each output element is one loop over its window, and each element of a gradient one loop over the
 * windows that cover it: nothing is added into memory, so rows can be dealt out to threads freely. */
#define BLOCK 4
typedef uint8_t vb __attribute__((vector_size(VL)));

/* Runs `body` for parts of a row of c channels: from channel j on, `count` vectors, the last `m` lanes wide. */
#define EACH_PART(c, ...)                                \
    do {                                                 \
        ptrdiff_t j = 0;                                 \
        for (; j + BLOCK * VL <= (c); j += BLOCK * VL) { \
            const int count = BLOCK;                     \
            const ptrdiff_t m = VL;                      \
            __VA_ARGS__                                  \
        }                                                \
        for (; j + VL <= (c); j += VL) {                 \
            const int count = 1;                         \
            const ptrdiff_t m = VL;                      \
            __VA_ARGS__                                  \
        }                                                \
        if (j < (c)) {                                   \
            const int count = 1;                         \
            const ptrdiff_t m = (c) - j;                 \
            __VA_ARGS__                                  \
        }                                                \
    } while (0)

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

INLINE void max_pool_row(float *y, uint8_t *at, const float *x, const ptrdiff_t *row, const ptrdiff_t *windows,
                         ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx, ptrdiff_t kw, ptrdiff_t dh,
                         ptrdiff_t dw) {
    for (ptrdiff_t q = 0; q < columns; q++) {
        const ptrdiff_t *column = windows + 3 * q;
        EACH_PART(c, {
            vf best[BLOCK];
            vi tap[BLOCK];
            for (int b = 0; b < count; b++) {
                best[b] = splat(-INFINITY);
                tap[b] = (int32_t)(row[1] * kw + column[1]) - (vi){0};
            }
            for (ptrdiff_t i = row[1]; i < row[2]; i++) {
                const float *line = x + (row[0] + i * dh) * w * ldx + j;
                for (ptrdiff_t k = column[1]; k < column[2]; k++) {
                    const float *p = line + (column[0] + k * dw) * ldx;
                    int32_t number = (int32_t)(i * kw + k);
                    for (int b = 0; b < count; b++) {
                        vf v = load_n(p + b * VL, m);
                        vi better = (v > best[b]) | (v != v);
                        best[b] = choose(better, v, best[b]);
                        tap[b] = (better & number) | (~better & tap[b]);
                    }
                }
            }
            for (int b = 0; b < count; b++) {
                store_n(y + q * c + j + b * VL, best[b], m);
                if (at) store_bytes(at + q * c + j + b * VL, tap[b], m);
            }
        });
    }
}

static void max_pool_forward_f32(float *y, uint8_t *at, const float *x, const ptrdiff_t *row, const ptrdiff_t *windows,
                                 ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx, ptrdiff_t kw, ptrdiff_t dh,
                                 ptrdiff_t dw) {
    if (at) max_pool_row(y, at, x, row, windows, columns, w, c, ldx, kw, dh, dw);
    else max_pool_row(y, NULL, x, row, windows, columns, w, c, ldx, kw, dh, dw);
}

static void max_pool_backward_f32(float *gx, const float *gy, const uint8_t *at, ptrdiff_t iy, const ptrdiff_t *rows,
                                  const ptrdiff_t *touching_row, const ptrdiff_t *windows, const ptrdiff_t *touching,
                                  ptrdiff_t w, ptrdiff_t columns, ptrdiff_t c, ptrdiff_t ldg, ptrdiff_t kw,
                                  ptrdiff_t dh, ptrdiff_t dw) {
    for (ptrdiff_t ix = 0; ix < w; ix++)
        EACH_PART(c, {
            vf sum[BLOCK];
            for (int b = 0; b < count; b++) sum[b] = (vf){0};
            for (ptrdiff_t p = touching_row[0]; p < touching_row[1]; p++) {
                ptrdiff_t down = iy - rows[3 * p];
                if (dh > 1) {
                    if (down % dh) continue; /* between the taps */
                    down /= dh;
                }
                for (ptrdiff_t q = touching[2 * ix]; q < touching[2 * ix + 1]; q++) {
                    ptrdiff_t right = ix - windows[3 * q], o = p * columns + q;
                    if (dw > 1) {
                        if (right % dw) continue;
                        right /= dw;
                    }
                    int32_t number = (int32_t)(down * kw + right);
                    for (int b = 0; b < count; b++) {
                        vi chosen = load_bytes(at + o * c + j + b * VL, m) == number;
                        sum[b] += (vf)(chosen & (vi)load_n(gy + o * ldg + j + b * VL, m));
                    }
                }
            }
            for (int b = 0; b < count; b++) store_n(gx + ix * c + j + b * VL, sum[b], m);
        });
}

INLINE void window_sum_row(float *y, const float *x, const float *weight, const float *divisor, const ptrdiff_t *row,
                           const ptrdiff_t *windows, ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx) {
    for (ptrdiff_t q = 0; q < columns; q++) {
        ptrdiff_t first = windows[2 * q], last = windows[2 * q + 1];
        int large = (row[1] - row[0]) * (last - first) > TN_ROW_BLOCK;
        EACH_PART(c, {
            vf sum[BLOCK];
            vd total[BLOCK];
            for (int b = 0; b < count; b++) {
                sum[b] = (vf){0};
                total[b] = (vd){0};
            }
            ptrdiff_t left = TN_ROW_BLOCK; /* pixels until the sums move on to double */
            for (ptrdiff_t i = row[0]; i < row[1]; i++) {
                const float *line = x + i * w * ldx + j;
                for (ptrdiff_t k = first; k < last; k++) {
                    for (int b = 0; b < count; b++) {
                        vf v = load_n(line + k * ldx + b * VL, m);
                        sum[b] += weight ? v * weight[i * w + k] : v;
                    }
                    if (large && --left == 0) {
                        left = TN_ROW_BLOCK;
                        for (int b = 0; b < count; b++) {
                            total[b] += widen(sum[b]);
                            sum[b] = (vf){0};
                        }
                    }
                }
            }
            for (int b = 0; b < count; b++) {
                if (large) sum[b] = __builtin_convertvector(total[b] + widen(sum[b]), vf);
                store_n(y + q * c + j + b * VL, divisor ? sum[b] / divisor[q] : sum[b], m);
            }
        });
    }
}

static void window_sum_f32(float *y, const float *x, const float *weight, const float *divisor, const ptrdiff_t *row,
                           const ptrdiff_t *windows, ptrdiff_t columns, ptrdiff_t w, ptrdiff_t c, ptrdiff_t ldx) {
    if (weight) window_sum_row(y, x, weight, NULL, row, windows, columns, w, c, ldx);
    else window_sum_row(y, x, NULL, divisor, row, windows, columns, w, c, ldx);
}
