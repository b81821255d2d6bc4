/* What a convolution adds to the matrix product: the pixels under the kernel, gathered into rows (tn_window in tinynet.h).
 *
 * Neighbouring taps of one kernel row lie side by side in memory if the image has no gaps between its pixels: they are
 * copied as one run, cut where it leaves the image.  The outer loop goes over the runs, the next one over rows of outputs;
 * of each the outputs that see all of the run inside the image are copied by a loop without further questions. */

INLINE void copy_run(float *to, const float *from, ptrdiff_t n) {
    for (; n >= VL; n -= VL, to += VL, from += VL) store(to, load(from));
    if (n > 0) store_first(to, load_first(from, n), n);
}

INLINE void zero_run(float *to, ptrdiff_t n) {
    for (; n >= VL; n -= VL, to += VL) store(to, splat(0.0f));
    if (n > 0) store_first(to, splat(0.0f), n);
}

/* n floats of each of `rows` rows; those of one or two vectors have loops of their own.  What lies `ahead` is fetched into the
 * cache: the same taps of the next row of outputs. */
INLINE void copy_rows(float *to, const float *from, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldt, ptrdiff_t ldf,
                      ptrdiff_t ahead) {
    if (n == VL) {
        for (; rows > 0; rows--, to += ldt, from += ldf) {
            __builtin_prefetch(from + ahead);
            store(to, load(from));
        }
    } else if (n < VL) {
        for (; rows > 0; rows--, to += ldt, from += ldf) store_first(to, load_first(from, n), n);
    } else if (n == 2 * VL) {
        for (; rows > 0; rows--, to += ldt, from += ldf) {
            __builtin_prefetch(from + ahead);
            __builtin_prefetch(from + ahead + VL);
            store(to, load(from));
            store(to + VL, load(from + VL));
        }
    } else {
        for (; rows > 0; rows--, to += ldt, from += ldf) {
            for (ptrdiff_t l = 0; l < n && l < ldf; l += LINE) __builtin_prefetch(from + ahead + l);
            copy_run(to, from, n);
        }
    }
}

/* The smallest q >= 0 with q * step >= n. */
INLINE ptrdiff_t steps_to(ptrdiff_t n, ptrdiff_t step) { return n > 0 ? (n + step - 1) / step : 0; }

/* One row of a run that begins at channel k of pixel `at` and lies partly outside the image row x (w, c): columns left of it
 * and beyond its right edge are 0.  A run of several taps has no gaps between its pixels. */
INLINE void clipped_run(float *to, const float *x, const tn_window *v, ptrdiff_t at, ptrdiff_t k, ptrdiff_t n) {
    ptrdiff_t low = -(at * v->c + k), high = v->w * v->c + low;
    low = low < 0 ? 0 : low > n ? n : low;
    high = high < low ? low : high > n ? n : high;
    zero_run(to, low);
    if (low < high) copy_run(to + low, x + at * v->ld + k + low, high - low);
    zero_run(to + high, n - high);
}

/* Columns [l, l + n) of all rows, which belong to tap row r and begin at tap s and channel k of it. */
INLINE void gather_run(float *rows, const float *x, const tn_window *v, ptrdiff_t first, ptrdiff_t count, ptrdiff_t ld,
                       ptrdiff_t r, ptrdiff_t s, ptrdiff_t k, ptrdiff_t n) {
    ptrdiff_t q = first % v->columns, i = first / v->columns % v->rows, image = first / v->columns / v->rows;
    ptrdiff_t offset = v->offset_w + s * v->gap_w, pixels = (k + n + v->c - 1) / v->c; /* that the run touches */
    ptrdiff_t from = steps_to(-offset, v->step_w); /* outputs [from, to) see the run inside */
    ptrdiff_t to = steps_to(v->w - pixels + 1 - offset, v->step_w);
    while (count > 0) {
        ptrdiff_t y = i * v->step_h + v->offset_h + r * v->gap_h, end = v->columns - q < count ? v->columns : q + count;
        const float *line = x + (image * v->h + y) * v->w * v->ld;
        count -= end - q;
        if (y < 0 || y >= v->h) {
            for (; q < end; q++, rows += ld) zero_run(rows, n);
        } else {
            for (; q < end && q < from; q++, rows += ld) clipped_run(rows, line, v, q * v->step_w + offset, k, n);
            ptrdiff_t inside = (end < to ? end : to) - q;
            if (inside > 0) {
                copy_rows(rows, line + (q * v->step_w + offset) * v->ld + k, inside, n, ld, v->step_w * v->ld,
                          v->step_h * v->w * v->ld);
                q += inside, rows += inside * ld;
            }
            for (; q < end; q++, rows += ld) clipped_run(rows, line, v, q * v->step_w + offset, k, n);
        }
        q = 0;
        if (++i == v->rows) i = 0, image++;
    }
}

static void im2row_f32(float *rows, const float *x, const tn_window *v, ptrdiff_t first, ptrdiff_t count, ptrdiff_t j,
                       ptrdiff_t width, ptrdiff_t ld) {
    int merged = v->gap_w == 1 && v->ld == v->c; /* taps of a row lie side by side */
    for (ptrdiff_t l = j; l < j + width;) {
        ptrdiff_t tap = l / v->c, k = l % v->c, r = tap / v->taps_w, s = tap % v->taps_w;
        ptrdiff_t n = (merged ? v->taps_w - s : 1) * v->c - k;
        if (n > j + width - l) n = j + width - l;
        gather_run(rows + (l - j), x, v, first, count, ld, r, s, k, n);
        l += n;
    }
}
