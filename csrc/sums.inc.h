/* Sums of float32 in double: of the elements, or of their squared distances from a center.
 *
 * A vector of doubles has half as many lanes as one of floats, so that an accumulator is one register. */
enum {
    SUMS = 8, /* accumulators that a loop keeps, to hide the latency of an addition */
    ROWS_AHEAD =
        16, /* of a strip of columns, asked for into the cache: its rows lie too far apart for the processor to do so */
};

typedef double vh __attribute__((vector_size(8 * HALF)));
typedef float vf_half __attribute__((vector_size(4 * HALF), aligned(4), may_alias)); /* at any float's address */

/* HALF floats at x as doubles; the compiler takes more than one instruction for the general form. */
INLINE vh load_double(const float *x) {
#if defined(__AVX512F__)
    return (vh)_mm512_cvtps_pd(_mm256_loadu_ps(x));
#elif defined(__AVX2__)
    return (vh)_mm256_cvtps_pd(_mm_loadu_ps(x));
#else
    return __builtin_convertvector(*(const vf_half *)x, vh);
#endif
}

INLINE vh term(const float *x, vh center, int squares) {
    vh d = load_double(x);
    if (!squares) return d;
    d -= center;
    return d * d;
}

INLINE double total_of(const float *x, ptrdiff_t n, double center, int squares) {
    vh s[SUMS] = {{0}}, o = center - (vh){0};
    ptrdiff_t i = 0;
    for (; i + SUMS * HALF <= n; i += SUMS * HALF)
        for (int v = 0; v < SUMS; v++) s[v] += term(x + i + v * HALF, o, squares);
    for (; i + HALF <= n; i += HALF) s[0] += term(x + i, o, squares);
    for (int v = 1; v < SUMS; v++) s[0] += s[v];
    double total = 0.0;
    for (int v = 0; v < HALF; v++) total += s[0][v];
    for (; i < n; i++) total += squares ? (x[i] - center) * (x[i] - center) : x[i];
    return total;
}

static void sum_rows_f32(double *total, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
                         const double *center) {
    if (center)
        for (ptrdiff_t i = 0; i < rows; i++) total[i] = total_of(x + i * ld, n, center[i], 1);
    else
        for (ptrdiff_t i = 0; i < rows; i++) total[i] = total_of(x + i * ld, n, 0.0, 0);
}

INLINE void totals_of(double *total, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld, const double *center,
                      int squares) {
    ptrdiff_t j = 0;
    for (; j + SUMS * HALF <= c; j += SUMS * HALF) {
        vh s[SUMS] = {{0}}, o[SUMS] = {{0}};
        if (squares) memcpy(o, center + j, sizeof o);
        for (ptrdiff_t i = 0; i < rows; i++) {
            fetch(x + (i + ROWS_AHEAD) * ld + j, SUMS * HALF * 4);
            for (int v = 0; v < SUMS; v++) s[v] += term(x + i * ld + j + v * HALF, o[v], squares);
        }
        memcpy(total + j, s, sizeof s);
    }
    for (; j + HALF <= c; j += HALF) {
        vh s = {0}, o = {0};
        if (squares) memcpy(&o, center + j, sizeof o);
        for (ptrdiff_t i = 0; i < rows; i++) s += term(x + i * ld + j, o, squares);
        memcpy(total + j, &s, sizeof s);
    }
    for (; j < c; j++) {
        double s = 0.0, o = squares ? center[j] : 0.0;
        for (ptrdiff_t i = 0; i < rows; i++) {
            double v = x[i * ld + j];
            s += squares ? (v - o) * (v - o) : v;
        }
        total[j] = s;
    }
}

static void sum_columns_f32(double *total, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld,
                            const double *center) {
    if (center) totals_of(total, x, rows, c, ld, center, 1);
    else totals_of(total, x, rows, c, ld, center, 0);
}
