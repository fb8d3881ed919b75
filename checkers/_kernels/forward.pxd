from checkers._kernels.moves cimport Moves

cdef class Forward(Moves):
    cdef public int at
    cdef public long long row
    cdef public long long since
    cdef int stop
    cdef int pause
    cdef int mark_at
    cdef public int mark_every
    cdef bint loose
    cdef list marks
    cdef int[::1] lane_of

    cdef int restart(self, int lo, int hi) except -1 nogil
    cdef int mark(self) except -1
    cdef int walk(self) except -1 nogil
    cdef int begin(self, int op) except -1 nogil
    cdef int finish(self, int slot) except -1 nogil
    cdef int close(self, int slot) except -1 nogil
