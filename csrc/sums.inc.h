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

#if VL == 16
#define LOW_DOUBLES 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_DOUBLES 4, 12, 5, 13, 6, 14, 7, 15
#elif VL == 8
#define LOW_DOUBLES 0, 4, 1, 5
#define HIGH_DOUBLES 2, 6, 3, 7
#else
#define LOW_DOUBLES 0, 2
#define HIGH_DOUBLES 1, 3
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE_DOUBLES(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int64_t places __attribute__((vector_size(8 * HALF)));
#define SHUFFLE_DOUBLES(a, b, ...) __builtin_shuffle(a, b, (places){__VA_ARGS__})
#endif

/* The sums over the lanes of HALF vectors: they are transposed as in transpose.inc.h, and added. */
INLINE vh lanes_sums(vh v[HALF]) {
    for (int round = 1; round < HALF; round *= 2) {
        vh t[HALF];
        for (int i = 0; i < HALF / 2; i++) {
            t[2 * i] = SHUFFLE_DOUBLES(v[i], v[i + HALF / 2], LOW_DOUBLES);
            t[2 * i + 1] = SHUFFLE_DOUBLES(v[i], v[i + HALF / 2], HIGH_DOUBLES);
        }
        for (int i = 0; i < HALF; i++) v[i] = t[i];
    }
    for (int i = 1; i < HALF; i++) v[0] += v[i];
    return v[0];
}

/* Of a row, in HALF lanes. */
INLINE vh sum_row(const float *x, ptrdiff_t n, double center, int squares) {
    vh s[SUMS] = {{0}}, o = center - (vh){0};
    ptrdiff_t i = 0;
    for (; i + SUMS * HALF <= n; i += SUMS * HALF)
        for (int v = 0; v < SUMS; v++) s[v] += term(x + i + v * HALF, o, squares);
    vh sum = i > 0 ? ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])) : (vh){0};
    for (; i + HALF <= n; i += HALF) sum += term(x + i, o, squares);
    if (i < n) {
        double rest = 0.0;
        for (; i < n; i++) rest += squares ? (x[i] - center) * (x[i] - center) : x[i];
        sum[0] += rest;
    }
    return sum;
}

INLINE void sum_rows(double *total, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const double *center,
                     int squares) {
    for (ptrdiff_t i = 0; i < rows; i += HALF) {
        const ptrdiff_t count = rows - i < HALF ? rows - i : HALF;
        vh s[HALF] = {{0}};
        for (ptrdiff_t r = 0; r < count; r++)
            s[r] = sum_row(x + (i + r) * ld, n, squares ? center[i + r] : 0.0, squares);
        s[0] = lanes_sums(s);
        memcpy(total + i, s, (size_t)count * sizeof *total);
    }
}

static void sum_rows_f32(double *total, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld,
                         const double *center) {
    if (center) sum_rows(total, x, rows, n, ld, center, 1);
    else sum_rows(total, x, rows, n, ld, NULL, 0);
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
