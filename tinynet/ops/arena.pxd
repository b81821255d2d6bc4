cdef enum:
    CLASSES = 256
    SMALLEST = 64                    # bytes: one cache line

# A stretch of an arena: memory of one block, or free.
cdef struct Piece:
    char* start
    size_t size
    size_t touched                   # of a free piece: bytes at its start that the system may hold pages for
    bint is_free
    Piece* before                    # neighbours in the arena, in order of addresses
    Piece* after
    Piece* previous                  # neighbours in the list of free pieces of about this size
    Piece* next

cdef int size_class(size_t nbytes, size_t* rounded) noexcept
cdef Piece* take_piece(size_t nbytes) noexcept
cdef void give_back_piece(Piece* piece) noexcept
cdef size_t free_bytes() noexcept
cdef void return_to_system(size_t nbytes) noexcept
cdef void return_arenas() noexcept
