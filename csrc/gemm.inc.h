/* Matrix product c (m, n) = a (m, k) b (k, n), one panel of PANEL = NV*VL columns at a time.
 *
 * Packing copies the panel's columns of b into p[k][PANEL], contiguous and padded with zeros, so that the inner loop reads
 * whole vectors whatever b's layout was (b may be a transposed weight matrix).  The tile kernel keeps an MR x NV block of
 * vectors of c in registers and runs down k: NV loads of p, MR broadcasts of a, MR*NV fused multiply-adds a step.
 *     AVX-512: MR x NV = 12 x 2 of 32 registers; AVX2 and the 16 registers of baseline x86-64: 6 x 2.
 * A last panel may be half a vector wide, or one and a half (AVX-512): with 50 columns 91 GFLOP/s become 101, with 20 61 73.
 * Every element of c is one sum in the order of k, whichever tile it falls into: results do not depend on how rows and
 * panels are dealt out to threads.
 *
 * A tall, thin product (a 1x1 convolution) is bound by memory: its tiles run down rows of a that lie far apart, too short
 * for the hardware to see a pattern.  So while a tile is computed the rows of the next one are fetched into the cache, a
 * line of each at a time, and so are the places in c that it will be written to.  32768 x 48 x 160 rises from 58 to 94
 * GFLOP/s by that, 8192 x 192 x 272 from 80 to 99, of 118 (Zen 4, `python -m benchmarks convolution`, its 1 x 1 shapes).
 * An operand that is read across its rows (the transposed a of a weight gradient, b where it lies) is fetched FAR steps
 * ahead: 48 x 160 x 32768 rises from 60 to 85, if its sum is cut into blocks of FAR steps, so that each fetches the next.
 * A packed panel that is kept from call to call (ops/prepared.pyx) lies in the L3 cache; the last tile of a panel, if it is
 * lower than the others, fetches the panel after it into L2 (`onward`): a 3x3 convolution of 16 x 16 pixels, 64 -> 96
 * channels, one image, takes 84 us where it took 105.  Not where a thread packs for itself: behind its last panel lie
 * another thread's.
 */
#define PANEL (NV * VL)
#define LINE 16 /* floats of a cache line */
#define FAR 64  /* steps of k ahead */

/* b's columns are contiguous (bn == 1): copy.  b is transposed (bk == 1): VL x VL blocks are read along k and written
 * across; anything else: element by element. */
static void gemm_pack_f32(float *p, const float *b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t bk, ptrdiff_t bn) {
    if (bn == 1) {
        for (ptrdiff_t l = 0; l < k; l++)
            for (ptrdiff_t j = 0; j < PANEL; j += VL)
                store(p + l * PANEL + j, n - j >= VL ? load(b + l * bk + j)
                                         : n > j     ? load_first(b + l * bk + j, n - j)
                                                     : splat(0.0f));
        return;
    }
    ptrdiff_t l = 0;
    if (bk == 1)
        for (; l + VL <= k; l += VL)
            for (ptrdiff_t j = 0; j < PANEL; j += VL) {
                vf column[VL];
                for (int c = 0; c < VL; c++) column[c] = j + c < n ? load(b + (j + c) * bn + l) : splat(0.0f);
                transpose(column);
                for (int r = 0; r < VL; r++) store(p + (l + r) * PANEL + j, column[r]);
            }
    for (; l < k; l++)
        for (ptrdiff_t j = 0; j < PANEL; j++) p[l * PANEL + j] = j < n ? b[l * bk + j * bn] : 0.0f;
}

/* rows x n elements of c: nv vectors and, if `half`, half a one, the last of which may have empty lanes.  rows, nv and half are
 * constants in every call, so that the loops unroll and the sums live in registers. */
INLINE void tile(const int rows, const int nv, const int half, float *c, const float *a, const float *p,
                 const float *bias, ptrdiff_t n, ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t ldp,
                 int accumulate, int onward) {
    vf acc[MR][NV];
    UNROLL for (int v = 0; v < nv; v++) {
        ptrdiff_t width = n - v * VL < VL ? n - v * VL : VL;
        vf start = !accumulate && bias ? load_n(bias + v * VL, width) : splat(0.0f);
        UNROLL for (int r = 0; r < rows; r++) {
            acc[r][v] = accumulate ? load_n(c + r * ldc + v * VL, width) : start;
            __builtin_prefetch(c + r * ldc + v * VL, 1);
        }
    }
#if VL == 16
    vf8 rest[MR]; /* and the columns from nv * VL on */
    if (half) {
        vf8 start = !accumulate && bias ? load8_n(bias + nv * VL, n - nv * VL) : (vf8){0};
        UNROLL for (int r = 0; r < rows; r++) rest[r] =
            accumulate ? load8_n(c + r * ldc + nv * VL, n - nv * VL) : start;
    }
#endif
    const ptrdiff_t panel = onward ? k * ldp : 0;
    for (const float *next = a + rows * am; k > 0; k -= LINE, next += LINE) { /* a line of the next tile's rows */
        if (ak == 1) UNROLL for (int r = 0; r < rows; r++) __builtin_prefetch(next + r * am);
        int ahead = ldp != PANEL || k > FAR; /* a caller that cuts k into blocks wants the next one, too */
        for (ptrdiff_t l = k < LINE ? k : LINE; l > 0; l--, p += ldp, a += ak) {
            if (ak != 1 && ahead) __builtin_prefetch(a + FAR * ak);
            if (ldp != PANEL) UNROLL for (int v = 0; v < nv; v++) __builtin_prefetch(p + FAR * ldp + v * VL);
            if (rows < MR) UNROLL for (int v = 0; v < nv; v++) __builtin_prefetch(p + panel + v * VL, 0, 2);
            vf b[NV];
            UNROLL for (int v = 0; v < nv; v++) b[v] = load(p + v * VL);
            UNROLL for (int r = 0; r < rows; r++) {
                vf x = splat(a[r * am]);
                UNROLL for (int v = 0; v < nv; v++) acc[r][v] += x * b[v];
            }
#if VL == 16
            if (half) {
                vf8 e = load8(p + nv * VL);
                UNROLL for (int r = 0; r < rows; r++) rest[r] += (a[r * am] - (vf8){0}) * e;
            }
#endif
        }
    }
    UNROLL for (int v = 0; v < nv; v++) {
        ptrdiff_t width = n - v * VL < VL ? n - v * VL : VL;
        UNROLL for (int r = 0; r < rows; r++) store_n(c + r * ldc + v * VL, acc[r][v], width);
    }
#if VL == 16
    if (half) UNROLL for (int r = 0; r < rows; r++) store8_n(c + r * ldc + nv * VL, rest[r], n - nv * VL);
#else
    (void)half;
#endif
}

