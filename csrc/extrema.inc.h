/* The largest elements of the rows and columns of a matrix: see tinynet.h.
 *
 * The smallest is the largest of -x with its sign changed back, that is, with the sign bit flipped on the way in and out.
 * A maximum is taken in any order with the same result (but for the sign of a 0 and the bits of a NaN, which the fixed order
 * settles), so a row whose length is no multiple of the vector's ends with a vector that overlaps the one before. */
INLINE vf larger(vf best, vf v) { return choose((v > best) | (v != v), v, best); } /* NaN stays: nothing is above it */
INLINE vf flipped(vf v, int32_t sign) { return (vf)((vi)v ^ sign); }

INLINE float extreme_lane(vf v) {
    float s[VL];
    store(s, v);
    for (int half = VL / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            if (s[i + half] > s[i] || s[i + half] != s[i + half]) s[i] = s[i + half];
    return s[0];
}

static void extreme_rows_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, int32_t sign) {
    for (ptrdiff_t i = 0; i < rows; i++, x += ld) {
        vf best[4] = {splat(-INFINITY), splat(-INFINITY), splat(-INFINITY), splat(-INFINITY)};
        ptrdiff_t j = 0;
        for (; j + 4 * VL <= n; j += 4 * VL)
            for (int k = 0; k < 4; k++) best[k] = larger(best[k], flipped(load(x + j + k * VL), sign));
        for (; j + VL <= n; j += VL) best[0] = larger(best[0], flipped(load(x + j), sign));
        if (j < n && n >= VL) best[1] = larger(best[1], flipped(load(x + n - VL), sign));
        for (; j < n && n < VL; j++) best[0] = larger(best[0], flipped(splat(x[j]), sign));
        best[0] = larger(larger(best[0], best[1]), larger(best[2], best[3]));
        y[i] = flipped(splat(extreme_lane(best[0])), sign)[0];
    }
}

INLINE void extreme_strip(float *y, const float *x, ptrdiff_t rows, ptrdiff_t ld, int32_t sign, const int vectors,
                          ptrdiff_t width) {
    vf best[4];
    for (int k = 0; k < vectors; k++) best[k] = splat(-INFINITY);
    for (ptrdiff_t i = 0; i < rows; i++) {
        fetch(x + (i + ROWS_AHEAD) * ld, vectors * VL * 4);
        for (int k = 0; k < vectors; k++) best[k] = larger(best[k], flipped(load_n(x + i * ld + k * VL, width), sign));
    }
    for (int k = 0; k < vectors; k++) store_n(y + k * VL, flipped(best[k], sign), width);
}

static void extreme_columns_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ld, int32_t sign) {
#define STRIP(vectors, width) extreme_strip(y + j, x + j, rows, ld, sign, vectors, width)
    EACH_STRIP_OF_COLUMNS(c, STRIP);
#undef STRIP
}
