/* What a convolution adds to the matrix product: the pixels under the kernel, gathered into rows (tn_window in tinynet.h).
 *
 * Neighbouring taps of one kernel row lie side by side in memory if the image has no gaps between its pixels: they are
 * copied as one run, cut where it leaves the image.  The outer loop goes over the runs, so that what depends on the tap alone
 * is computed once for all pixels; a run of few channels costs one masked load and store. */

INLINE void copy_run(float *to, const float *from, ptrdiff_t n) {
    for (; n >= VL; n -= VL, to += VL, from += VL) store(to, load(from));
    if (n > 0) store_first(to, load_first(from, n), n);
}

INLINE void zero_run(float *to, ptrdiff_t n) {
    for (; n >= VL; n -= VL, to += VL) store(to, splat(0.0f));
    if (n > 0) store_first(to, splat(0.0f), n);
}

/* Columns [l, l + n) of all rows, which belong to tap row r and begin at tap s and channel k of it. */
INLINE void gather_run(float *rows, const float *x, const tn_window *v, ptrdiff_t first, ptrdiff_t count, ptrdiff_t ld,
                       ptrdiff_t r, ptrdiff_t s, ptrdiff_t k, ptrdiff_t n) {
    ptrdiff_t q = first % v->columns, i = first / v->columns % v->rows, image = first / v->columns / v->rows;
    for (ptrdiff_t p = 0; p < count; p++, rows += ld) {
        ptrdiff_t y = i * v->step_h + v->offset_h + r * v->gap_h;
        if (y < 0 || y >= v->h) {
            zero_run(rows, n);
        } else {
            ptrdiff_t at = q * v->step_w + v->offset_w + s * v->gap_w; /* the pixel of the first column */
            ptrdiff_t from = ((image * v->h + y) * v->w + at) * v->ld + k;
            /* columns left of the image and up to its right edge; a run of several taps has no gaps between its pixels */
            ptrdiff_t low = -(at * v->c + k), high = v->w * v->c + low;
            low = low < 0 ? 0 : low > n ? n : low;
            high = high < 0 ? 0 : high > n ? n : high;
            if (low > 0) zero_run(rows, low);
            if (low < high) copy_run(rows + low, x + from + low, high - low);
            if (high < n) zero_run(rows + (high > low ? high : low), n - (high > low ? high : low));
        }
        if (++q == v->columns) {
            q = 0;
            if (++i == v->rows) i = 0, image++;
        }
    }
}

static void im2row_f32(float *rows, const float *x, const tn_window *v, ptrdiff_t first, ptrdiff_t count, ptrdiff_t j,
                       ptrdiff_t width, ptrdiff_t ld) {
    ptrdiff_t merged = v->gap_w == 1 && v->ld == v->c ? v->taps_w : 1; /* taps that lie side by side */
    for (ptrdiff_t l = j; l < j + width;) {
        ptrdiff_t tap = l / v->c, k = l % v->c, r = tap / v->taps_w, s = tap % v->taps_w;
        ptrdiff_t n = (merged > 1 ? v->taps_w - s : 1) * v->c - k;
        if (n > j + width - l) n = j + width - l;
        gather_run(rows + (l - j), x, v, first, count, ld, r, s, k, n);
        l += n;
    }
}
