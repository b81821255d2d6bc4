"""Large pieces of memory, cut from arenas of huge pages and joined again when they come back.

A training step holds arrays of many sizes, each for a part of the step.  Were memory kept by size, every size would keep its own
maximum, and their sum is far above what is ever in use at once.  So large blocks are pieces of a few arenas: a request takes the
smallest free piece that holds it and leaves the rest free; what comes back is joined with the free pieces before and after it.
What one size gave back serves any other, so a step needs little more than its own peak, whatever batch sizes alternate.

    arena   |  block  |  free, touched  . untouched |  block  |     free, never touched      |

Free pieces are listed by size class (64, 80, 96, 112, 128, 160, ... bytes; one bit for each list that is not empty).  An arena is
as large as all before it together, which costs address space only: the system gives memory, in huge pages where it has them,
to what is touched.  `touched` counts that from the start of a free piece; `return_to_system` gives it back and keeps the
addresses.

All of this runs under the GIL.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    #include <stddef.h>
    #include <sys/mman.h>
    #ifndef MAP_ANONYMOUS
    #define MAP_ANONYMOUS MAP_ANON
    #endif

    /* Address space of a multiple of 2 MiB, aligned to that, with huge pages asked for; NULL if there is none. */
    static void *tn_arena_map(size_t bytes) {
        size_t huge = (size_t)2 << 20, ahead, behind;
        char *p = (char *)mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == (char *)MAP_FAILED) return NULL;
        ahead = (huge - (size_t)p % huge) % huge;
        behind = huge - ahead;
        if (ahead) munmap(p, ahead);
        if (behind) munmap(p + ahead + bytes, behind);
    #ifdef MADV_HUGEPAGE
        madvise(p + ahead, bytes, MADV_HUGEPAGE);
    #endif
        return p + ahead;
    }

    static void tn_arena_unmap(void *p, size_t bytes) { munmap(p, bytes); }

    /* The whole pages of [from, to) go back to the system; the addresses stay. */
    static void tn_arena_forget(char *from, char *to) {
        size_t page = 4096, start = ((size_t)from + page - 1) / page * page, end = (size_t)to / page * page;
        if (start < end) madvise((void *)start, end - start, MADV_DONTNEED);
    }
    """
    void* tn_arena_map(size_t nbytes) nogil
    void tn_arena_unmap(void* p, size_t nbytes) nogil
    void tn_arena_forget(char* start, char* end) nogil

cdef enum:
    HUGE_PAGE = 2 << 20
    FIRST_ARENA = 64 << 20

cdef Piece* lists[CLASSES]           # free pieces of at least the class's size and less than the next one's
cdef uint64_t[4] filled              # a bit for each list that is not empty
cdef size_t mapped = 0               # bytes of all arenas
cdef size_t touched_free = 0         # the sum of `touched` over the free pieces


