/* The largest elements of the rows and columns of a matrix: see tinynet.h.
 *
 * The smallest is the largest of -x with its sign changed back: the sign bit is flipped on the way in and out.  NaNs are passed
 * over and noted; where there was one, the result is NaN.  A maximum is the same in any order (but for the sign of a 0, which
 * the fixed order settles), so a row whose length is no multiple of the vector's ends with a vector that overlaps the one
 * before, and the lanes of VL rows are put together by a transposition. */
typedef struct {
    vf best; /* of what is no NaN */
    vi bad;  /* all ones where there was a NaN */
} extreme;

INLINE vf flipped(vf v, const int32_t sign) { return sign ? (vf)((vi)v ^ sign) : v; }

INLINE void take(extreme *e, vf v, const int32_t sign) {
    e->best = larger(flipped(v, sign), e->best);
    e->bad |= v != v;
}

INLINE vf settled(extreme e, const int32_t sign) { return choose(e.bad, splat(NAN), flipped(e.best, sign)); }

/* Of a row, in VL lanes. */
INLINE vf extreme_row(const float *x, ptrdiff_t n, const int32_t sign) {
    extreme e[4];
    ptrdiff_t j = 0;
    for (int k = 0; k < 4; k++) e[k] = (extreme){splat(-INFINITY), (vi){0}};
    for (; j + 4 * VL <= n; j += 4 * VL)
        for (int k = 0; k < 4; k++) take(&e[k], load(x + j + k * VL), sign);
    for (; j + VL <= n; j += VL) take(&e[0], load(x + j), sign);
    if (j < n && n >= VL) take(&e[1], load(x + n - VL), sign);
    if (n < VL) {
        static const int32_t numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        vi lane;
        memcpy(&lane, numbers, sizeof lane);
        take(&e[0], choose(lane < (int32_t)n, load_first(x, n), flipped(splat(-INFINITY), sign)), sign);
    }
    for (int k = 1; k < 4; k++) {
        e[0].best = larger(e[k].best, e[0].best);
        e[0].bad |= e[k].bad;
    }
    return settled(e[0], sign);
}

INLINE void extreme_rows(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, const int32_t sign) {
    for (ptrdiff_t i = 0; i < rows; i += VL) {
        const int count = rows - i < VL ? (int)(rows - i) : VL;
        extreme e = {splat(-INFINITY), (vi){0}};
        vf lanes[VL];
        for (int r = 0; r < count; r++) lanes[r] = extreme_row(x + (i + r) * ld, n, sign);
        for (int r = count; r < VL; r++) lanes[r] = splat(0.0f);
        transpose(lanes);
        for (int r = 0; r < VL; r++) take(&e, lanes[r], sign);
        store_n(y + i, settled(e, sign), count);
    }
}

static void extreme_rows_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, int32_t sign) {
    if (sign) extreme_rows(y, x, rows, n, ld, INT32_MIN);
    else extreme_rows(y, x, rows, n, ld, 0);
}

INLINE void extreme_strip(float *y, const float *x, ptrdiff_t rows, ptrdiff_t ld, const int32_t sign, const int vectors,
                          ptrdiff_t width) {
    extreme e[4];
    for (int k = 0; k < vectors; k++) e[k] = (extreme){splat(-INFINITY), (vi){0}};
    for (ptrdiff_t i = 0; i < rows; i++) {
        fetch(x + (i + ROWS_AHEAD) * ld, vectors * VL * 4);
        for (int k = 0; k < vectors; k++) take(&e[k], load_n(x + i * ld + k * VL, width), sign);
    }
    for (int k = 0; k < vectors; k++) store_n(y + k * VL, settled(e[k], sign), width);
}

static void extreme_columns_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld, int32_t sign) {
#define STRIP(vectors, width)                                                       \
    do {                                                                            \
        if (sign) extreme_strip(y + j, x + j, rows, ld, INT32_MIN, vectors, width); \
        else extreme_strip(y + j, x + j, rows, ld, 0, vectors, width);              \
    } while (0)
    EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
}
