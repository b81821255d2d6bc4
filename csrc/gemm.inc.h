/* Matrix product c (m, n) = a (m, k) b (k, n), one panel of PANEL = NV*VL columns at a time.
 *
 * Packing copies the panel's columns of b into p[k][PANEL], contiguous and padded with zeros, so that the inner loop reads
 * whole vectors whatever b's layout was (b may be a transposed weight matrix).  The tile kernel keeps an MR x NV block of
 * vectors of c in registers and runs down k: NV loads of p, MR broadcasts of a, MR*NV fused multiply-adds a step.
 *     AVX-512: MR x NV = 12 x 2 of 32 registers; AVX2 and the 16 registers of baseline x86-64: 6 x 2.
 * Every element of c is one sum in the order of k, whichever tile it falls into: results do not depend on how rows and
 * panels are dealt out to threads.
 */
#define PANEL (NV * VL)

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

/* rows x nv vectors of c; both are constants in every call, so that the loops unroll and `acc` lives in registers. */
INLINE void tile(const int rows, const int nv, float *c, const float *a, const float *p, const float *bias, ptrdiff_t n,
                 ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, int accumulate) {
    vf acc[MR][NV];
    for (int v = 0; v < nv; v++) {
        ptrdiff_t width = n - v * VL < VL ? n - v * VL : VL; /* columns of this vector that exist; <= 0: none */
        vf start = !accumulate && bias && width > 0 ? load_n(bias + v * VL, width) : splat(0.0f);
        for (int r = 0; r < rows; r++)
            acc[r][v] = accumulate && width > 0 ? load_n(c + r * ldc + v * VL, width) : start;
    }
    for (ptrdiff_t l = 0; l < k; l++, p += PANEL, a += ak) {
        vf b[NV];
        for (int v = 0; v < nv; v++) b[v] = load(p + v * VL);
        for (int r = 0; r < rows; r++) {
            vf x = splat(a[r * am]);
            for (int v = 0; v < nv; v++) acc[r][v] += x * b[v];
        }
    }
    for (int v = 0; v < nv; v++) {
        ptrdiff_t width = n - v * VL < VL ? n - v * VL : VL;
        if (width > 0)
            for (int r = 0; r < rows; r++) store_n(c + r * ldc + v * VL, acc[r][v], width);
    }
}

/* Tiles of MR rows; a remainder of fewer rows gets the tile of its own height. */
INLINE void down_the_rows(const int nv, float *c, const float *a, const float *p, const float *bias, ptrdiff_t m,
                          ptrdiff_t n, ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, int accumulate) {
    for (; m >= MR; m -= MR, a += MR * am, c += MR * ldc) tile(MR, nv, c, a, p, bias, n, k, ldc, am, ak, accumulate);
#define REST(rows) \
    case rows: tile(rows, nv, c, a, p, bias, n, k, ldc, am, ak, accumulate); break;
    switch (m) {
        REST(1)
        REST(2)
        REST(3)
        REST(4)
        REST(5)
#if MR > 6
        REST(6)
        REST(7)
        REST(8)
        REST(9)
        REST(10)
        REST(11)
#endif
    default: break;
    }
#undef REST
}

/* A panel of at most one vector of columns (the last one, often) does not multiply the padding of the others. */
static void gemm_panel_f32(float *c, const float *a, const float *p, const float *bias, ptrdiff_t m, ptrdiff_t n,
                           ptrdiff_t k, ptrdiff_t ldc, ptrdiff_t am, ptrdiff_t ak, int accumulate) {
    if (n <= VL) down_the_rows(1, c, a, p, bias, m, n, k, ldc, am, ak, accumulate);
    else down_the_rows(NV, c, a, p, bias, m, n, k, ldc, am, ak, accumulate);
}
