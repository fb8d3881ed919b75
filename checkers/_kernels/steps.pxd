cdef class Steps:
    cdef const int[::1] kind
    cdef const long long[::1] invoke
    cdef const long long[::1] ret
    cdef long long never
    cdef int kinds
    cdef const signed char[::1] pure
    cdef const signed char[::1] blind
    cdef const int[::1] targets
    cdef bint closed
    cdef const int[::1] table
    cdef long long[::1] pairs
    cdef int[::1] afters
    cdef int pair_mask
    cdef int pair_count
    cdef object ask
    cdef object clock
    cdef public double deadline
    cdef int steps
    cdef int words
    cdef int[::1] order
    cdef int opened
    cdef int[::1] slot_kind
    cdef int[::1] slot_op
    cdef unsigned long long[::1] taken
    cdef int version
    cdef int[::1] admit_state
    cdef int[::1] admit_version
    cdef unsigned long long[::1] admit_mask

    cdef int widen(self, int words) except -1
    cdef int after(self, int state, int kind) except -1 nogil
    cdef int learn(self, long long pair, int state, int kind) except -1
    cdef int note(self, long long pair, int reached) except -1
    cdef int admit(self, int state) except -1 nogil
    cdef int spent(self) except -1 nogil
