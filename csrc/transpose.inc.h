/* Transposes VL vectors in place: v[i][j] becomes v[j][i].
 *
 * log2(VL) rounds; each interleaves vector i with vector i + VL/2 (a perfect shuffle of the 2-D index), and after all
 * rounds the index bits have moved from "which vector" to "which lane". */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE2(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE2(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif

#if VL == 16
#define LOW_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VL == 8
#define LOW_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW_HALVES 0, 4, 1, 5
#define HIGH_HALVES 2, 6, 3, 7
#endif

INLINE void transpose(vf v[VL]) {
    for (int round = 1; round < VL; round *= 2) {
        vf t[VL];
        for (int i = 0; i < VL / 2; i++) {
            t[2 * i] = SHUFFLE2(v[i], v[i + VL / 2], LOW_HALVES);
            t[2 * i + 1] = SHUFFLE2(v[i], v[i + VL / 2], HIGH_HALVES);
        }
        for (int i = 0; i < VL; i++) v[i] = t[i];
    }
}

/* A block of m rows and n columns that is no whole tile: by vectors if half of them is used, else element by element. */
INLINE void transpose_edge(float *y, const float *x, ptrdiff_t m, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t ldx) {
    if (m < VL / 2 || n < VL / 2) {
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t j = 0; j < n; j++) y[i * ldy + j] = x[j * ldx + i];
        return;
    }
    vf v[VL] = {{0}};
    for (int k = 0; k < n; k++) v[k] = load_n(x + k * ldx, m);
    transpose(v);
    for (int k = 0; k < m; k++) store_n(y + k * ldy, v[k], n);
}

static void transpose_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t ldy, ptrdiff_t ldx) {
    for (ptrdiff_t i = 0; i < rows; i += VL) {
        const ptrdiff_t m = rows - i < VL ? rows - i : VL;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const ptrdiff_t n = cols - j < VL ? cols - j : VL;
            if (m < VL || n < VL) {
                transpose_edge(y + i * ldy + j, x + j * ldx + i, m, n, ldy, ldx);
                continue;
            }
            vf v[VL];
            for (int k = 0; k < VL; k++) v[k] = load(x + (j + k) * ldx + i);
            transpose(v);
            for (int k = 0; k < VL; k++) store(y + (i + k) * ldy + j, v[k]);
        }
    }
}

/* Rows further apart than they are long: the processor does not foresee where the next ones lie, so they are asked
 * for (`tn.cat` of four branches, batch 32: 0.7 to 0.8 of the time). */
static void copy_rows_f32(float *y, const float *x, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldy, ptrdiff_t ldx) {
    enum { AHEAD = 16 };
    for (ptrdiff_t i = 0; i < rows; i++, y += ldy, x += ldx) {
        ptrdiff_t j = 0;
        fetch(x + AHEAD * ldx, n * 4);
        fetch(y + AHEAD * ldy, n * 4);
        for (; j + VL <= n; j += VL) store(y + j, load(x + j));
        if (j < n) store_first(y + j, load_first(x + j, n - j), n - j);
    }
}