typedef void tile_fn(float *, const float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                     ptrdiff_t, ptrdiff_t, int, int);

/* One function per height and width: in a common one the compiler keeps addresses of all of them on the stack. */
#define TILE(rows, nv, half)                                                                                  \
    static __attribute__((noinline)) void tile_##rows##_##nv##_##half(                                        \
        float *c, const float *a, const float *p, const float *bias, ptrdiff_t n, ptrdiff_t k, ptrdiff_t ldc, \
        ptrdiff_t am, ptrdiff_t ak, ptrdiff_t ldp, int accumulate, int onward) {                              \
        tile(rows, nv, half, c, a, p, bias, n, k, ldc, am, ak, ldp, accumulate, onward);                      \
    }
/* clang-format off */
#if VL == 16
#define TILES(rows) TILE(rows, 0, 1) TILE(rows, 1, 0) TILE(rows, 1, 1) TILE(rows, 2, 0)
#define NAMES(rows) {tile_##rows##_0_1, tile_##rows##_1_0, tile_##rows##_1_1, tile_##rows##_2_0}
#else
#define TILES(rows) TILE(rows, 1, 0) TILE(rows, 2, 0)
#define NAMES(rows) {tile_##rows##_1_0, tile_##rows##_1_0, tile_##rows##_2_0, tile_##rows##_2_0}
#endif
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if MR > 6
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#endif
static tile_fn *const tiles[MR][PANEL / HALF] = { /* by rows - 1 and started halves of vectors - 1 */
    NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6),
#if MR > 6
    NAMES(7), NAMES(8), NAMES(9), NAMES(10), NAMES(11), NAMES(12),
#endif
};
/* clang-format on */
#undef TILE
#undef TILES
#undef NAMES

/* Tiles of MR rows; a remainder of fewer rows gets the tile of its own height, a panel of fewer columns (the last one, often)
 * that of its own width. */
INLINE void down_the_rows(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                          ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t ldp, int accumulate,
                          int onward) {
    for (; m > 0; m -= MR, a += MR * am, c += MR * ldc)
        tiles[(m < MR ? m : MR) - 1][(n - 1) / HALF](c, a, p, bias, n, k, ldc, am, ak, ldp, accumulate, onward);
}

static void gemm_panel_f32(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                           ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, int accumulate) {
    down_the_rows(c, a, p, bias, m, n, k, ldc, am, ak, PANEL, accumulate, 1);
}

/* Rows outside, panels inside: a tile's rows of a are in the cache for all panels, and c is written along its rows.  Down the
 * rows each store is a constant, large distance from the one before; the processor sees the pattern, fetches what
 * comes next, and at the end of a thread's rows takes the following ones out of the cache of the thread that writes them. */
static void gemm_panels_f32(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                            ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t next, int accumulate) {
    for (; m > 0; m -= MR, a += MR * am, c += MR * ldc) {
        tile_fn *const *widths = tiles[(m < MR ? m : MR) - 1];
        const float *panel = p;
        for (ptrdiff_t j = 0; j < n; j += PANEL, panel += next)
            widths[((n - j < PANEL ? n - j : PANEL) - 1) / HALF](c + j, a, panel, bias ? bias + j : bias, n - j, k, ldc,
                                                                 am, ak, PANEL, accumulate, 0);
    }
}

static void gemm_rows_f32(float *c, const float *a, const float *b, const float *bias, ptrdiff_t m, ptrdiff_t n,
                          ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t ldb, int accumulate) {
    for (ptrdiff_t j = 0; j < n; j += PANEL)
        down_the_rows(c + j, a, b + j, bias ? bias + j : bias, m, n - j < PANEL ? n - j : PANEL, k, ldc, am, ak, ldb,
                      accumulate, 0);
}