cdef int size_class(size_t nbytes, size_t* rounded) noexcept:
    """The class of a request and its size: 64 * 2^e * (1, 1.25, 1.5 or 1.75), the first that holds nbytes."""
    cdef int e = 0, quarter = 0
    cdef size_t base = SMALLEST
    while base * 2 <= nbytes:
        base *= 2
        e += 1
    if nbytes > base:
        quarter = <int>((nbytes - base + base // 4 - 1) // (base // 4))
    rounded[0] = base + quarter * (base // 4)
    return 4 * e + quarter


cdef inline int list_of(size_t nbytes) noexcept:
    """The list of a free piece of that size: the last class that is not larger."""
    cdef size_t rounded
    cdef int k = size_class(nbytes, &rounded)
    return k if rounded == nbytes else k - 1


cdef void enlist(Piece* piece) noexcept:
    """Make the piece known as free."""
    global touched_free
    cdef int k = list_of(piece.size)
    piece.is_free = True
    piece.previous = NULL
    piece.next = lists[k]
    if piece.next != NULL:
        piece.next.previous = piece
    lists[k] = piece
    filled[k // 64] |= <uint64_t>1 << (k % 64)
    touched_free += piece.touched


cdef void delist(Piece* piece) noexcept:
    """Take the piece out of its list of free ones."""
    global touched_free
    cdef int k = list_of(piece.size)
    if piece.previous != NULL:
        piece.previous.next = piece.next
    else:
        lists[k] = piece.next
        if piece.next == NULL:
            filled[k // 64] &= ~(<uint64_t>1 << (k % 64))
    if piece.next != NULL:
        piece.next.previous = piece.previous
    piece.is_free = False
    touched_free -= piece.touched


cdef Piece* smallest_that_holds(size_t nbytes) noexcept:
    """The smallest free piece of at least nbytes, of equal ones the one at the lowest address; NULL if there is none."""
    cdef int k = list_of(nbytes)
    cdef Piece* found = NULL
    cdef Piece* piece
    cdef uint64_t bits
    while k < CLASSES:
        bits = filled[k // 64] >> (k % 64)
        if bits == 0:
            k = (k // 64 + 1) * 64
            continue
        while not bits & 1:
            bits >>= 1
            k += 1
        piece = lists[k]
        while piece != NULL:
            if piece.size >= nbytes and (
                    found == NULL or piece.size < found.size or (piece.size == found.size and piece.start < found.start)):
                found = piece
            piece = piece.next
        if found != NULL:
            return found
        k += 1
    return NULL


cdef Piece* new_arena(size_t nbytes) noexcept:
    """One free piece of at least nbytes: an arena as large as all others together or, failing that, as small as will do."""
    global mapped
    cdef size_t least = (nbytes + HUGE_PAGE - 1) // HUGE_PAGE * HUGE_PAGE
    cdef size_t size = max(least, FIRST_ARENA, mapped)
    cdef Piece* piece = <Piece*>malloc(sizeof(Piece))
    if piece == NULL or nbytes > <size_t>1 << 62:
        free(piece)
        return NULL
    piece.start = <char*>tn_arena_map(size)
    if piece.start == NULL:
        size = least
        piece.start = <char*>tn_arena_map(size)
        if piece.start == NULL:
            free(piece)
            return NULL
    piece.size = size
    piece.touched = 0
    piece.before = piece.after = NULL
    mapped += size
    enlist(piece)
    return piece


cdef Piece* take_piece(size_t nbytes) noexcept:
    """A piece of exactly nbytes, a multiple of 64; NULL if there is no memory."""
    cdef Piece* piece = smallest_that_holds(nbytes)
    cdef Piece* rest
    if piece == NULL:
        piece = new_arena(nbytes)
        if piece == NULL:
            return NULL
    if piece.size > nbytes:
        rest = <Piece*>malloc(sizeof(Piece))
        if rest == NULL:
            return NULL
        delist(piece)
        rest.start = piece.start + nbytes
        rest.size = piece.size - nbytes
        rest.touched = piece.touched - nbytes if piece.touched > nbytes else 0
        rest.before = piece
        rest.after = piece.after
        if rest.after != NULL:
            rest.after.before = rest
        piece.after = rest
        piece.size = nbytes
        enlist(rest)
    else:
        delist(piece)
    return piece


cdef void give_back_piece(Piece* piece) noexcept:
    """The piece is free again, and one with its free neighbours."""
    piece.touched = piece.size
    if piece.before != NULL and piece.before.is_free:
        piece = piece.before
        delist(piece)
        swallow_next(piece)
    if piece.after != NULL and piece.after.is_free:
        delist(piece.after)
        swallow_next(piece)
    enlist(piece)


cdef void swallow_next(Piece* piece) noexcept:
    """Join the piece and the one after it; neither is in a list."""
    cdef Piece* gone = piece.after
    if gone.touched:
        piece.touched = piece.size + gone.touched
    piece.size += gone.size
    piece.after = gone.after
    if piece.after != NULL:
        piece.after.before = piece
    free(gone)


cdef size_t free_bytes() noexcept:
    """Bytes that are free here and may hold memory of the system."""
    return touched_free


cdef void return_to_system(size_t nbytes) noexcept:
    """Return up to nbytes of free memory to the system, from the ends of the largest pieces."""
    global touched_free
    cdef int k
    cdef size_t part
    cdef Piece* piece
    for k in range(CLASSES - 1, -1, -1):
        piece = lists[k]
        while piece != NULL and nbytes:
            part = min(nbytes, piece.touched)
            tn_arena_forget(piece.start + piece.touched - part, piece.start + piece.touched)
            piece.touched -= part
            touched_free -= part
            nbytes -= part
            piece = piece.next


cdef void return_arenas() noexcept:
    """Return all free memory to the system, and the addresses of arenas without a block."""
    global mapped
    cdef int k
    cdef Piece* piece
    cdef Piece* next
    return_to_system(touched_free)
    for k in range(CLASSES):
        piece = lists[k]
        while piece != NULL:
            next = piece.next
            if piece.before == NULL and piece.after == NULL:
                delist(piece)
                tn_arena_unmap(piece.start, piece.size)
                mapped -= piece.size
                free(piece)
            piece = next
